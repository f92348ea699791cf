import type { GradientRounding } from "../compression/gradient-rounding.ts";
import { isTuttiError } from "../errors/index.ts";
import type { TreeNode } from "../step/tree.ts";

/**
 * What a lane computes in one go: a node of the canonical tree, shard after shard. Plain data, sent to the lane's thread.
 * All addresses are bytes in the arena; sums are float32 and flat.
 */
export interface Piece {
  readonly node: TreeNode;
  /** One for each shard of the node, in order. */
  readonly shards: readonly PieceShard[];
  readonly parameters: number;
  readonly generation: number;
  readonly seed: number;
  readonly step: number;
  /** A block of the lane's own for random inputs; 0 if the programs have none. */
  readonly randoms: number;
  /** Floats of one buffer of sums; 0 for evaluation. */
  readonly sumsFloats: number;
  /** Buffers of sums: the first receives the node's, the others are the lane's own; `buffersFor(node)` of them. */
  readonly buffers: readonly number[];
  /** An Int32 that becomes 1 when the result is no longer wanted. */
  readonly cancelled: number;
  readonly rounding: GradientRounding | undefined;
  /** From this piece up to the root of the task: where it meets its neighbours. */
  readonly joins: readonly Join[];
}

export interface PieceShard {
  readonly programId: string;
  readonly columns: number;
  readonly firstPosition: number;
  readonly scalars: number;
  readonly collects: number;
}

/** A node above the pieces. Whoever finishes second of its two halves adds them: left += right. */
export interface Join {
  readonly node: TreeNode;
  /** An Int32, 0 before the task starts. */
  readonly finished: number;
  readonly left: number;
  readonly right: number;
}

/** How a lane's piece ended. Errors cross threads as their parts, since structured clones of errors lose their code. */
export type PieceOutcome =
  | { readonly status: "done"; readonly busyMs: number }
  | { readonly status: "cancelled" }
  | EngineFailure;

export interface EngineFailure {
  readonly status: "failed";
  readonly code: "ENGINE_FAILED" | "ENGINE_MISSING" | "INTERNAL";
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

export function failureOf(error: unknown): EngineFailure {
  if (isTuttiError(error) && (error.code === "ENGINE_FAILED" || error.code === "ENGINE_MISSING")) {
    return { status: "failed", code: error.code, message: error.message, details: error.details };
  }
  return {
    status: "failed",
    code: "INTERNAL",
    message: error instanceof Error ? error.message : String(error),
    details: {},
  };
}
