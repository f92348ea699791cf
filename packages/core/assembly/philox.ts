// Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011), four counters at a time: each vector holds one word of the four.

const multiplier0: u32 = 0xd2511f53;
const multiplier1: u32 = 0xcd9e8d57;
const weyl0: u32 = 0x9e3779b9;
const weyl1: u32 = 0xbb67ae85;

/** Words 0 to 3 of the four blocks that `drawBlocks` drew last. */
export let word0: v128 = i32x4(0, 0, 0, 0);
export let word1: v128 = i32x4(0, 0, 0, 0);
export let word2: v128 = i32x4(0, 0, 0, 0);
export let word3: v128 = i32x4(0, 0, 0, 0);

/** The blocks with counters (firstBlock + 0 … 3, position, path0, path1), one in each lane. */
@inline
export function drawBlocks(firstBlock: u32, position: v128, path0: u32, path1: u32, key0: u32, key1: u32): void {
  let c0 = i32x4.add(i32x4.splat(firstBlock), i32x4(0, 1, 2, 3));
  let c1 = position;
  let c2 = i32x4.splat(path0);
  let c3 = i32x4.splat(path1);
  let k0 = key0;
  let k1 = key1;
  const m0 = i32x4.splat(multiplier0);
  const m1 = i32x4.splat(multiplier1);
  for (let round = 0; round < 10; round++) {
    const a01 = i64x2.extmul_low_i32x4_u(c0, m0);
    const a23 = i64x2.extmul_high_i32x4_u(c0, m0);
    const b01 = i64x2.extmul_low_i32x4_u(c2, m1);
    const b23 = i64x2.extmul_high_i32x4_u(c2, m1);
    const high0 = v128.shuffle<i32>(a01, a23, 1, 3, 5, 7);
    const low0 = v128.shuffle<i32>(a01, a23, 0, 2, 4, 6);
    const high1 = v128.shuffle<i32>(b01, b23, 1, 3, 5, 7);
    const low1 = v128.shuffle<i32>(b01, b23, 0, 2, 4, 6);
    c0 = v128.xor(v128.xor(high1, c1), i32x4.splat(k0));
    c1 = low1;
    c2 = v128.xor(v128.xor(high0, c3), i32x4.splat(k1));
    c3 = low0;
    k0 += weyl0;
    k1 += weyl1;
  }
  word0 = c0;
  word1 = c1;
  word2 = c2;
  word3 = c3;
}

/** Writes four blocks one after the other, given value 0 of each, value 1 of each and so on: four by four, transposed. */
@inline
export function storeBlocks(at: usize, v0: v128, v1: v128, v2: v128, v3: v128): void {
  const low01 = v128.shuffle<i32>(v0, v1, 0, 4, 1, 5);
  const high01 = v128.shuffle<i32>(v0, v1, 2, 6, 3, 7);
  const low23 = v128.shuffle<i32>(v2, v3, 0, 4, 1, 5);
  const high23 = v128.shuffle<i32>(v2, v3, 2, 6, 3, 7);
  v128.store(at, v128.shuffle<i64>(low01, low23, 0, 2));
  v128.store(at, v128.shuffle<i64>(low01, low23, 1, 3), 16);
  v128.store(at, v128.shuffle<i64>(high01, high23, 0, 2), 32);
  v128.store(at, v128.shuffle<i64>(high01, high23, 1, 3), 48);
}

/**
 * For each of `samples` samples, `sampleFloats` float32 that are `scale` where the random uint32 is below `threshold`, else
 * 0. Value i of the sample at position p is word i mod 4 of the block with key (key0, key1) and counter
 * (⌊i/4⌋, p, path0, path1), so it depends on nothing else. May write up to 60 bytes beyond the last value.
 */
export function bernoulli(
  dst: usize, samples: u32, sampleFloats: u32, firstPosition: u32,
  key0: u32, key1: u32, path0: u32, path1: u32, threshold: u32, scale: f32,
): void {
  const limits = i32x4.splat(threshold);
  const scales = f32x4.splat(scale);
  for (let sample: u32 = 0; sample < samples; sample++) {
    let at = dst + (<usize>sample * sampleFloats << 2);
    const position = i32x4.splat(firstPosition + sample);
    for (let done: u32 = 0; done < sampleFloats; done += 16) {
      drawBlocks(done >> 2, position, path0, path1, key0, key1);
      const v0 = v128.and(i32x4.lt_u(word0, limits), scales);
      const v1 = v128.and(i32x4.lt_u(word1, limits), scales);
      const v2 = v128.and(i32x4.lt_u(word2, limits), scales);
      const v3 = v128.and(i32x4.lt_u(word3, limits), scales);
      storeBlocks(at, v0, v1, v2, v3);
      at += 64;
    }
  }
}
