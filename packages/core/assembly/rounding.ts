import { drawBlocks, word0, word1, word2, word3 } from "./philox";

// Stochastic rounding of gradient sums, and their packed forms. Coordinate 32g + 16h + 4w + l takes half h (0 the lower 16
// bits, 1 the upper) of word w of the Philox block 4g + l, so its random number depends on its place alone. A block of the
// 8-bit form is 32 coordinates, the last may be 16.

const magnitude: u32 = 0x7fffffff;
const infinite: u32 = 0x7f800000;
const quietNaN: u32 = 0x7fc00000;
/** Exponents below it give units that float32 has no reciprocal of; as a block's exponent, one of them marks numbers that are too large. */
const leastExponent: u32 = 23;

/** Rounds to bfloat16 in place: one of the two neighbours, the nearer one the likelier. */
export function roundBfloat16(
  address: usize, count: u32, firstCoordinate: u32, key0: u32, key1: u32, path0: u32, path1: u32,
): void {
  const zero = i32x4.splat(0);
  for (let done: u32 = 0; done < count; done += 32) {
    const at = address + (<usize>done << 2);
    drawBlocks((firstCoordinate + done) >> 3, zero, path0, path1, key0, key1);
    bfloat16(at, lower(word0));
    bfloat16(at + 16, lower(word1));
    bfloat16(at + 32, lower(word2));
    bfloat16(at + 48, lower(word3));
    if (done + 16 >= count) return;
    bfloat16(at + 64, upper(word0));
    bfloat16(at + 80, upper(word1));
    bfloat16(at + 96, upper(word2));
    bfloat16(at + 112, upper(word3));
  }
}

@inline
function lower(words: v128): v128 {
  return v128.and(words, i32x4.splat(0xffff));
}

@inline
function upper(words: v128): v128 {
  return i32x4.shr_u(words, 16);
}

@inline
function bfloat16(at: usize, random: v128): void {
  const x = v128.load(at);
  const size = v128.and(x, i32x4.splat(magnitude));
  const rounded = v128.and(i32x4.add(x, random), i32x4.splat(0xffff0000));
  const finite = v128.bitselect(rounded, x, i32x4.lt_u(size, i32x4.splat(infinite)));
  const isNaN = i32x4.gt_u(size, i32x4.splat(infinite));
  v128.store(at, v128.bitselect(i32x4.splat(quietNaN), finite, isNaN));
}

/** The upper halves of `count` floats that are bfloat16 numbers. `dst` may be `src`. */
export function packBfloat16(dst: usize, src: usize, count: u32): void {
  for (let i: u32 = 0; i < count; i += 8) {
    const at = src + (<usize>i << 2);
    const low = i32x4.shr_u(v128.load(at), 16);
    const high = i32x4.shr_u(v128.load(at, 16), 16);
    v128.store(dst + (<usize>i << 1), i16x8.narrow_i32x4_u(low, high));
  }
}

export function unpackBfloat16(dst: usize, src: usize, count: u32): void {
  for (let i: u32 = 0; i < count; i += 8) {
    const halves = v128.load(src + (<usize>i << 1));
    const at = dst + (<usize>i << 2);
    v128.store(at, i32x4.shl(i32x4.extend_low_i16x8_u(halves), 16));
    v128.store(at, i32x4.shl(i32x4.extend_high_i16x8_u(halves), 16), 16);
  }
}

/** Rounds in place to whole multiples, up to 127, of each block's unit; see `blockExponent`. */
export function roundInt8(
  address: usize, count: u32, firstCoordinate: u32, key0: u32, key1: u32, path0: u32, path1: u32,
): void {
  const zero = i32x4.splat(0);
  for (let done: u32 = 0; done < count; done += 32) {
    const at = address + (<usize>done << 2);
    const isHalf = done + 16 >= count;
    const exponent = blockExponent(at, isHalf);
    if (exponent < leastExponent) {
      const end = at + (isHalf ? 64 : 128);
      for (let next = at; next < end; next += 16) {
        v128.store(next, v128.and(isTooLarge(v128.load(next)), i32x4.splat(quietNaN)));
      }
      continue;
    }
    const scale = power(149 - <i32>exponent); // 2^16 / unit
    const unit = power(<i32>exponent - 133);
    drawBlocks((firstCoordinate + done) >> 3, zero, path0, path1, key0, key1);
    multiple(at, lower(word0), scale, unit);
    multiple(at + 16, lower(word1), scale, unit);
    multiple(at + 32, lower(word2), scale, unit);
    multiple(at + 48, lower(word3), scale, unit);
    if (isHalf) return;
    multiple(at + 64, upper(word0), scale, unit);
    multiple(at + 80, upper(word1), scale, unit);
    multiple(at + 96, upper(word2), scale, unit);
    multiple(at + 112, upper(word3), scale, unit);
  }
}

/**
 * E, the smallest biased exponent of at least 23 such that no magnitude of the block is above 127 units of 2^(E − 133); 0
 * if there is none.
 */
@inline
function blockExponent(at: usize, isHalf: bool): u32 {
  let largest = i32x4.max_u(size(at), size(at + 16));
  largest = i32x4.max_u(largest, i32x4.max_u(size(at + 32), size(at + 48)));
  if (!isHalf) {
    largest = i32x4.max_u(largest, i32x4.max_u(size(at + 64), size(at + 80)));
    largest = i32x4.max_u(largest, i32x4.max_u(size(at + 96), size(at + 112)));
  }
  largest = i32x4.max_u(largest, v128.shuffle<i32>(largest, largest, 2, 3, 0, 1));
  largest = i32x4.max_u(largest, v128.shuffle<i32>(largest, largest, 1, 0, 3, 2));
  const most = <u32>i32x4.extract_lane(largest, 0);
  const exponent = (most >> 23) + u32((most & 0x7fffff) > 0x7e0000);
  return exponent >= 255 ? 0 : max(exponent, leastExponent);
}

@inline
function size(at: usize): v128 {
  return v128.and(v128.load(at), i32x4.splat(magnitude));
}

/** 1s where x is NaN, infinite, or more than 127 of the largest unit. */
@inline
function isTooLarge(x: v128): v128 {
  return i32x4.gt_u(v128.and(x, i32x4.splat(magnitude)), i32x4.splat(0x7f7e0000));
}

@inline
function power(exponent: i32): v128 {
  return i32x4.splat((exponent + 127) << 23);
}

/** ⌊x / unit + random / 2^16⌋ units, x / unit cut to 16 binary places. */
@inline
function multiple(at: usize, random: v128, scale: v128, unit: v128): void {
  const fixed = i32x4.trunc_sat_f32x4_s(f32x4.mul(v128.load(at), scale));
  const units = i32x4.shr_s(i32x4.add(fixed, random), 16);
  v128.store(at, f32x4.mul(f32x4.convert_i32x4_s(units), unit));
}

/**
 * Blocks of `roundInt8` as E and a signed byte for each coordinate. A block that holds too large ones has E = 0,
 * and 1 where they are. `dst` may be `src`.
 */
export function packInt8(dst: usize, src: usize, count: u32): void {
  let to = dst;
  for (let done: u32 = 0; done < count; done += 32) {
    const at = src + (<usize>done << 2);
    const isHalf = done + 16 >= count;
    const exponent = blockExponent(at, isHalf);
    const scale = power(133 - <i32>exponent);
    const first = sixteenBytes(at, exponent, scale);
    if (isHalf) {
      store<u8>(to, <u8>exponent);
      v128.store(to + 1, first);
      return;
    }
    const second = sixteenBytes(at + 64, exponent, scale);
    store<u8>(to, <u8>exponent);
    v128.store(to + 1, first);
    v128.store(to + 17, second);
    to += 33;
  }
}

@inline
function sixteenBytes(at: usize, exponent: u32, scale: v128): v128 {
  const low = i16x8.narrow_i32x4_s(units(at, exponent, scale), units(at + 16, exponent, scale));
  const high = i16x8.narrow_i32x4_s(units(at + 32, exponent, scale), units(at + 48, exponent, scale));
  return i8x16.narrow_i16x8_s(low, high);
}

@inline
function units(at: usize, exponent: u32, scale: v128): v128 {
  const x = v128.load(at);
  if (exponent == 0) return v128.and(isTooLarge(x), i32x4.splat(1));
  return i32x4.trunc_sat_f32x4_s(f32x4.mul(x, scale));
}

export function unpackInt8(dst: usize, src: usize, count: u32): void {
  let from = src;
  for (let done: u32 = 0; done < count; done += 32) {
    const at = dst + (<usize>done << 2);
    const exponent = <u32>load<u8>(from);
    sixteenFloats(at, v128.load(from + 1), exponent);
    if (done + 16 >= count) return;
    sixteenFloats(at + 64, v128.load(from + 17), exponent);
    from += 33;
  }
}

@inline
function sixteenFloats(at: usize, bytes: v128, exponent: u32): void {
  const low = i16x8.extend_low_i8x16_s(bytes);
  const high = i16x8.extend_high_i8x16_s(bytes);
  float(at, i32x4.extend_low_i16x8_s(low), exponent);
  float(at + 16, i32x4.extend_high_i16x8_s(low), exponent);
  float(at + 32, i32x4.extend_low_i16x8_s(high), exponent);
  float(at + 48, i32x4.extend_high_i16x8_s(high), exponent);
}

@inline
function float(at: usize, units: v128, exponent: u32): void {
  if (exponent < leastExponent) {
    v128.store(at, v128.and(i32x4.ne(units, i32x4.splat(0)), i32x4.splat(quietNaN)));
  } else {
    v128.store(at, f32x4.mul(f32x4.convert_i32x4_s(units), power(<i32>exponent - 133)));
  }
}
