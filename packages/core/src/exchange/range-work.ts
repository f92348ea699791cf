import type { Kernels } from "../kernels/index.ts";
import type { CompiledOptimizer, UpdateRange } from "../optim/index.ts";

/** What is done with every range of a step's gradient, in any order and by any thread: the bits are the same. */
export interface RangeWork extends Omit<UpdateRange, "begin" | "end"> {
  /** "exactSquares" in float64, of the gradient; "quickSquares" mostly in float32, of its sum; both by blocks. */
  readonly kinds: readonly WorkKind[];
}

export type WorkKind = "exactSquares" | "quickSquares" | "update";

/** What a thread does it with. */
export interface RangeTools {
  readonly kernels: Kernels;
  readonly optimizer: CompiledOptimizer;
  /** The gradient's norm is summed over blocks of this many floats of the layout. */
  readonly normBlockFloats: number;
  /** Sum of squares by block of the layout. */
  readonly blockSquares: Float64Array;
}

/** Floats that are gone through at a time, so that what follows finds them in the cache: whole blocks. */
export function stretchFloats({ normBlockFloats }: Pick<RangeTools, "normBlockFloats">): number {
  return 2 * normBlockFloats;
}

/** Does `work` with floats [begin, end) of the layout; begin is the first of a block, end the last of one or of the layout. */
export function workOnRange(tools: RangeTools, work: RangeWork, begin: number, end: number): void {
  const stretch = stretchFloats(tools);
  for (let at = begin; at < end; at += stretch) {
    const stretchEnd = Math.min(end, at + stretch);
    for (const kind of work.kinds) {
      if (kind === "update") tools.optimizer.update(tools.kernels, { ...work, begin: at, end: stretchEnd });
      else squareBlocks(tools, kind, work, at, stretchEnd);
    }
  }
}

function squareBlocks(
  { kernels, normBlockFloats, blockSquares }: RangeTools,
  kind: "exactSquares" | "quickSquares",
  { gradientSum, divisor }: RangeWork,
  begin: number,
  end: number,
): void {
  for (let at = begin; at < end; at += normBlockFloats) {
    const count = Math.min(normBlockFloats, end - at);
    const address = gradientSum + at * 4;
    blockSquares[at / normBlockFloats] =
      kind === "exactSquares" ? kernels.sumOfSquares(address, count, divisor) : kernels.quickSquares(address, count);
  }
}
