import type { GradientRounding } from "../compression/gradient-rounding.ts";
import type { ShardProgram } from "../step/shard-program.ts";
import type { TreeNode } from "../step/tree.ts";

/** All the computing a process does, on any number of lanes. The simulator has its own. */
export interface Lanes {
  /** Pieces that are computed at the same time. */
  readonly count: number;
  /**
   * Compiles the program in every lane, in parallel; at once if it is loaded already. Throws ENGINE_FAILED if the engine
   * refuses the program or the program's manifest describes another graph.
   */
  load(program: ShardProgram): Promise<void>;
  /**
   * Computes a node: the program of each of its shards is run, and the sums are added in float32 in the order of the
   * canonical tree, so that lanes cannot change a bit. Any number of calls may be under way; they take turns in the order
   * they came. Throws ENGINE_FAILED, INTERNAL for a shard or program that was not given, and the signal's reason.
   */
  compute(task: NodeTask): Promise<NodeResult>;
  /** Waits for what is under way, then ends the lanes. */
  close(): Promise<void>;
}

/** All addresses are bytes in the process's arena, multiples of 64; the caller keeps the blocks unchanged until the result. */
export interface NodeTask {
  readonly node: TreeNode;
  /** By shard index; every shard of the node must be there. */
  readonly shards: ReadonlyMap<number, ShardInput>;
  /** The flat parameter buffer. */
  readonly parameters: number;
  /** Must differ whenever the bytes at `parameters` do: lanes that keep a copy of them renew it when it changes. */
  readonly generation: number;
  /** What random inputs depend on, beside the samples' positions. */
  readonly seed: number;
  readonly step: number;
  /** Which nodes' sums are rounded as soon as they are known; none by default. */
  readonly rounding?: GradientRounding | undefined;
  readonly abort?: AbortSignal | undefined;
}

export interface ShardInput {
  readonly programId: string;
  /** The shard's batch data, packed as `packedColumns` says. */
  readonly columns: number;
  /** Position of the shard's first sample in the global batch. */
  readonly firstPosition: number;
}

export interface NodeResult {
  /** Address of the node's flat float32 sums, valid until `release`; 0 if the programs have none. */
  readonly sums: number;
  /** One row per shard of the node, in order, each as long as the programs' scalars. The caller's. */
  readonly scalars: Float32Array<ArrayBuffer>;
  /** For each shard, in order, the address of its per-sample outputs, packed as `packedCollects` says; valid until `release`. */
  readonly collects: readonly number[];
  /** Milliseconds from the start of the first piece to the end of the last. */
  readonly computeMs: number;
  /** Gives the buffers back to the lanes. Further calls do nothing. */
  release(): void;
}
