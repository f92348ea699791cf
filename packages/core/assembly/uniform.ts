// Uniform numbers in float64, with the operations of src/random/stream.ts in their order, so that both give the same bits.
import { drawBlocks, storeBlocks, word0, word1, word2, word3 } from "./philox";
import { demote, upper } from "./vectors";

/** low + span · k/2^24 of four words, k being their upper 24 bits. */
@inline
function within(words: v128, low: v128, span: v128): v128 {
  const unit = f64x2.splat(1.0 / 16777216.0); // exact, as dividing is
  const k = i32x4.shr_u(words, 8);
  const first = f64x2.add(low, f64x2.mul(span, f64x2.mul(f64x2.convert_low_i32x4_u(k), unit)));
  const second = f64x2.add(low, f64x2.mul(span, f64x2.mul(f64x2.convert_low_i32x4_u(upper(k)), unit)));
  return demote(first, second);
}

/**
 * The uniform float32 of `blocks` blocks, four each, from low on and `span` wide: those of the block with key (key0, key1) and counter
 * (firstBlock + i, blockHigh, path0, path1). Writes 16 floats at a time: up to 48 bytes beyond the last block.
 */
export function uniform(
  dst: usize, blocks: u32, firstBlock: u32, blockHigh: u32,
  key0: u32, key1: u32, path0: u32, path1: u32, low: f64, span: f64,
): void {
  const position = i32x4.splat(blockHigh);
  const lows = f64x2.splat(low);
  const spans = f64x2.splat(span);
  let at = dst;
  for (let done: u32 = 0; done < blocks; done += 4) {
    drawBlocks(firstBlock + done, position, path0, path1, key0, key1);
    const v0 = within(word0, lows, spans);
    const v1 = within(word1, lows, spans);
    const v2 = within(word2, lows, spans);
    const v3 = within(word3, lows, spans);
    storeBlocks(at, v0, v1, v2, v3);
    at += 64;
  }
}
