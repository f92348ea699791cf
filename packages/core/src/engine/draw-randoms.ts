import type { Kernels } from "../kernels/index.ts";
import { randomWords } from "../random/index.ts";
import type { ProgramManifest } from "../step/shard-program.ts";
import { elementsOf, packedRandoms } from "./packed-tensors.ts";

/** What random inputs are a function of, beside the program. */
export interface RandomPosition {
  readonly seed: number;
  readonly step: number;
  /** Position of the shard's first sample in the global batch. */
  readonly firstPosition: number;
}

/**
 * Fills the block at `address` with a program's random inputs, packed as `packedRandoms` says. Key: the seed. Counter: block
 * of the sample's values, its position, and the hash of ("dropout", call, step); see `Kernels.bernoulli`.
 */
export function drawRandoms(
  kernels: Kernels,
  program: ProgramManifest,
  address: number,
  { seed, step, firstPosition }: RandomPosition,
): void {
  if (program.randoms.length === 0) return;
  const { offsets } = packedRandoms(program);
  for (const [i, { shape, keep, call }] of program.randoms.entries()) {
    const { key, path } = randomWords(seed, "dropout", call, step);
    const range = { count: program.samples, floats: elementsOf(shape) / program.samples, firstPosition };
    kernels.bernoulli(address + offsets[i]!, range, key, path, Math.floor(keep * 2 ** 32), 1 / keep);
  }
}
