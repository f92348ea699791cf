/**
 * Elementary functions in float64 made of + − * / and floor only: the same bits on every Node version and CPU, which
 * `Math.log` and its sisters do not promise. Relative errors stay below 2e-15. Range reduction after Cody and Waite (1980),
 * then the functions' Taylor series; constants are splittings of ln 2 and π/2 into parts whose products are exact.
 */

const ln2High = 0.6931471803691238; // the first 32 bits of ln 2
const ln2Low = 1.9082149292705877e-10;
const halfPiHigh = 1.5707963267341256; // the first 33 bits of π/2
const halfPiMiddle = 6.077100506303966e-11; // the next 33 bits
const halfPiLow = 2.0222662487959506e-21;
const largestAngle = 1_000_000;

/** Coefficients of exp, sin and cos are 1/n!; of log, 2/(2n+1). Highest power first. */
const expSeries = inverseFactorials([13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]);
const sinSeries = inverseFactorials([17, 15, 13, 11, 9, 7, 5, 3]).map((value, index) =>
  index % 2 === 0 ? value : -value,
);
const cosSeries = inverseFactorials([18, 16, 14, 12, 10, 8, 6, 4]).map((value, index) =>
  index % 2 === 0 ? -value : value,
);
const logSeries = [25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3].map((n) => 2 / n);

/** Natural logarithm; −Infinity at 0, NaN below. */
export function portableLog(x: number): number {
  if (!(x > 0) || x === Number.POSITIVE_INFINITY) return x === 0 ? Number.NEGATIVE_INFINITY : x > 0 ? x : Number.NaN;
  const { mantissa, exponent } = splitExponent(x);
  const s = (mantissa - 1) / (mantissa + 1);
  const z = s * s;
  return exponent * ln2High + (2 * s + (s * z * polynomial(logSeries, z) + exponent * ln2Low));
}

/** e to the power x; Infinity above 709.78, 0 below −745.13. */
export function portableExp(x: number): number {
  return expOfSum(x, 0);
}

/** Sine of x in radians. Throws RangeError beyond ±1,000,000. */
export function portableSin(x: number): number {
  const turns = quarterTurns(x);
  const r = angleWithin(x, turns);
  const quadrant = turns - 4 * Math.floor(turns / 4);
  const value = quadrant % 2 === 0 ? sinOfSmall(r) : cosOfSmall(r);
  return quadrant < 2 ? value : -value;
}

/** Writes cosine and sine of x in radians to `out[0]` and `out[1]`: as `portableCos` and `portableSin`, in half the time. */
export function portableCosSin(out: Float64Array, x: number): void {
  const turns = quarterTurns(x);
  const r = angleWithin(x, turns);
  const quadrant = turns - 4 * Math.floor(turns / 4);
  const cos = cosOfSmall(r);
  const sin = sinOfSmall(r);
  const even = quadrant % 2 === 0;
  const [c, s] = [even ? cos : sin, even ? sin : cos];
  out[0] = quadrant === 0 || quadrant === 3 ? c : -c;
  out[1] = quadrant < 2 ? s : -s;
}

/** Cosine of x in radians. Throws RangeError beyond ±1,000,000. */
export function portableCos(x: number): number {
  const turns = quarterTurns(x);
  const r = angleWithin(x, turns);
  const quadrant = turns - 4 * Math.floor(turns / 4);
  const value = quadrant % 2 === 0 ? cosOfSmall(r) : sinOfSmall(r);
  return quadrant === 0 || quadrant === 3 ? value : -value;
}

/** base to the power `exponent`, as Math.pow, except that a negative base gives NaN for every exponent but 0. */
export function portablePow(base: number, exponent: number): number {
  if (exponent === 0 || base === 1) return 1;
  if (!(base >= 0) || Number.isNaN(exponent)) return Number.NaN;
  if (base === 0 || base === Number.POSITIVE_INFINITY) {
    return exponent > 0 === (base === 0) ? 0 : Number.POSITIVE_INFINITY;
  }
  // exponent·log(base) in twice the precision: an error in it is a relative error of the result, 700 times larger.
  const log = logOfTwiceThePrecision(base);
  const estimate = exponent * log.high;
  if (!(Math.abs(estimate) < 800)) return estimate > 0 ? Number.POSITIVE_INFINITY : 0;
  return expOfSum(estimate, productError(exponent, log.high, estimate) + exponent * log.low);
}

/** exp(high + low) for |low| far below |high|. */
function expOfSum(high: number, low: number): number {
  if (Number.isNaN(high)) return high;
  if (high > 709.79) return Number.POSITIVE_INFINITY;
  if (high < -745.14) return 0;
  const k = Math.floor(high / (ln2High + ln2Low) + 0.5);
  const r = high - k * ln2High - k * ln2Low + low;
  return scaleByPowerOfTwo(1 + (r + r * r * polynomial(expSeries, r)), k);
}

function logOfTwiceThePrecision(x: number): { high: number; low: number } {
  const { mantissa, exponent } = splitExponent(x);
  const numerator = mantissa - 1;
  const denominator = mantissa + 1;
  const denominatorLow = mantissa - (denominator - 1);
  const s = numerator / denominator;
  const product = s * denominator;
  const rest = numerator - product - productError(s, denominator, product) - s * denominatorLow;
  const z = s * s;
  const tail = s * z * polynomial(logSeries, z) + exponent * ln2Low + (2 * rest) / denominator;
  const first = sum(exponent * ln2High, 2 * s);
  return sum(first.high, first.low + tail);
}

/** a + b as a rounded sum and its error (Knuth's TwoSum). */
function sum(a: number, b: number): { high: number; low: number } {
  const high = a + b;
  const bPart = high - a;
  return { high, low: a - (high - bPart) + (b - bPart) };
}

/** a·b − product, exactly, where `product` is the rounded a·b (Dekker's product with Veltkamp's splitting). */
function productError(a: number, b: number, product: number): number {
  const aHigh = upperHalf(a);
  const bHigh = upperHalf(b);
  const aLow = a - aHigh;
  const bLow = b - bHigh;
  return aLow * bLow - (product - aHigh * bHigh - aLow * bHigh - aHigh * bLow);
}

function upperHalf(value: number): number {
  const scaled = 134_217_729 * value; // 2^27 + 1
  return scaled - (scaled - value);
}

function quarterTurns(x: number): number {
  if (Math.abs(x) > largestAngle) throw new RangeError(`an angle must be within ±${largestAngle}, found ${x}`);
  return Math.floor(x / (halfPiHigh + halfPiMiddle) + 0.5);
}

function angleWithin(x: number, turns: number): number {
  return x - turns * halfPiHigh - turns * halfPiMiddle - turns * halfPiLow;
}

function sinOfSmall(r: number): number {
  const z = r * r;
  return r + r * z * polynomial(sinSeries, z);
}

function cosOfSmall(r: number): number {
  const z = r * r;
  return 1 - (0.5 * z - z * z * polynomial(cosSeries, z));
}

function polynomial(coefficients: readonly number[], x: number): number {
  let value = 0;
  for (let i = 0; i < coefficients.length; i++) value = value * x + coefficients[i]!;
  return value;
}

function inverseFactorials(orders: readonly number[]): number[] {
  return orders.map((order) => {
    let factorial = 1; // exact up to 18!
    for (let i = 2; i <= order; i++) factorial *= i;
    return 1 / factorial;
  });
}

/** x = mantissa · 2^exponent with mantissa in [√½, √2), exactly; x positive and finite. */
function splitExponent(x: number): { mantissa: number; exponent: number } {
  if (x >= 2 ** -32 && x < 1) {
    const exponent = -1 - Math.clz32(x * 2 ** 32);
    const mantissa = x * wholePowers[-exponent]!;
    return mantissa > Math.SQRT2 ? { mantissa: mantissa / 2, exponent: exponent + 1 } : { mantissa, exponent };
  }
  let mantissa = x;
  let exponent = 0;
  if (mantissa < 2.2250738585072014e-308) {
    mantissa *= 18_014_398_509_481_984; // subnormal: 2^54 first
    exponent = -54;
  }
  for (const { shift, power } of powersOfTwo) {
    if (mantissa >= power) {
      mantissa /= power;
      exponent += shift;
    } else if (mantissa * power < 2) {
      mantissa *= power;
      exponent -= shift;
    }
  }
  if (mantissa > Math.SQRT2) return { mantissa: mantissa / 2, exponent: exponent + 1 };
  return { mantissa, exponent };
}

function scaleByPowerOfTwo(x: number, exponent: number): number {
  // Only the last factor may round into the subnormal range or overflow.
  if (exponent < -1000) return scaleByPowerOfTwo(x, exponent + 128) * 2.938735877055719e-39;
  if (exponent > 1000) return scaleByPowerOfTwo(x, exponent - 128) * 3.402823669209385e38;
  let rest = Math.abs(exponent);
  let scale = 1;
  for (const { shift, power } of powersOfTwo) {
    if (rest < shift) continue;
    scale *= power;
    rest -= shift;
  }
  return exponent < 0 ? x / scale : x * scale;
}

/** 2^i at place i. */
const wholePowers: readonly number[] = Array.from({ length: 33 }, (_, i) => 2 ** i);

const powersOfTwo: readonly { shift: number; power: number }[] = (() => {
  const powers = [{ shift: 1, power: 2 }];
  for (let last = powers[0]!; last.shift < 512; last = powers[0]!) {
    powers.unshift({ shift: 2 * last.shift, power: last.power * last.power });
  }
  return powers;
})();
