import { type BatchPlan, type BatchPlanOptions, batchPlan, evaluationPlan } from "@tutti/core/data";
import fc from "fast-check";
import { expect, test } from "vitest";

const options = fc
  .record({
    datasetSize: fc.integer({ min: 1, max: 300 }),
    shards: fc.integer({ min: 1, max: 9 }),
    extra: fc.integer({ min: 0, max: 60 }),
    all: fc.boolean(),
    lastBatch: fc.constantFrom("train" as const, "drop" as const),
    seed: fc.integer({ min: 0, max: 2 ** 31 }),
  })
  .map(({ extra, all, ...rest }): BatchPlanOptions => ({ ...rest, batchSize: all ? "all" : rest.shards + extra }))
  .filter(({ datasetSize, batchSize, lastBatch, shards }) =>
    batchSize === "all" ? datasetSize >= shards : lastBatch === "train" || datasetSize >= batchSize,
  );

function sizesOf(plan: Pick<BatchPlan, "shardShapes">): number[] {
  return plan.shardShapes().map(({ samples }) => samples);
}

function rowsOfEpoch(plan: BatchPlan, epoch: number): number[] {
  const rows: number[] = [];
  for (let index = 0; index < plan.stepsPerEpoch; index++) {
    const batch = plan.at(epoch * plan.stepsPerEpoch + index);
    expect(batch).toMatchObject({ epoch, index });
    for (const { lo, hi } of batch.shards) {
      for (let position = lo; position < hi; position++) rows.push(plan.row(epoch, batch.firstPosition + position));
    }
  }
  return rows;
}

test("visits every row of every epoch once, and drops only the rest of a division", () => {
  fc.assert(
    fc.property(options, (chosen) => {
      const plan = batchPlan(chosen);
      for (const epoch of [0, 1, 5]) {
        const rows = rowsOfEpoch(plan, epoch);
        const kept =
          chosen.lastBatch === "drop" ? chosen.datasetSize - (chosen.datasetSize % plan.batchSize) : chosen.datasetSize;
        expect(rows.length).toBe(kept);
        expect(new Set(rows).size).toBe(kept);
        expect(rows.every((row) => row >= 0 && row < chosen.datasetSize)).toBe(true);
      }
    }),
  );
});

test("cuts every batch into shards without gap, overlap or empty shard", () => {
  fc.assert(
    fc.property(options, (chosen) => {
      const plan = batchPlan(chosen);
      for (let step = 0; step < plan.stepsPerEpoch; step++) {
        const { samples, shards } = plan.at(step);
        expect(shards[0]!.lo).toBe(0);
        expect(shards.at(-1)!.hi).toBe(samples);
        for (const [index, shard] of shards.entries()) {
          expect(shard.hi).toBeGreaterThan(shard.lo);
          if (index > 0) expect(shard.lo).toBe(shards[index - 1]!.hi);
        }
        expect(shards.length).toBe(Math.ceil((samples * chosen.shards) / plan.batchSize));
      }
    }),
  );
});

test("lists exactly the shard sizes that occur", () => {
  fc.assert(
    fc.property(options, (chosen) => {
      const plan = batchPlan(chosen);
      const occurring = new Set<number>();
      for (let step = 0; step < 2 * plan.stepsPerEpoch; step++) {
        for (const { lo, hi } of plan.at(step).shards) occurring.add(hi - lo);
      }
      expect(sizesOf(plan)).toEqual([...occurring].sort((a, b) => a - b));
    }),
  );
});

test("follows the rule of the design on a batch worked out by hand", () => {
  const plan = batchPlan({ datasetSize: 25, batchSize: 10, lastBatch: "train", shards: 4, seed: 1 });
  expect(plan.stepsPerEpoch).toBe(3);
  expect(plan.at(3)).toEqual({
    epoch: 1,
    index: 0,
    samples: 10,
    firstPosition: 0,
    shards: [
      { lo: 0, hi: 2 },
      { lo: 2, hi: 5 },
      { lo: 5, hi: 7 },
      { lo: 7, hi: 10 },
    ],
  });
  // 5 samples at 4 shards per 10 are ceil(2) = 2 shards: 0…2 and 2…5.
  expect(plan.at(5)).toMatchObject({
    samples: 5,
    firstPosition: 20,
    shards: [
      { lo: 0, hi: 2 },
      { lo: 2, hi: 5 },
    ],
  });
  expect(sizesOf(plan)).toEqual([2, 3]);
});

test("gives the same rows whatever was asked before, and others for another seed or epoch", () => {
  const make = (seed: number) => batchPlan({ datasetSize: 100, batchSize: 10, lastBatch: "train", shards: 2, seed });
  const epochs = (plan: BatchPlan, order: readonly number[]) =>
    order.map((epoch) => Array.from({ length: 100 }, (_, position) => plan.row(epoch, position)));
  const [zero, one] = epochs(make(7), [0, 1]);
  expect(epochs(make(7), [1, 0])).toEqual([one, zero]);
  expect(one).not.toEqual(zero);
  expect(epochs(make(8), [0])).not.toEqual([zero]);
});

test("refuses plans that have no batch or empty shards", () => {
  const plan = (chosen: Partial<BatchPlanOptions>) => () =>
    batchPlan({ datasetSize: 10, batchSize: 4, lastBatch: "train", shards: 2, seed: 0, ...chosen });
  expect(plan({ shards: 5 })).toThrow("batchSize 4 is smaller than shards 5");
  expect(plan({ batchSize: "all", shards: 11 })).toThrow("batchSize 10 is smaller than shards 11");
  expect(plan({ batchSize: 11, lastBatch: "drop" })).toThrow("the 10 rows do not fill one batch of 11");
  expect(plan({ batchSize: 2.5 })).toThrow("batchSize: expected a positive integer, found 2.5");
  expect(plan({ shards: 0 })).toThrow("shards: expected a positive integer, found 0");
});

test("evaluates rows in their own order, the last shard short", () => {
  const plan = evaluationPlan({ datasetSize: 10, shardSize: 4 });
  expect(plan.shards).toEqual([
    { lo: 0, hi: 4 },
    { lo: 4, hi: 8 },
    { lo: 8, hi: 10 },
  ]);
  expect(sizesOf(plan)).toEqual([2, 4]);
  expect(sizesOf(evaluationPlan({ datasetSize: 8, shardSize: 8 }))).toEqual([8]);
});
