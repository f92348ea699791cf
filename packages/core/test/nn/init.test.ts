import { fillInitial, type Init, nn } from "@tutti/core/nn";
import { randomStream } from "@tutti/core/random";
import { expect, test } from "vitest";

function filled(init: Init, shape: readonly number[]): Float32Array {
  const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
  fillInitial(values, init, randomStream(7, "init test"), shape);
  return values;
}

const std = (values: Float32Array): number => Math.hypot(...values) / Math.sqrt(values.length);

/** The standard deviations and bounds that PyTorch's documentation of torch.nn.init gives. */
const schemes: readonly (readonly [name: string, init: Init, shape: readonly number[], std: number, bound?: number])[] =
  [
    ["xavierUniform", nn.init.xavierUniform(), [60, 40], Math.sqrt(2 / 100), Math.sqrt(6 / 100)],
    ["xavierNormal of gain 2", nn.init.xavierNormal(2), [40, 60], 2 * Math.sqrt(2 / 100)],
    ["kaimingUniform", nn.init.kaimingUniform(), [30, 8, 3, 3], Math.sqrt(2 / 72), Math.sqrt(6 / 72)],
    ["kaimingNormal of fan out", nn.init.kaimingNormal({ fan: "out", gain: 1 }), [32, 8, 3, 3], Math.sqrt(1 / 288)],
    ["uniform", nn.init.uniform(-1, 1), [50, 40], 1 / Math.sqrt(3), 1],
    ["normal", nn.init.normal(0, 0.3), [50, 40], 0.3],
  ];

for (const [name, init, shape, wanted, bound] of schemes) {
  test(`${name} has the standard deviation and bound of its formula`, () => {
    const values = filled(init, shape);
    // Five standard errors of a standard deviation of normal values.
    expect(Math.abs(std(values) / wanted - 1)).toBeLessThan(5 / Math.sqrt(2 * values.length));
    if (bound === undefined) return;
    const largest = Math.max(...values.map(Math.abs));
    expect(largest).toBeLessThanOrEqual(Math.fround(bound));
    expect(largest).toBeGreaterThan(0.98 * bound);
  });
}

test("a truncated normal stays within its bounds and has the variance of one", () => {
  const values = filled(nn.init.truncatedNormal(0, 1, -2, 2), [100, 100]);
  expect(Math.max(...values)).toBeLessThanOrEqual(2);
  expect(Math.min(...values)).toBeGreaterThanOrEqual(-2);
  // 1 − 2·2·φ(2)/(2Φ(2) − 1)
  expect(Math.abs(std(values) ** 2 - 0.7737)).toBeLessThan(0.05);
  expect(() => nn.init.truncatedNormal(0, 1, 5, 6)).toThrow(/within 4 std of the mean/);
});

for (const shape of [
  [12, 30],
  [30, 12],
  [8, 3, 2, 2],
]) {
  test(`orthogonal values of [${shape}] have orthonormal rows or columns times the gain`, () => {
    const values = filled(nn.init.orthogonal(2), shape);
    const rows = shape[0]!;
    const columns = values.length / rows;
    const [count, at] =
      rows <= columns
        ? [rows, (i: number, k: number) => values[i * columns + k]!]
        : [columns, (i: number, k: number) => values[k * columns + i]!];
    for (let i = 0; i < count; i++) {
      for (let j = 0; j <= i; j++) {
        let dot = 0;
        for (let k = 0; k < values.length / count; k++) dot += at(i, k) * at(j, k);
        expect(dot).toBeCloseTo(i === j ? 4 : 0, 5);
      }
    }
  });
}

test("schemes that need a fan refuse vectors", () => {
  expect(() => filled(nn.init.xavierUniform(), [5])).toThrow(/at least 2 axes, found \[5\]/);
  expect(() => filled(nn.init.orthogonal(), [5])).toThrow(/at least 2 axes/);
});

test("an embedding's padding row starts as zeros, beside standard normal ones", () => {
  const { weight } = nn.embedding(200, 30, { paddingIdx: 3 }).parameters;
  const values = filled(weight!.init, weight!.shape);
  expect([...values.subarray(90, 120)]).toEqual(new Array(30).fill(0));
  expect(Math.abs(std(values) - 1)).toBeLessThan(0.05);
});
