import { batch, Graph, specialize, type Tensor, writeOnnx } from "@tutti/core/graph";
import { type Figures, metrics, type SumsMetric } from "@tutti/core/metrics";
import { Tensor as EngineTensor, InferenceSession } from "onnxruntime-node";
import { expect, test } from "vitest";

interface Column {
  readonly dtype: "float32" | "int64";
  /** Per sample. */
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

/** The figure that a metric of columns a and b comes to, its sums added in float64 as a run does. */
async function figure(
  samples: number,
  a: Column,
  b: Column,
  metric: (a: Tensor, b: Tensor) => SumsMetric,
): Promise<Figures> {
  const traced = new Graph();
  const input = (name: string, { dtype, shape }: Column) =>
    traced.input("column", name, { dtype, shape: [batch, ...shape] });
  const { perSample, length, finish } = metric(input("a", a), input("b", b));
  const { graph, map } = specialize(traced, samples);
  const bytes = writeOnnx(graph, { name: "t", opset: 23, outputs: { perSample: map[perSample.id]! } });
  const session = await InferenceSession.create(bytes);
  const feed = ({ dtype, shape, values }: Column) =>
    dtype === "float32"
      ? new EngineTensor(dtype, Float32Array.from(values), [samples, ...shape])
      : new EngineTensor(dtype, BigInt64Array.from(values, BigInt), [samples, ...shape]);
  const result = (await session.run({ a: feed(a), b: feed(b) })).perSample!;
  expect(result.dims).toEqual([samples, length]);
  const total = new Float64Array(length);
  for (const [i, value] of (result.data as Float32Array).entries()) total[i % length]! += value;
  return finish(total);
}

const labels: Column = { dtype: "int64", shape: [], values: [2, 0, 1, 1] };
const logits: Column = { dtype: "float32", shape: [3], values: [0, 1, 5, 3, 1, 2, 9, 8, 7, 1, 4, 4] };

test("accuracy is the share of samples whose largest logit, the first at a tie, is at the label", async () => {
  expect(await figure(4, logits, labels, metrics.accuracy)).toBe(0.75);
});

test("mse and mae are means over samples and the axes behind them", async () => {
  const a: Column = { dtype: "float32", shape: [2], values: [1, 2, 3, 4] };
  const b: Column = { dtype: "float32", shape: [2], values: [0, 4, 3, 1] };
  expect(await figure(2, a, b, metrics.mse)).toBe((1 + 4 + 0 + 9) / 4);
  expect(await figure(2, a, b, metrics.mae)).toBe((1 + 2 + 0 + 3) / 4);
});

test("shapes that do not go together are refused with both of them", () => {
  const graph = new Graph();
  const input = (name: string, shape: readonly number[]) =>
    graph.input("column", name, { dtype: "float32", shape: [batch, ...shape] });
  expect(() => metrics.accuracy(input("l", [3]), input("y", [1]))).toThrow(
    /metrics\.accuracy: expected logits \[N,C\] and integer labels \[N\], found float32\[N,3\] and float32\[N,1\]/,
  );
  expect(() => metrics.mse(input("p", [1]), input("t", []))).toThrow(/metrics\.mse: .*float32\[N,1\] and float32\[N\]/);
});
