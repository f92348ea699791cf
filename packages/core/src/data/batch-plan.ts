import { TuttiError } from "../errors/index.ts";
import { permutation } from "../random/index.ts";

/** Positions lo … hi−1. */
export interface Span {
  readonly lo: number;
  readonly hi: number;
}

export interface BatchPlanOptions {
  readonly datasetSize: number;
  /** Samples in a full batch; "all" is one batch per epoch. */
  readonly batchSize: number | "all";
  /** What becomes of the samples that do not fill the last batch of an epoch. */
  readonly lastBatch: "train" | "drop";
  /** V: shards of a full batch. A property of the run, never of the cluster. */
  readonly shards: number;
  readonly seed: number;
}

/** One step's batch. */
export interface PlannedBatch {
  readonly epoch: number;
  /** Which batch of the epoch, from 0. */
  readonly index: number;
  readonly samples: number;
  /** Position in the epoch of the batch's first sample. */
  readonly firstPosition: number;
  /** Positions within the batch, in order and without gaps; none is empty. */
  readonly shards: readonly Span[];
}

/** Which rows make which shard of which step: a pure function of its options. */
export interface BatchPlan {
  /** Samples in a full batch. */
  readonly batchSize: number;
  readonly stepsPerEpoch: number;
  /** @param step global step, from 0. */
  at(step: number): PlannedBatch;
  /** The dataset row at a position of an epoch. */
  row(epoch: number, position: number): number;
  /** All sizes a shard can have in this run, ascending: what must be compiled before step 1. */
  shardSizes(): readonly number[];
}

/**
 * Cuts epochs into batches and batches into shards. Shard i of a full batch of B covers positions
 * ⌊iB/V⌋ … ⌊(i+1)B/V⌋; a short batch of n is cut into ⌈nV/B⌉ shards by the same rule. The order of an epoch depends
 * only on seed and epoch. Throws BAD_OPTION when a full batch has fewer samples than shards or there is no batch at all.
 */
export function batchPlan(options: BatchPlanOptions): BatchPlan {
  const { datasetSize, lastBatch, shards, seed } = options;
  const batchSize = options.batchSize === "all" ? datasetSize : options.batchSize;
  requirePositive("batchSize", batchSize);
  requirePositive("shards", shards);
  if (batchSize < shards) {
    throw new TuttiError(
      "BAD_OPTION",
      `batchSize ${batchSize} is smaller than shards ${shards}: every shard of a full batch needs a sample; lower shards or raise batchSize`,
      { batchSize, shards },
    );
  }
  const rest = datasetSize % batchSize;
  const fullSteps = (datasetSize - rest) / batchSize;
  const stepsPerEpoch = fullSteps + (rest > 0 && lastBatch === "train" ? 1 : 0);
  if (stepsPerEpoch === 0) {
    throw new TuttiError(
      "BAD_OPTION",
      `the ${datasetSize} rows do not fill one batch of ${batchSize}, and lastBatch is "drop": lower batchSize or use "train"`,
      { batchSize, datasetSize },
    );
  }
  const fullShards = spans(batchSize, shards);
  const shortShards = spans(rest, Math.ceil((rest * shards) / batchSize));
  let order = { epoch: 0, rows: permutation(seed, 0, datasetSize) };
  return {
    batchSize,
    stepsPerEpoch,
    at(step) {
      const index = step % stepsPerEpoch;
      const isFull = index < fullSteps;
      return {
        epoch: Math.floor(step / stepsPerEpoch),
        index,
        samples: isFull ? batchSize : rest,
        firstPosition: index * batchSize,
        shards: isFull ? fullShards : shortShards,
      };
    },
    row(epoch, position) {
      if (order.epoch !== epoch) order = { epoch, rows: permutation(seed, epoch, datasetSize) };
      return order.rows.at(position);
    },
    shardSizes() {
      const occurring = [...(fullSteps > 0 ? fullShards : []), ...(stepsPerEpoch > fullSteps ? shortShards : [])];
      return [...new Set(occurring.map(({ lo, hi }) => hi - lo))].sort((a, b) => a - b);
    },
  };
}

export interface EvaluationPlan {
  readonly datasetSize: number;
  readonly shards: readonly Span[];
  shardSizes(): readonly number[];
}

/** Rows in their own order, in shards of a fixed size; the last one may be shorter. Throws BAD_OPTION. */
export function evaluationPlan(options: { readonly datasetSize: number; readonly shardSize: number }): EvaluationPlan {
  const { datasetSize, shardSize } = options;
  requirePositive("shardSize", shardSize);
  const shards = Array.from({ length: Math.ceil(datasetSize / shardSize) }, (_, index) => ({
    lo: index * shardSize,
    hi: Math.min(datasetSize, (index + 1) * shardSize),
  }));
  return {
    datasetSize,
    shards,
    shardSizes: () => [...new Set(shards.map(({ lo, hi }) => hi - lo))].sort((a, b) => a - b),
  };
}

function spans(samples: number, count: number): readonly Span[] {
  return Array.from({ length: count }, (_, index) => ({
    lo: Math.floor((index * samples) / count),
    hi: Math.floor(((index + 1) * samples) / count),
  }));
}

function requirePositive(option: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new TuttiError("BAD_OPTION", `${option}: expected a positive integer, found ${value}`);
  }
}
