const space = 0x20;
const tab = 0x09;
const plus = 0x2b;
const minus = 0x2d;
const point = 0x2e;
const zero = 0x30;

/** Up to here whole numbers, and powers of ten up to 10^22, are exact in float64. */
const mostDigits = 15;

/**
 * Reads short decimal numbers straight from bytes, without making a text of them: a quotient of two exact float64 is rounded
 * once (Clinger, "How to read floating point numbers accurately", 1990), so the value is that of `Number(text)`.
 */
export class DecimalReader {
  /** The number read last was written without a point. */
  isWhole = false;
  readonly #powers = Float64Array.from({ length: mostDigits + 1 }, (_, exponent) => Number(`1e${exponent}`));

  /**
   * Spaces and tabs around it are skipped. @returns the number, or NaN for anything else: another text, one with an exponent,
   * or more than 15 digits.
   */
  read(bytes: Uint8Array, start: number, end: number): number {
    let from = start;
    let to = end;
    while (from < to && isBlank(bytes[from]!)) from++;
    while (from < to && isBlank(bytes[to - 1]!)) to--;
    const sign = bytes[from]!;
    if (from < to && (sign === minus || sign === plus)) from++;
    let whole = 0;
    let pointAt = -1;
    for (let at = from; at < to; at++) {
      const byte = bytes[at]!;
      const digit = byte - zero;
      if (digit >= 0 && digit <= 9) whole = whole * 10 + digit;
      else if (byte === point && pointAt < 0) pointAt = at;
      else return Number.NaN;
    }
    this.isWhole = pointAt < 0;
    const digits = to - from - (this.isWhole ? 0 : 1);
    if (digits < 1 || digits > mostDigits) return Number.NaN;
    const magnitude = this.isWhole ? whole : whole / this.#powers[to - pointAt - 1]!;
    return sign === minus ? -magnitude : magnitude;
  }
}

function isBlank(byte: number): boolean {
  return byte === space || byte === tab;
}
