import { expect, test } from "vitest";
import { LossCurve } from "../../src/cli/report/loss-curve.ts";

function curveOf(losses: readonly number[]): string {
  const curve = new LossCurve();
  for (const loss of losses) curve.add(loss);
  return curve.toString();
}

test("draws the greatest loss highest and the least lowest", () => {
  expect(curveOf([128, 64, 32, 16, 8, 4, 2, 1])).toBe("█▇▆▅▄▃▂▁");
  expect(curveOf([1, 8, 1])).toBe("▁█▁");
});

test("draws losses that are not all positive on an even scale", () => {
  expect(curveOf([6, 5, 4, 3, 2, 1, 0, -1])).toBe("█▇▆▅▄▃▂▁");
});

test("draws nothing of one step, and a flat line of equal losses", () => {
  expect(curveOf([3])).toBe("");
  expect(curveOf([3, 3, 3])).toBe("▁▁▁");
});

test("leaves out what is not finite", () => {
  expect(curveOf([2, Number.NaN, 1, Number.POSITIVE_INFINITY])).toBe("█▁");
});

test("keeps to 16 marks however many steps there are, each the mean of equally many", () => {
  // 17 steps: pairs of the first 16, and a bar begun with the last.
  expect(curveOf(Array.from({ length: 17 }, (_, i) => 2 ** -i))).toBe("█▇▆▅▄▃▂▁");
  for (const steps of [100, 1_000, 12_345]) {
    const curve = curveOf(Array.from({ length: steps }, (_, i) => steps - i));
    expect(curve.length).toBeGreaterThanOrEqual(8);
    expect(curve.length).toBeLessThanOrEqual(16);
    expect(curve.startsWith("█")).toBe(true);
    expect(curve.endsWith("▁")).toBe(true);
    expect([...curve].toSorted().reverse().join("")).toBe(curve);
  }
});
