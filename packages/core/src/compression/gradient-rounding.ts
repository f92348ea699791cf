import type { Kernels, PackedFormat } from "../kernels/index.ts";
import { randomWords } from "../random/index.ts";
import type { TreeNode } from "../step/tree.ts";

/**
 * Which sums of a run are rounded, so that they travel in fewer bytes: those of every node of at least `leastShards` shards,
 * as soon as the node's sum is known, wherever it is computed, also where nothing travels. A property of the run, so that
 * who computes what still cannot change a bit. JSON.
 */
export interface GradientRounding {
  readonly to: PackedFormat;
  /** The prefix of the sums that is rounded: the gradients, not the statistics behind them. A multiple of 16. */
  readonly floats: number;
  /** A power of two. */
  readonly leastShards: number;
}

/** Leaves of the part of the tree whose nodes are rounded; with all nodes above them fewer than twice as many. */
const mostRoundedLeaves = 8;

/** @param shards V. @param floats of the gradients. */
export function gradientRounding(to: PackedFormat, shards: number, floats: number): GradientRounding {
  let leastShards = 1;
  while (leastShards * mostRoundedLeaves < shards) leastShards *= 2;
  return { to, floats, leastShards };
}

export function isRounded(rounding: GradientRounding | undefined, { lo, hi }: TreeNode): rounding is GradientRounding {
  return rounding !== undefined && hi - lo >= rounding.leastShards;
}

/** What the random bits of a rounding are a function of, beside the coordinate. */
export interface RoundingPlace {
  readonly seed: number;
  /** t: the step whose parameters are used. */
  readonly step: number;
  readonly node: TreeNode;
}

/**
 * Rounds the floats [begin, end) of a node's sums in place, as far as they are rounded at all. `begin` is a multiple of 32.
 * @param sums address of the whole buffer, or where it would begin.
 */
export function roundSums(
  kernels: Kernels,
  { to, floats }: GradientRounding,
  { seed, step, node }: RoundingPlace,
  sums: number,
  begin: number,
  end: number,
): void {
  const count = Math.min(end, floats) - begin;
  if (count <= 0) return;
  const { key, path } = randomWords(seed, "compress", step, node.lo, node.hi);
  kernels.round(to, sums + begin * 4, count, begin, key, path);
}
