import { expect, test } from "vitest";
import { Curves, curveNames } from "../../src/dashboard/curves.ts";
import { RecentSteps } from "../../src/dashboard/recent-steps.ts";
import { lossAt } from "./synthetic-run.ts";

const six = (value: number): number => Number(value.toPrecision(6));

test.each([100, 2048, 2049, 100_000, 131_072])(
  "keeps mean, minimum and maximum of every row over %i steps",
  (steps) => {
    const curves = new Curves();
    for (let step = 1; step <= steps; step++) curves.add(step, { loss: lossAt(step) });
    const { stride, steps: lastSteps, series } = curves.from(0);
    expect(lastSteps.length).toBeLessThanOrEqual(2048);
    expect(lastSteps.length).toBeGreaterThanOrEqual(Math.min(steps, 1024));
    expect(lastSteps.at(-1)).toBe(steps);
    let first = 1;
    for (const [row, last] of lastSteps.entries()) {
      const values = Array.from({ length: last - first + 1 }, (_, i) => lossAt(first + i));
      expect(values.length).toBeLessThanOrEqual(stride);
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      expect(series.loss!.mean[row]).toBeCloseTo(mean, 4);
      if (stride > 1) expect(series.loss!.min![row]).toBe(six(Math.min(...values)));
      if (stride > 1) expect(series.loss!.max![row]).toBe(six(Math.max(...values)));
      first = last + 1;
    }
    expect(first).toBe(steps + 1);
  },
);

test("shows a spike of one step among 100,000", () => {
  const curves = new Curves();
  for (let step = 1; step <= 100_000; step++) curves.add(step, { loss: step === 61_803 ? 99 : 1 });
  const { steps, series } = curves.from(0);
  const row = series.loss!.max!.indexOf(99);
  expect(steps[row]).toBeGreaterThanOrEqual(61_803);
  expect(steps[row - 1]).toBeLessThan(61_803);
  expect(series.loss!.max!.filter((value) => value !== 1)).toEqual([99]);
});

test("keeps each of few values, however far apart they are", () => {
  const curves = new Curves();
  for (let i = 1; i <= 40; i++) curves.add(2500 * i, { loss: i });
  const { stride, steps, series } = curves.from(0);
  expect(stride).toBe(1);
  expect(steps).toEqual(Array.from({ length: 40 }, (_, i) => 2500 * (i + 1)));
  expect(series.loss!.mean).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
});

test("merges sparse rows as often as it takes", () => {
  const curves = new Curves(4);
  for (let i = 0; i < 9; i++) curves.add(1 + 100 * i, { loss: i });
  const { steps, series } = curves.from(0);
  expect(steps.length).toBeLessThanOrEqual(4);
  expect(steps.at(-1)).toBe(801);
  expect([series.loss!.min![0], series.loss!.max!.at(-1)]).toEqual([0, 8]);
});

test("takes what is not finite as missing, and nothing from a step that has been", () => {
  const curves = new Curves();
  curves.add(1, { loss: 1 });
  curves.add(2, { loss: Number.NaN });
  curves.add(3, { loss: Number.POSITIVE_INFINITY, accuracy: 0.5 });
  curves.add(3, { loss: 7 });
  curves.add(2, { loss: 7 });
  expect(curves.from(0).series).toEqual({ loss: { mean: [1, null, null] }, accuracy: { mean: [null, null, 0.5] } });
});

test("has room for a bounded number of names", () => {
  const curves = new Curves();
  curves.add(1, Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`metric/${i}`, i])));
  expect(Object.keys(curves.from(0).series)).toHaveLength(curveNames);
});

test("keeps the newest steps one by one", () => {
  const recent = new RecentSteps(10);
  for (let step = 1; step <= 1234; step++) recent.add(step, { loss: step / 2, lr: Number.NaN });
  expect(recent.after(0)).toEqual({
    stride: 1,
    from: 0,
    steps: [1225, 1226, 1227, 1228, 1229, 1230, 1231, 1232, 1233, 1234],
    series: {
      loss: { mean: [612.5, 613, 613.5, 614, 614.5, 615, 615.5, 616, 616.5, 617] },
      lr: { mean: Array(10).fill(null) },
    },
  });
  expect(recent.after(1232).steps).toEqual([1233, 1234]);
  expect(recent.after(1234).steps).toEqual([]);
});
