import { expect, test } from "vitest";
import { checkAllWorked, firstDifference, type Trace } from "../../src/cli/verify/traces.ts";

function traceOf(steps: readonly (readonly [hash: string, loss: number])[], others: Partial<Trace> = {}): Trace {
  return {
    workers: 2,
    shards: 4,
    leases: [3, 3],
    wallMs: 1,
    ...others,
    steps: steps.map(([weightsSha256, loss]) => ({ weightsSha256, loss })),
  };
}

const reference = traceOf([
  ["a", 3],
  ["b", 2],
  ["c", 1],
]);

test("finds no difference between equal traces", () => {
  expect(
    firstDifference(reference, traceOf(reference.steps.map(({ weightsSha256, loss }) => [weightsSha256, loss]))),
  ).toBe(undefined);
});

test("names the first step with other weights, even when later ones agree again", () => {
  const other = traceOf([
    ["a", 3],
    ["x", 2],
    ["c", 1],
  ]);
  expect(firstDifference(reference, other)).toBe(2);
});

test("takes another loss for a difference, down to the sign of zero", () => {
  expect(firstDifference(traceOf([["a", 0]]), traceOf([["a", -0]]))).toBe(1);
  expect(firstDifference(traceOf([["a", Number.NaN]]), traceOf([["a", Number.NaN]]))).toBe(undefined);
});

test("takes a trace that ends early for a difference", () => {
  expect(firstDifference(reference, traceOf([["a", 3]]))).toBe(2);
});

test("demands that every worker computed, as long as there are shards for all", () => {
  expect(() => checkAllWorked(traceOf([], { leases: [6, 0] }))).toThrow(/expected 2 workers to compute, found 1/);
  expect(() => checkAllWorked(traceOf([], { leases: [3, 3] }))).not.toThrow();
});

test("lets workers beyond the number of shards stand by", () => {
  expect(() => checkAllWorked(traceOf([], { workers: 3, shards: 2, leases: [3, 3, 0] }))).not.toThrow();
  expect(() => checkAllWorked(traceOf([], { workers: 3, shards: 2, leases: [6, 0, 0] }))).toThrow(/WORKER|found 1/);
});
