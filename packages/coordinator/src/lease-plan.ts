import { coverRange, type TreeNode } from "@tutti/core/step";

/** Work for one worker: canonical nodes, in order. */
export interface LeaseShare<Worker> {
  readonly worker: Worker;
  readonly nodes: readonly TreeNode[];
}

/** Speeds that are no more apart are taken as equal: another cut gains less than the sums of one more node cost to send. */
const equalWithin = 1.3;

/**
 * Cuts a step's shards into one contiguous run per worker, in proportion to `weight` (shards per second, or lanes), each
 * run covered by the fewest canonical nodes. Workers beyond the number of shards get nothing. Pure: the same arguments
 * give the same plan; whatever it gives cannot change a bit of the result.
 */
export function planLeases<Worker>(
  shards: number,
  workers: readonly { readonly worker: Worker; readonly weight: number }[],
): readonly LeaseShare<Worker>[] {
  const [only] = workers;
  if (only !== undefined && workers.length === 1)
    return [{ worker: only.worker, nodes: coverRange(shards, 0, shards) }];
  const counts = proportionalCounts(shards, evened(workers.map(({ weight }) => weight)));
  let lo = 0;
  return workers.map(({ worker }, i) => {
    const hi = lo + counts[i]!;
    const nodes = coverRange(shards, lo, hi);
    lo = hi;
    return { worker, nodes };
  });
}

function evened(weights: readonly number[]): readonly number[] {
  return Math.max(...weights) <= equalWithin * Math.min(...weights) ? weights.map(() => 1) : weights;
}

/** Largest remainders (Hamilton): whole numbers in proportion to the weights that add up to `total`; ties go to the first. */
export function proportionalCounts(total: number, weights: readonly number[]): readonly number[] {
  const sum = weights.reduce((a, b) => a + b, 0);
  const exact = weights.map((weight) => (sum > 0 ? (total * weight) / sum : total / weights.length));
  const counts = exact.map(Math.floor);
  const order = exact.map((value, i) => ({ i, rest: value - counts[i]! })).sort((a, b) => b.rest - a.rest || a.i - b.i);
  let left = total - counts.reduce((a, b) => a + b, 0);
  for (const { i } of order) {
    if (left === 0) break;
    counts[i]!++;
    left--;
  }
  // A worker with a share too small to round to one shard still gets one while another has several.
  for (let i = 0; i < counts.length; i++) {
    if (counts[i]! > 0 || weights[i]! <= 0) continue;
    const richest = counts.indexOf(Math.max(...counts));
    if (counts[richest]! < 2) break;
    counts[richest]!--;
    counts[i]!++;
  }
  return counts;
}
