// Normal numbers by Box and Muller (1958), in float64 and with the very operations of src/random/portable-math.ts and
// src/random/stream.ts, in their order, so that both give the same bits.
import { drawBlocks, storeBlocks, word0, word1, word2, word3 } from "./philox";
import { demote, upper } from "./vectors";

const ln2High: f64 = 0.6931471803691238;
const ln2Low: f64 = 1.9082149292705877e-10;
const halfPiHigh: f64 = 1.5707963267341256;
const halfPiMiddle: f64 = 6.077100506303966e-11;
const halfPiLow: f64 = 2.0222662487959506e-21;
const twoPi: f64 = 2.0 * 3.141592653589793;

/** What `cosSin` computed last. */
let cosine: v128 = f64x2(0, 0);
let sine: v128 = f64x2(0, 0);

@inline
function step(value: v128, x: v128, coefficient: f64): v128 {
  return f64x2.add(f64x2.mul(value, x), f64x2.splat(coefficient));
}

/** Natural logarithm of two numbers of 2^−32 … 1. */
@inline
function log(x: v128): v128 {
  const one = f64x2.splat(1);
  const high = i32x4.sub(i32x4.shr_u(v128.shuffle<i32>(x, x, 1, 3, 1, 3), 20), i32x4.splat(1023));
  const mantissa = v128.or(v128.and(x, i64x2.splat(0xfffffffffffff)), one);
  const isLarge = f64x2.gt(mantissa, f64x2.splat(1.4142135623730951));
  const m = v128.bitselect(f64x2.mul(mantissa, f64x2.splat(0.5)), mantissa, isLarge);
  const exponent = f64x2.convert_low_i32x4_s(high);
  const e = f64x2.add(exponent, v128.and(isLarge, one));
  const s = f64x2.div(f64x2.sub(m, one), f64x2.add(m, one));
  const z = f64x2.mul(s, s);
  let p = f64x2.splat(2.0 / 25.0);
  p = step(p, z, 2.0 / 23.0);
  p = step(p, z, 2.0 / 21.0);
  p = step(p, z, 2.0 / 19.0);
  p = step(p, z, 2.0 / 17.0);
  p = step(p, z, 2.0 / 15.0);
  p = step(p, z, 2.0 / 13.0);
  p = step(p, z, 2.0 / 11.0);
  p = step(p, z, 2.0 / 9.0);
  p = step(p, z, 2.0 / 7.0);
  p = step(p, z, 2.0 / 5.0);
  p = step(p, z, 2.0 / 3.0);
  const tail = f64x2.add(f64x2.mul(f64x2.mul(s, z), p), f64x2.mul(e, f64x2.splat(ln2Low)));
  return f64x2.add(f64x2.mul(e, f64x2.splat(ln2High)), f64x2.add(f64x2.mul(f64x2.splat(2), s), tail));
}

/** Of two angles of 0 … 2π. */
@inline
function cosSin(x: v128): void {
  const turns = f64x2.floor(f64x2.add(f64x2.div(x, f64x2.splat(halfPiHigh + halfPiMiddle)), f64x2.splat(0.5)));
  let r = f64x2.sub(x, f64x2.mul(turns, f64x2.splat(halfPiHigh)));
  r = f64x2.sub(r, f64x2.mul(turns, f64x2.splat(halfPiMiddle)));
  r = f64x2.sub(r, f64x2.mul(turns, f64x2.splat(halfPiLow)));
  const z = f64x2.mul(r, r);
  let p = f64x2.splat(1.0 / 355687428096000.0);
  p = step(p, z, -(1.0 / 1307674368000.0));
  p = step(p, z, 1.0 / 6227020800.0);
  p = step(p, z, -(1.0 / 39916800.0));
  p = step(p, z, 1.0 / 362880.0);
  p = step(p, z, -(1.0 / 5040.0));
  p = step(p, z, 1.0 / 120.0);
  p = step(p, z, -(1.0 / 6.0));
  const sin = f64x2.add(r, f64x2.mul(f64x2.mul(r, z), p));
  let q = f64x2.splat(-(1.0 / 6402373705728000.0));
  q = step(q, z, 1.0 / 20922789888000.0);
  q = step(q, z, -(1.0 / 87178291200.0));
  q = step(q, z, 1.0 / 479001600.0);
  q = step(q, z, -(1.0 / 3628800.0));
  q = step(q, z, 1.0 / 40320.0);
  q = step(q, z, -(1.0 / 720.0));
  q = step(q, z, 1.0 / 24.0);
  const half = f64x2.mul(f64x2.splat(0.5), z);
  const cos = f64x2.sub(f64x2.splat(1), f64x2.sub(half, f64x2.mul(f64x2.mul(z, z), q)));
  // Quadrants 0 to 3; 4 is 0 again.
  const isOdd = v128.or(f64x2.eq(turns, f64x2.splat(1)), f64x2.eq(turns, f64x2.splat(3)));
  const isLeft = v128.or(f64x2.eq(turns, f64x2.splat(1)), f64x2.eq(turns, f64x2.splat(2)));
  const isLower = v128.or(f64x2.eq(turns, f64x2.splat(2)), f64x2.eq(turns, f64x2.splat(3)));
  const sign = f64x2.splat(-0.0);
  cosine = v128.xor(v128.bitselect(sin, cos, isOdd), v128.and(isLeft, sign));
  sine = v128.xor(v128.bitselect(cos, sin, isOdd), v128.and(isLower, sign));
}

/** Normal numbers of two pairs of uniform words each: `cosine` gets the first ones, `sine` the second ones. */
@inline
function pair(a: v128, b: v128, mean: v128, std: v128): void {
  const unit = f64x2.splat(1.0 / 4294967296.0); // exact, as dividing is
  const uniform = f64x2.mul(f64x2.add(f64x2.convert_low_i32x4_u(a), f64x2.splat(1)), unit);
  const radius = f64x2.sqrt(f64x2.mul(f64x2.splat(-2), log(uniform)));
  cosSin(f64x2.mul(f64x2.splat(twoPi), f64x2.mul(f64x2.convert_low_i32x4_u(b), unit)));
  cosine = f64x2.add(mean, f64x2.mul(std, f64x2.mul(radius, cosine)));
  sine = f64x2.add(mean, f64x2.mul(std, f64x2.mul(radius, sine)));
}

/**
 * The normal float32 of `blocks` blocks, four each: words (0, 1) and (2, 3) of the block with key (key0, key1) and counter (firstBlock
 * + i, blockHigh, path0, path1) give a cosine and a sine. Writes 16 floats at a time: up to 48 bytes beyond the last block.
 */
export function normal(
  dst: usize, blocks: u32, firstBlock: u32, blockHigh: u32,
  key0: u32, key1: u32, path0: u32, path1: u32, mean: f64, std: f64,
): void {
  const position = i32x4.splat(blockHigh);
  const means = f64x2.splat(mean);
  const stds = f64x2.splat(std);
  let at = dst;
  for (let done: u32 = 0; done < blocks; done += 4) {
    drawBlocks(firstBlock + done, position, path0, path1, key0, key1);
    pair(word0, word1, means, stds);
    let first = cosine;
    let second = sine;
    pair(upper(word0), upper(word1), means, stds);
    const v0 = demote(first, cosine);
    const v1 = demote(second, sine);
    pair(word2, word3, means, stds);
    first = cosine;
    second = sine;
    pair(upper(word2), upper(word3), means, stds);
    const v2 = demote(first, cosine);
    const v3 = demote(second, sine);
    storeBlocks(at, v0, v1, v2, v3);
    at += 64;
  }
}
