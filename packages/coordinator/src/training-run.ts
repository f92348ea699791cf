import type { CompiledOptimizer } from "@tutti/core/optim";
import type { FlatLayout, ShardProgram } from "@tutti/core/step";

/** One shard's rows, packed as its program's manifest says. */
export interface PreparedShard {
  readonly program: string;
  readonly samples: number;
  /** Owned by the coordinator from now on. */
  readonly bytes: Uint8Array;
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
  finish(sums: Float64Array): number;
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
  /** The prefix of it that is trained; the rest stays as it is. */
  readonly trainable: FlatLayout;
  readonly programs: readonly ShardProgram[];
  readonly optimizer: CompiledOptimizer;
  readonly stepsPerEpoch: number;
  readonly totalSteps: number;
  readonly metrics: readonly SumMetric[];
  /** What a worker computes to show its numeric class: the same for every run of this definition. At least one. */
  readonly canaries: readonly PreparedShard[];
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
  };
}
