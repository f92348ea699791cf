import {
  batchPlan,
  checkSampleWeights,
  data,
  samplingWeights,
  type WeightedSamplingOptions,
  weightedSampling,
} from "@tutti/core/data";
import { permutation, randomStream } from "@tutti/core/random";
import { expect, test } from "vitest";
import { rejection } from "./read-all.ts";

const context = { baseDirectory: "/" };

function sampling(weights: readonly number[], options: Partial<WeightedSamplingOptions> = {}) {
  return weightedSampling({
    weights: Float64Array.from(weights),
    replacement: true,
    samples: null,
    seed: 1,
    ...options,
  });
}

/** Σ (found − expected)²/expected over cells of positive probability; their degrees of freedom are one less. */
function chiSquare(found: ReadonlyMap<string, number>, probabilities: ReadonlyMap<string, number>): number {
  const draws = [...found.values()].reduce((sum, count) => sum + count, 0);
  let sum = 0;
  for (const [cell, probability] of probabilities) {
    const expected = draws * probability;
    sum += ((found.get(cell) ?? 0) - expected) ** 2 / expected;
  }
  return sum;
}

function count(into: Map<string, number>, cell: string): void {
  into.set(cell, (into.get(cell) ?? 0) + 1);
}

/** 99.9 % quantiles of the chi-square distribution by degrees of freedom (tables). */
const quantile = { 4: 18.467, 11: 31.264 } as const;

test("draws rows in proportion to their weights, with replacement, and never one of weight 0", () => {
  const weights = [0, 1, 2, 3, 0, 4, 10, 0];
  const probabilities = new Map(
    weights.flatMap((weight, row) => (weight === 0 ? [] : [[`${row}`, weight / 20] as const])),
  );
  const statistics = Array.from({ length: 60 }, (_, seed) => {
    const { order, samples } = sampling(weights, { seed, samples: 1000 });
    const found = new Map<string, number>();
    for (const epoch of [0, 1]) {
      const rows = order(epoch);
      for (let position = 0; position < samples; position++) count(found, `${rows.at(position)}`);
    }
    expect([...found.keys()].sort()).toEqual(["1", "2", "3", "5", "6"]);
    return chiSquare(found, probabilities);
  });
  // The mean of 60 statistics of 4 degrees of freedom is 4 ± 0.37: neither too far from the weights nor too near to them.
  const mean = statistics.reduce((sum, value) => sum + value, 0) / statistics.length;
  expect(mean).toBeGreaterThan(2.9);
  expect(mean).toBeLessThan(5.1);
  expect(statistics.filter((value) => value > quantile[4]).length).toBeLessThan(2);
});

test("draws what exact arithmetic on the same random bits draws", () => {
  const weights = [3, 0, 5, 1, 1, 0, 7];
  const total = 17n;
  const rows = sampling(weights, { seed: 9 }).order(4);
  const stream = randomStream(9, "sampling", 4);
  for (let position = 0; position < 500; position++) {
    const high = BigInt(stream.uint32At(2 * position));
    const bits = (high << 20n) | BigInt(stream.uint32At(2 * position + 1) >>> 12);
    let cumulative = 0n;
    const row = weights.findIndex((weight) => {
      cumulative += BigInt(weight);
      return cumulative << 52n > bits * total;
    });
    expect(rows.at(position)).toBe(row);
  }
});

test("orders rows without replacement as if each were drawn from what is left", () => {
  const weights = [1, 2, 0, 3, 6];
  const drawable = [0, 1, 3, 4];
  // P(first i, then j) = wᵢ/W · wⱼ/(W − wᵢ)
  const probabilities = new Map<string, number>();
  for (const i of drawable) {
    for (const j of drawable) {
      if (i !== j) probabilities.set(`${i},${j}`, ((weights[i]! / 12) * weights[j]!) / (12 - weights[i]!));
    }
  }
  const statistics = Array.from({ length: 12 }, (_, seed) => {
    const { order, samples } = sampling(weights, { seed, replacement: false, samples: 4 });
    const found = new Map<string, number>();
    for (let epoch = 0; epoch < 1000; epoch++) {
      const rows = order(epoch);
      const drawn = Array.from({ length: samples }, (_, position) => rows.at(position));
      expect(drawn.toSorted()).toEqual(drawable);
      count(found, `${drawn[0]},${drawn[1]}`);
    }
    return chiSquare(found, probabilities);
  });
  const mean = statistics.reduce((sum, value) => sum + value, 0) / statistics.length;
  expect(mean).toBeGreaterThan(6.9); // 11 ± 1.35
  expect(mean).toBeLessThan(15.1);
  expect(statistics.filter((value) => value > quantile[11]).length).toBeLessThan(2);
});

test("gives the same rows whatever was asked before, others for another epoch or seed, and none for the weights' scale", () => {
  const weights = Array.from({ length: 50 }, (_, row) => 1 + (row % 5));
  for (const replacement of [true, false]) {
    const rows = (seed: number, epoch: number, scale = 1) => {
      const order = sampling(
        weights.map((weight) => weight * scale),
        { seed, replacement },
      ).order(epoch);
      return Array.from({ length: 50 }, (_, i) => order.at(49 - i)).reverse();
    };
    const forwards = sampling(weights, { seed: 3, replacement }).order(2);
    expect(rows(3, 2)).toEqual(Array.from({ length: 50 }, (_, i) => forwards.at(i)));
    expect(rows(3, 2, 2 ** -40)).toEqual(rows(3, 2));
    expect(rows(3, 1)).not.toEqual(rows(3, 2));
    expect(rows(4, 2)).not.toEqual(rows(3, 2));
  }
});

test("works at the ends of float64", () => {
  const tiny = sampling([5e-324, 0, 0], { samples: 40 }).order(0);
  expect(Array.from({ length: 40 }, (_, i) => tiny.at(i)).every((row) => row === 0)).toBe(true);
  const far = sampling([5e-324, 1e308, 0, 1], { replacement: false, samples: 3 }).order(0);
  expect([far.at(0), far.at(1), far.at(2)]).toEqual([1, 3, 0]);
});

test("refuses an epoch without replacement that has more samples than rows to draw", () => {
  const refused = () => sampling([1, 0, 2], { replacement: false });
  expect(refused).toThrow("3 samples cannot be drawn without replacement from 2 rows of positive weight");
  expect(refused).toThrow("set sampling.samples to at most 2");
  expect(sampling([1, 0, 2], { replacement: false, samples: 2 }).samples).toBe(2);
  expect(sampling([1, 0, 2]).samples).toBe(3);
});

test("reads weights of every dtype, over many reads", async () => {
  const rows = 70_000;
  const values = Array.from({ length: rows }, (_, row) => row % 100);
  for (const dtype of ["float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "int64"] as const) {
    const dataset = await data.arrays({ w: { dtype, shape: [], values } }).open(context);
    expect(await samplingWeights(dataset, "w")).toEqual(Float64Array.from(values));
  }
  const dataset = await data.arrays({ w: { dtype: "bool", shape: [], values: [true, false] } }).open(context);
  expect(await samplingWeights(dataset, "w")).toEqual(Float64Array.of(1, 0));
});

test("refuses columns that are no weights, with the row", async () => {
  const refusal = async (w: readonly number[], column = "w") => {
    const shaped = { dtype: "float64", shape: [], values: w } as const;
    const vector = { dtype: "uint8", shape: [2], values: new Uint8Array(2 * w.length) } as const;
    return rejection(samplingWeights(await data.arrays({ w: shaped, vector }).open(context), column));
  };
  expect(await refusal([1, 2, -0.5])).toEqual({
    code: "DATA_INVALID",
    message: 'sampling.weights: column "w", row 3: expected a finite weight of at least 0, found -0.5',
  });
  expect((await refusal([1, Number.NaN])).message).toMatch(/row 2: expected .* found NaN/);
  expect((await refusal([Number.POSITIVE_INFINITY])).message).toMatch(/row 1: expected .* found Infinity/);
  expect((await refusal([0, 0])).message).toMatch(/some of which are positive.* found 2 rows of weight 0/);
  expect((await refusal([1e308, 1e308])).message).toMatch(/found an infinite sum/);
  expect(await refusal([1], "weight")).toEqual({
    code: "BAD_OPTION",
    message:
      'sampling.weights: expected a column with one number a row, found for "weight": no such column; the training data has w, vector',
  });
  expect((await refusal([1], "vector")).message).toMatch(/shape \[2\]/);
});

test("refuses sample weights none of which is positive", async () => {
  const weighted = (weight: Float32Array) => data.arrays({ weight }).open(context);
  expect(await rejection(checkSampleWeights(await weighted(new Float32Array(3)), "data.train"))).toEqual({
    code: "DATA_INVALID",
    message: 'data.train: column "weight": expected weights some of which are positive, found 3 rows of weight 0',
  });
  await checkSampleWeights(await weighted(Float32Array.of(0, 0.25, 0)), "data.train");
});

test("the batch plan draws its rows by the sampling, and has its number of samples", () => {
  const drawn = sampling([1, 0, 0, 5], { samples: 10 });
  const plan = batchPlan({
    datasetSize: 4,
    batchSize: 4,
    lastBatch: "train",
    shards: 2,
    seed: 1,
    sampling: drawn,
  });
  expect(plan.stepsPerEpoch).toBe(3);
  expect(plan.at(5)).toMatchObject({ epoch: 1, samples: 2, firstPosition: 8 });
  for (const epoch of [1, 0]) {
    for (let position = 0; position < 10; position++) {
      expect(plan.row(epoch, position)).toBe(drawn.order(epoch).at(position));
    }
  }
  const all = { datasetSize: 4, batchSize: "all", lastBatch: "train", shards: 2, seed: 1 } as const;
  expect(batchPlan({ ...all, sampling: drawn }).batchSize).toBe(10);
  const plain = batchPlan(all);
  const order = permutation(1, 7, 4);
  expect([0, 1, 2, 3].map((position) => plain.row(7, position))).toEqual([0, 1, 2, 3].map((i) => order.at(i)));
});
