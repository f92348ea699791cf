const quote = 0x22;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;

/** A record that is longer has most likely a quote too few. */
const mostRecordBytes = 16 * 1024 * 1024;

const quoteInside = "a quote inside a field that is not quoted: quote the whole field and double the quotes in it";

/** What is wrong with the text of a csv file, and in which line (from 1). */
export class CsvSyntaxError extends Error {
  readonly line: number;

  constructor(problem: string, line: number) {
    super(problem);
    this.line = line;
  }
}

/** The fields of one record, valid until the next one. */
export interface CsvRecord {
  /** What `starts` and `ends` point into; a quoted field without its quotes, doubled quotes as they are. */
  readonly bytes: Buffer;
  readonly fields: number;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  /** Line in which it starts, from 1. */
  readonly line: number;
  /**
   * A field's text, without spaces around it; throws CsvSyntaxError for bytes that are no UTF-8.
   */
  text(field: number): string;
}

/**
 * Cuts csv (RFC 4180) into records of byte ranges, chunk by chunk; a line ends with LF or CRLF, empty lines are skipped, a byte
 * order mark is too. A field is quoted as a whole or not at all. No text is made of a field unless it is asked for: that is
 * what other readers spend their time with.
 */
export class CsvRecords implements CsvRecord {
  bytes: Buffer = Buffer.alloc(0);
  fields = 0;
  starts = new Int32Array(64);
  ends = new Int32Array(64);
  line = 1;
  readonly #onRecord: (record: CsvRecord) => void;
  readonly #delimiter: number;
  /** Of the bytes that end an unquoted field or may not be in it. */
  readonly #mostSpecial: number;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #rest: Uint8Array = new Uint8Array(0);
  #nextLine = 1;
  #isBegun = false;

  /** @param delimiter one ASCII character. */
  constructor(delimiter: string, onRecord: (record: CsvRecord) => void) {
    this.#delimiter = delimiter.charCodeAt(0);
    this.#onRecord = onRecord;
    this.#mostSpecial = Math.max(this.#delimiter, quote, lineFeed);
  }

  /** Takes the next bytes of the file. Throws CsvSyntaxError, and what the consumer throws. */
  push(chunk: Uint8Array): void {
    this.#take(chunk, false);
  }

  /** Takes the last record, if the file does not end with a line feed. */
  end(): void {
    this.#take(new Uint8Array(0), true);
  }

  text(field: number): string {
    const [start, end] = [this.starts[field]!, this.ends[field]!];
    let isPlain = true;
    for (let at = start; at < end; at++) if (this.bytes[at]! > 127 || this.bytes[at] === quote) isPlain = false;
    if (isPlain) return this.bytes.toString("latin1", start, end).trim();
    try {
      return this.#decoder.decode(this.bytes.subarray(start, end)).replaceAll('""', '"').trim();
    } catch {
      throw new CsvSyntaxError("expected UTF-8, found other bytes: save the file as UTF-8", this.line);
    }
  }

  #take(chunk: Uint8Array, isLast: boolean): void {
    this.bytes = Buffer.concat([this.#rest, chunk]);
    if (!this.#isBegun && (this.bytes.length > 2 || isLast)) this.#begin();
    if (!this.#isBegun) {
      this.#rest = this.bytes;
      return;
    }
    let at = 0;
    while (at < this.bytes.length) {
      const next = this.#record(at, isLast);
      if (next < 0) break;
      const isEmpty = this.fields === 1 && this.starts[0] === this.ends[0] && this.bytes[at] !== quote;
      if (!isEmpty) this.#onRecord(this);
      at = next;
    }
    this.#rest = this.bytes.subarray(at);
    if (this.#rest.length > mostRecordBytes) {
      throw new CsvSyntaxError(
        `a record of more than ${mostRecordBytes / 2 ** 20} MB starts here: is there a quote too few?`,
        this.line,
      );
    }
  }

  #begin(): void {
    const [first, second, third] = this.bytes;
    if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) {
      throw new CsvSyntaxError("expected UTF-8, found UTF-16: save the file as UTF-8", 1);
    }
    if (first === 0xef && second === 0xbb && third === 0xbf) this.bytes = this.bytes.subarray(3);
    this.#isBegun = true;
  }

  /** @returns where the next record starts; -1 if this one is not whole yet. */
  #record(from: number, isLast: boolean): number {
    const { bytes } = this;
    const { length } = bytes;
    const delimiter = this.#delimiter;
    const mostSpecial = this.#mostSpecial;
    let { starts, ends } = this;
    let field = 0;
    let lines = 0;
    this.line = this.#nextLine;
    let at = from;
    for (;;) {
      if (field === starts.length) ({ starts, ends } = this.#makeRoom());
      starts[field] = at;
      if (at < length && bytes[at] === quote) {
        const close = this.#closingQuote(at + 1);
        for (let inside = at; inside < close; inside++) if (bytes[inside] === lineFeed) lines++;
        starts[field] = at + 1;
        ends[field] = close;
        at = this.#afterQuoted(close, this.line + lines, isLast);
        if (at < 0) return -1;
      } else {
        // Most bytes are letters or digits, which come after all that is special.
        for (; at < length; at++) {
          const byte = bytes[at]!;
          if (byte <= mostSpecial && (byte === delimiter || byte === lineFeed || byte === quote)) break;
        }
        if (at === length && !isLast) return -1;
        if (at < length && bytes[at] === quote) throw new CsvSyntaxError(quoteInside, this.line + lines);
        const isReturned = at > starts[field]! && bytes[at - 1] === carriageReturn && bytes[at] !== delimiter;
        ends[field] = isReturned ? at - 1 : at;
      }
      field++;
      if (at === length || bytes[at] !== delimiter) break;
      at++;
    }
    this.fields = field;
    this.#nextLine = this.line + lines + 1;
    return Math.min(at + 1, length);
  }

  /** @returns what follows a quoted field: a delimiter, a line feed or the end; -1 if that is not there yet. */
  #afterQuoted(close: number, line: number, isLast: boolean): number {
    const { bytes } = this;
    if (close < 0) {
      if (isLast)
        throw new CsvSyntaxError("a quoted field starts here and does not end: is there a quote too few?", line);
      return -1;
    }
    const end = bytes[close + 1] === carriageReturn ? close + 2 : close + 1;
    if (end >= bytes.length) return isLast ? bytes.length : -1;
    if (bytes[end] === this.#delimiter || bytes[end] === lineFeed) return end;
    throw new CsvSyntaxError(
      "a quoted field goes on after its closing quote: double a quote that belongs to the text",
      line,
    );
  }

  /** Where the quote is that ends the field; a doubled one does not. */
  #closingQuote(from: number): number {
    const { bytes } = this;
    for (let at = bytes.indexOf(quote, from); at >= 0; at = bytes.indexOf(quote, at + 2)) {
      if (bytes[at + 1] !== quote) return at;
    }
    return -1;
  }

  #makeRoom(): this {
    const { starts, ends } = this;
    this.starts = new Int32Array(2 * starts.length);
    this.ends = new Int32Array(2 * ends.length);
    this.starts.set(starts);
    this.ends.set(ends);
    return this;
  }
}
