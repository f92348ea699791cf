import { TuttiError } from "../errors/index.ts";
import { portableLog, type RandomStream, randomStream } from "../random/index.ts";
import type { Dataset } from "./dataset.ts";
import { requireWeight } from "./sample-weights.ts";
import { scalarColumn } from "./scalar-column.ts";

/** The rows of one epoch in their order. */
export interface RowOrder {
  /** The data set's row at a position of 0 … samples − 1. */
  at(position: number): number;
}

/** Which rows make an epoch: a pure function of the epoch's number. */
export interface RowSampling {
  /** Of every epoch. */
  readonly samples: number;
  order(epoch: number): RowOrder;
}

export interface WeightedSamplingOptions {
  /** One for each row, as `samplingWeights` gives them. */
  readonly weights: Float64Array;
  readonly replacement: boolean;
  /** Of an epoch; null: the number of rows. */
  readonly samples: number | null;
  readonly seed: number;
}

const samplingStream = "sampling";

/**
 * A scalar column as sampling weights, in row order.
 *
 * @throws TuttiError BAD_OPTION for a column that does not exist or is no scalar; DATA_INVALID naming the row (from 1) for a
 *   weight that is negative, NaN or infinite, and where no weight is positive or their sum is infinite.
 */
export async function samplingWeights(dataset: Dataset, column: string): Promise<Float64Array> {
  requireScalar(dataset, column, "weights");
  const weights = await scalarColumn(dataset, column);
  checkWeights(weights, column);
  return weights;
}

/**
 * Weights that draw every class as often as any other: 1 over the number of rows of the row's class. A class is a value of a
 * scalar column.
 *
 * @throws TuttiError BAD_OPTION for a column that does not exist or is no scalar.
 */
export async function balancingWeights(dataset: Dataset, column: string): Promise<Float64Array> {
  requireScalar(dataset, column, "balance");
  const classes = await scalarColumn(dataset, column);
  const rows = new Map<number, number>();
  for (const value of classes) rows.set(value, (rows.get(value) ?? 0) + 1);
  return classes.map((value) => 1 / rows.get(value)!);
}

function requireScalar(dataset: Dataset, column: string, option: "weights" | "balance"): void {
  const type = Object.hasOwn(dataset.columns, column) ? dataset.columns[column] : undefined;
  if (type === undefined || type.shape.length > 0) {
    const found = type === undefined ? "no such column" : `shape [${type.shape.join(", ")}]`;
    throw new TuttiError(
      "BAD_OPTION",
      `sampling.${option}: expected a column with one number a row, found for "${column}": ${found}; the training data has ${Object.keys(dataset.columns).join(", ")}`,
    );
  }
}

function checkWeights(weights: Float64Array, column: string): void {
  let sum = 0;
  for (let row = 0; row < weights.length; row++) {
    const weight = weights[row]!;
    sum += weight;
    requireWeight(weight, "sampling.weights", column, row);
  }
  if (sum > 0 && sum < Number.POSITIVE_INFINITY) return;
  const found = sum === 0 ? `${weights.length} rows of weight 0` : "an infinite sum";
  throw new TuttiError(
    "DATA_INVALID",
    `sampling.weights: column "${column}": expected weights some of which are positive and whose sum is finite, found ${found}`,
    { column },
  );
}

/**
 * Draws rows by weight, keyed by (seed, epoch) and, with replacement, the position: by inverting the cumulative weights.
 * Without replacement, by exponential keys (Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006):
 * rows in ascending order of −ln(u)/weight, u being keyed by the row; the same as drawing one after the other in proportion to
 * the weights of what is left. Rows of weight 0 are never drawn.
 *
 * @throws TuttiError BAD_OPTION for more samples without replacement than rows with a positive weight.
 */
export function weightedSampling(options: WeightedSamplingOptions): RowSampling {
  const { weights, replacement, seed } = options;
  const samples = options.samples ?? weights.length;
  if (replacement) {
    const cumulative = cumulativeOf(weights);
    const last = weights.findLastIndex((weight) => weight > 0);
    return { samples, order: (epoch) => drawnOrder(cumulative, last, randomStream(seed, samplingStream, epoch)) };
  }
  const drawable = weights.reduce((count, weight) => count + (weight > 0 ? 1 : 0), 0);
  if (samples > drawable) {
    throw new TuttiError(
      "BAD_OPTION",
      `sampling: an epoch of ${samples} samples cannot be drawn without replacement from ${drawable} rows of positive weight: set sampling.samples to at most ${drawable}, or sampling.replacement to true`,
      { samples, drawable },
    );
  }
  return { samples, order: (epoch) => keyedOrder(weights, samples, randomStream(seed, samplingStream, epoch)) };
}

/** Sums of the weights up to and with each row, added in row order. */
function cumulativeOf(weights: Float64Array): Float64Array {
  let sum = 0;
  return weights.map((weight) => {
    sum += weight;
    return sum;
  });
}

/** @param last the last row of positive weight. */
function drawnOrder(cumulative: Float64Array, last: number, stream: RandomStream): RowOrder {
  const total = cumulative[last]!;
  return {
    at(position) {
      const target = (bitsAt(stream, position) / 2 ** 52) * total;
      // The first row whose sum is above the target: never one of weight 0, whose sum is that of the row before.
      let [low, high] = [0, last];
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (cumulative[middle]! > target) high = middle;
        else low = middle + 1;
      }
      return low;
    },
  };
}

function keyedOrder(weights: Float64Array, samples: number, stream: RandomStream): RowOrder {
  const largest = weights.reduce((most, weight) => Math.max(most, weight), 0);
  const keys = weights.map((weight, row) => {
    if (weight === 0) return Number.POSITIVE_INFINITY;
    const uniform = (bitsAt(stream, row) + 0.5) / 2 ** 52; // in (0, 1), exactly
    // A ratio that underflows must still come before the rows of weight 0.
    return Math.min(-portableLog(uniform) / (weight / largest), Number.MAX_VALUE);
  });
  const rows = Uint32Array.from(weights, (_, row) => row);
  rows.sort((a, b) => keys[a]! - keys[b]! || a - b);
  const order = rows.slice(0, samples);
  return { at: (position) => order[position]! };
}

/** Value `index` of 52 random bits, as an integer. */
function bitsAt(stream: RandomStream, index: number): number {
  return (stream.uint32At(2 * index) >>> 0) * 2 ** 20 + (stream.uint32At(2 * index + 1) >>> 12);
}
