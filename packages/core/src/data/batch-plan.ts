import { TuttiError } from "../errors/index.ts";
import { permutation } from "../random/index.ts";
import type { Sequences } from "./dataset.ts";
import type { RowSampling } from "./sampling.ts";

/** Positions lo … hi−1. */
export interface Span {
  readonly lo: number;
  readonly hi: number;
}

/** A shard, and the length that its sequences are padded to; undefined where all rows have one shape. */
export interface PaddedSpan extends Span {
  readonly paddedTo: number | undefined;
}

/** What a program is built for. */
export interface ShardShape {
  readonly samples: number;
  readonly paddedTo: number | undefined;
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
  /** Which rows make an epoch; by default each of them once, in a random order. */
  readonly sampling?: RowSampling | undefined;
  /** Where rows hold sequences of different lengths. */
  readonly sequences?: Pick<Sequences, "lengths" | "lengthOf"> | undefined;
}

/** One step's batch. */
export interface PlannedBatch {
  readonly epoch: number;
  /** Which batch of the epoch, from 0. */
  readonly index: number;
  readonly samples: number;
  /** Position in the epoch of the batch's first sample. */
  readonly firstPosition: number;
  /** Length that sequences of the whole batch are padded to: the least that holds the longest of them. */
  readonly paddedTo: number | undefined;
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
  /** All shapes a shard can have in this run, ascending: what must be compiled before step 1. */
  shardShapes(): readonly ShardShape[];
}

/**
 * Cuts epochs into batches and batches into shards. Shard i of a full batch of B covers positions
 * ⌊iB/V⌋ … ⌊(i+1)B/V⌋; a short batch of n is cut into ⌈nV/B⌉ shards by the same rule. The order of an epoch depends
 * only on seed and epoch. Throws BAD_OPTION when a full batch has fewer samples than shards or there is no batch at all.
 */
export function batchPlan(options: BatchPlanOptions): BatchPlan {
  const { lastBatch, shards, seed, sequences } = options;
  const sampling = options.sampling ?? {
    samples: options.datasetSize,
    order: (epoch) => permutation(seed, epoch, options.datasetSize),
  };
  const datasetSize = sampling.samples;
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
  let order = { epoch: 0, rows: sampling.order(0) };
  const row = (epoch: number, position: number): number => {
    if (order.epoch !== epoch) order = { epoch, rows: sampling.order(epoch) };
    return order.rows.at(position);
  };
  const paddedTo = (epoch: number, first: number, samples: number): number | undefined => {
    if (sequences === undefined) return undefined;
    let longest = 0;
    for (let i = 0; i < samples; i++) longest = Math.max(longest, sequences.lengthOf(row(epoch, first + i)));
    return longest;
  };
  return {
    batchSize,
    stepsPerEpoch,
    at(step) {
      const index = step % stepsPerEpoch;
      const isFull = index < fullSteps;
      const epoch = Math.floor(step / stepsPerEpoch);
      const samples = isFull ? batchSize : rest;
      const firstPosition = index * batchSize;
      return {
        epoch,
        index,
        samples,
        firstPosition,
        paddedTo: paddedTo(epoch, firstPosition, samples),
        shards: isFull ? fullShards : shortShards,
      };
    },
    row,
    shardShapes() {
      const occurring = [...(fullSteps > 0 ? fullShards : []), ...(stepsPerEpoch > fullSteps ? shortShards : [])];
      const lengths = sequences?.lengths ?? [undefined];
      return shapesOf(occurring.flatMap((span) => lengths.map((length) => ({ ...span, paddedTo: length }))));
    },
  };
}

export interface EvaluationPlan {
  readonly datasetSize: number;
  /** Each padded for itself. */
  readonly shards: readonly PaddedSpan[];
  /** All shapes of its shards, ascending. */
  shardShapes(): readonly ShardShape[];
}

/** Rows in their own order, in shards of a fixed size; the last one may be shorter. Throws BAD_OPTION. */
export function evaluationPlan(options: {
  readonly datasetSize: number;
  readonly shardSize: number;
  readonly sequences?: Pick<Sequences, "lengthOf"> | undefined;
}): EvaluationPlan {
  const { datasetSize, shardSize, sequences } = options;
  requirePositive("shardSize", shardSize);
  const shards = Array.from({ length: Math.ceil(datasetSize / shardSize) }, (_, index) => {
    const lo = index * shardSize;
    const hi = Math.min(datasetSize, lo + shardSize);
    if (sequences === undefined) return { lo, hi, paddedTo: undefined };
    let longest = 0;
    for (let row = lo; row < hi; row++) longest = Math.max(longest, sequences.lengthOf(row));
    return { lo, hi, paddedTo: longest };
  });
  return { datasetSize, shards, shardShapes: () => shapesOf(shards) };
}

function shapesOf(shards: readonly PaddedSpan[]): readonly ShardShape[] {
  const shapes = new Map<string, ShardShape>();
  for (const { lo, hi, paddedTo } of shards) shapes.set(`${hi - lo}/${paddedTo}`, { samples: hi - lo, paddedTo });
  return [...shapes.values()].sort((a, b) => a.samples - b.samples || (a.paddedTo ?? 0) - (b.paddedTo ?? 0));
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
