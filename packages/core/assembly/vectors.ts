/** dst[i] = a[i] + b[i], float32. dst may be a or b. */
export function add(dst: usize, a: usize, b: usize, count: usize): void {
  const bytes = count << 2;
  for (let at: usize = 0; at < bytes; at += 32) {
    const low = f32x4.add(v128.load(a + at), v128.load(b + at));
    const high = f32x4.add(v128.load(a + at, 16), v128.load(b + at, 16));
    v128.store(dst + at, low);
    v128.store(dst + at, high, 16);
  }
}

export function copy(dst: usize, src: usize, count: usize): void {
  memory.copy(dst, src, count << 2);
}

/**
 * Σ (x[i] / divisor)², the quotient in float32, squares and sums in float64. Element i goes to lane i mod 8, in
 * increasing i; lanes are added as ((0+2)+(4+6)) + ((1+3)+(5+7)).
 */
export function sumOfSquares(address: usize, count: usize, divisor: f32): f64 {
  const reciprocal: f32 = 1 / divisor;
  // Where the reciprocal is exact, multiplying rounds the same number; a division takes as long as all the rest.
  return <f64>reciprocal * <f64>divisor == 1
    ? squares(true, address, count, reciprocal)
    : squares(false, address, count, divisor);
}

@inline
function squares(multiplies: bool, address: usize, count: usize, by: f32): f64 {
  const end = address + (count << 2);
  const all = f32x4.splat(by);
  let lanes01 = f64x2.splat(0);
  let lanes23 = f64x2.splat(0);
  let lanes45 = f64x2.splat(0);
  let lanes67 = f64x2.splat(0);
  for (let at = address; at < end; at += 32) {
    const low = multiplies ? f32x4.mul(v128.load(at), all) : f32x4.div(v128.load(at), all);
    const high = multiplies ? f32x4.mul(v128.load(at, 16), all) : f32x4.div(v128.load(at, 16), all);
    const x01 = f64x2.promote_low_f32x4(low);
    const x23 = f64x2.promote_low_f32x4(v128.shuffle<i64>(low, low, 1, 0));
    const x45 = f64x2.promote_low_f32x4(high);
    const x67 = f64x2.promote_low_f32x4(v128.shuffle<i64>(high, high, 1, 0));
    lanes01 = f64x2.add(lanes01, f64x2.mul(x01, x01));
    lanes23 = f64x2.add(lanes23, f64x2.mul(x23, x23));
    lanes45 = f64x2.add(lanes45, f64x2.mul(x45, x45));
    lanes67 = f64x2.add(lanes67, f64x2.mul(x67, x67));
  }
  const sums = f64x2.add(f64x2.add(lanes01, lanes23), f64x2.add(lanes45, lanes67));
  return f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1);
}

/**
 * Σ x[i]²: squares and sums of 64 floats in float32, beyond that in float64. Of 64, element i goes to lane i mod 16, in increasing i; lanes l,
 * l+4, l+8 and l+12 are added as (0+4)+(8+12); these four sums go to four lanes in float64, added as (0+2) + (1+3) in the
 * end. What is behind the last 64 is added 16 by 16 in that way, to one more such vector.
 */
export function quickSquares(address: usize, count: usize): f64 {
  const end = address + (count << 2);
  const whole = address + ((count & ~63) << 2);
  let lanes01 = f64x2.splat(0);
  let lanes23 = f64x2.splat(0);
  let at = address;
  for (; at < whole; at += 256) {
    let a = square(v128.load(at));
    let b = square(v128.load(at, 16));
    let c = square(v128.load(at, 32));
    let d = square(v128.load(at, 48));
    a = f32x4.add(a, square(v128.load(at, 64)));
    b = f32x4.add(b, square(v128.load(at, 80)));
    c = f32x4.add(c, square(v128.load(at, 96)));
    d = f32x4.add(d, square(v128.load(at, 112)));
    a = f32x4.add(a, square(v128.load(at, 128)));
    b = f32x4.add(b, square(v128.load(at, 144)));
    c = f32x4.add(c, square(v128.load(at, 160)));
    d = f32x4.add(d, square(v128.load(at, 176)));
    a = f32x4.add(a, square(v128.load(at, 192)));
    b = f32x4.add(b, square(v128.load(at, 208)));
    c = f32x4.add(c, square(v128.load(at, 224)));
    d = f32x4.add(d, square(v128.load(at, 240)));
    const sums = f32x4.add(f32x4.add(a, b), f32x4.add(c, d));
    lanes01 = f64x2.add(lanes01, f64x2.promote_low_f32x4(sums));
    lanes23 = f64x2.add(lanes23, f64x2.promote_low_f32x4(v128.shuffle<i64>(sums, sums, 1, 0)));
  }
  let rest = f32x4.splat(0);
  for (; at < end; at += 64) {
    rest = f32x4.add(rest, f32x4.add(
      f32x4.add(square(v128.load(at)), square(v128.load(at, 16))),
      f32x4.add(square(v128.load(at, 32)), square(v128.load(at, 48))),
    ));
  }
  lanes01 = f64x2.add(lanes01, f64x2.promote_low_f32x4(rest));
  lanes23 = f64x2.add(lanes23, f64x2.promote_low_f32x4(v128.shuffle<i64>(rest, rest, 1, 0)));
  const sums = f64x2.add(lanes01, lanes23);
  return f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1);
}

@inline
function square(x: v128): v128 {
  return f32x4.mul(x, x);
}

/** Index of the first NaN or infinity, or -1. */
export function firstNonFinite(address: usize, count: usize): i32 {
  const end = address + (count << 2);
  const exponent = i32x4.splat(0x7f800000);
  for (let at = address; at < end; at += 16) {
    const found = i32x4.eq(v128.and(v128.load(at), exponent), exponent);
    if (v128.any_true(found)) return i32((at - address) >>> 2) + ctz(i32x4.bitmask(found));
  }
  return -1;
}

/** Two float64 and two more as four float32. */
@inline
export function demote(low: v128, high: v128): v128 {
  return v128.shuffle<i64>(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 2);
}

/** The upper two words where the lower two were. */
@inline
export function upper(words: v128): v128 {
  return v128.shuffle<i64>(words, words, 1, 0);
}
