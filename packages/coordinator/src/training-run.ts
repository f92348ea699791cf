import type { GradientRounding } from "@tutti/core/compression";
import { type Figures, named } from "@tutti/core/metrics";
import type { CompiledOptimizer, EarlyStopping } from "@tutti/core/optim";
import type { FlatLayout, RunningStatistics, ShardProgram } from "@tutti/core/step";

/** One shard's rows, packed as its program's manifest says, or their numbers. */
export interface PreparedShard {
  readonly program: string;
  readonly samples: number;
  /** Place of its first sample in the global batch. */
  readonly firstPosition: number;
  /** Owned by the coordinator from now on. */
  readonly bytes: Uint8Array;
  /** The data set that workers read for themselves; `bytes` are then the numbers of its rows, uint32. */
  readonly dataset?: string;
}

/** The data of one step, cut into shards. */
export interface PreparedBatch {
  readonly epoch: number;
  readonly samples: number;
  readonly shards: readonly PreparedShard[];
}

/** A metric that is a fixed vector of sums per shard, added in float64 in shard order. */
export interface SumMetric {
  readonly name: string;
  /** How many of the scalars are its own; they follow each other in the order of the metrics. */
  readonly length: number;
  finish(sums: Float64Array): Figures;
}

/** Everything the coordinator must know of a run: plain values, programs, and where data comes from. */
export interface TrainingRun {
  readonly id: string;
  readonly definitionDigest: string;
  readonly seed: number;
  readonly batchSize: number;
  /** V. */
  readonly shards: number;
  /** All parameters. */
  readonly layout: FlatLayout;
  /** The prefix of it that steps change: what is trained, then buffers; the rest stays as it is. */
  readonly updated: FlatLayout;
  /** The prefix of it that is trained. */
  readonly trainable: FlatLayout;
  /** How buffers follow from the statistics of a step. */
  readonly statistics: readonly RunningStatistics[];
  readonly programs: readonly ShardProgram[];
  readonly optimizer: CompiledOptimizer;
  /** Of the sums of training nodes, if the run compresses them. */
  readonly rounding?: GradientRounding | undefined;
  /** When to end before the last step; null: never. */
  readonly earlyStopping: EarlyStopping | null;
  readonly stepsPerEpoch: number;
  readonly totalSteps: number;
  readonly metrics: readonly SumMetric[];
  /** What a worker computes to show its numeric class: the same for every run of this definition. At least one. */
  readonly canaries: readonly PreparedShard[];
  /** Data sets that workers read for themselves: a worker without them, or with others, is refused. */
  readonly placed: readonly { readonly name: string; readonly fingerprint: string }[];
  readonly batches: {
    /** @param step from 0. */
    read(step: number): Promise<PreparedBatch>;
  };
  readonly evaluation?: {
    readonly shards: number;
    readonly samples: number;
    readonly metrics: readonly SumMetric[];
    /** Steps after which validation runs, besides the last one. */
    isDue(step: number): boolean;
    read(shard: number): Promise<PreparedShard>;
    /** Size of the per-sample outputs of a shard, in bytes. */
    collectBytes(shard: number): number;
    /** Finishes the metrics of whole columns. @param blocks the per-sample outputs of each shard, in order. */
    finishCollected(blocks: readonly Uint8Array[]): Readonly<Record<string, number>>;
  };
}

/** Metrics from the scalars' sums, behind Σ weight·loss and Σ weight. */
export function finishMetrics(metrics: readonly SumMetric[], sums: Float64Array): Record<string, number> {
  let at = 2;
  const result: Record<string, number> = {};
  for (const { name, length, finish } of metrics) {
    Object.assign(result, named(name, finish(sums.subarray(at, at + length))));
    at += length;
  }
  return result;
}
