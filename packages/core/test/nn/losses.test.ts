import { batch, Graph, gradients, specialize, type Tensor, writeOnnx } from "@tutti/core/graph";
import { nn } from "@tutti/core/nn";
import { Tensor as EngineTensor, InferenceSession } from "onnxruntime-node";
import { expect, test } from "vitest";

/** Cross-entropy of logits [N, C] and its gradient by them. */
async function crossEntropy(logits: readonly (readonly number[])[], labels: readonly bigint[]) {
  const [samples, classes] = [logits.length, logits[0]!.length];
  const traced = new Graph();
  const x = traced.input("column", "x", { dtype: "float32", shape: [batch, classes] });
  const label = traced.input("column", "label", { dtype: "int64", shape: [batch] });
  const loss = nn.crossEntropy(x, label);
  const { graph, map } = specialize(traced, samples);
  const [gradient] = gradients(map[loss.id]!, [map[x.id]!]);
  const bytes = writeOnnx(graph, { name: "t", opset: 23, outputs: { loss: map[loss.id]!, gradient: gradient! } });
  const session = await InferenceSession.create(bytes, { intraOpNumThreads: 1, logSeverityLevel: 4 });
  const results = await session.run({
    x: new EngineTensor("float32", Float32Array.from(logits.flat()), [samples, classes]),
    label: new EngineTensor("int64", BigInt64Array.from(labels), [samples]),
  });
  return { loss: [...numbers(results.loss!)], gradient: [...numbers(results.gradient!)] };
}

function numbers(tensor: EngineTensor): Float32Array {
  if (!(tensor.data instanceof Float32Array)) throw new Error(tensor.type);
  return tensor.data;
}

test("cross-entropy is finite for logits of any size, and its gradient is softmax minus one-hot", async () => {
  const { loss, gradient } = await crossEntropy(
    [
      [1e30, 0, -1e30],
      [1e4, 1e4, 0],
      [0, 0, 0],
    ],
    [1n, 0n, 2n],
  );
  expect(loss[0]).toBe(Math.fround(1e30));
  expect(loss[1]).toBeCloseTo(Math.log(2), 3);
  expect(loss[2]).toBeCloseTo(Math.log(3), 6);
  const expected = [1, -1, 0, -0.5, 0.5, 0, 1 / 3, 1 / 3, -2 / 3];
  for (const [i, value] of expected.entries()) expect(gradient[i]).toBeCloseTo(value, 3);
});

test("classes ruled out by −∞ neither spoil the loss nor get a gradient", async () => {
  const { loss, gradient } = await crossEntropy([[Number.NEGATIVE_INFINITY, 1, 1]], [2n]);
  expect(loss[0]).toBeCloseTo(Math.log(2), 6);
  expect(gradient[0]).toBe(0);
  expect(gradient[1]).toBeCloseTo(0.5, 6);
  expect(gradient[2]).toBeCloseTo(-0.5, 6);
});

for (const label of [-1n, 3n]) {
  test(`the label ${label} of 3 classes is no silent zero: the engine refuses it`, async () => {
    await expect(crossEntropy([[0, 0, 0]], [label])).rejects.toThrow(/out of (data )?bounds|must be within/);
  });
}

/** Columns of one trace: name to dtype and shape per sample. */
function columns(
  types: Readonly<Record<string, readonly ["float32" | "int64", readonly number[]]>>,
): Record<string, Tensor> {
  const graph = new Graph();
  return Object.fromEntries(
    Object.entries(types).map(([name, [dtype, shape]]) => [
      name,
      graph.input("column", name, { dtype, shape: [batch, ...shape] }),
    ]),
  );
}

test("a prediction and a target of different shapes are refused instead of broadcast", () => {
  const { p, t } = columns({ p: ["float32", [1]], t: ["float32", []] });
  expect(() => nn.mse(p!, t!)).toThrow(
    expect.objectContaining({
      code: "SHAPE_MISMATCH",
      message: expect.stringContaining("found float32[N,1] and float32[N]; use .reshape or .cast"),
    }),
  );
});

test("labels that do not go with the logits are refused with both shapes and a hint", () => {
  const { logits, tokens, one, wide, real } = columns({
    ...{ logits: ["float32", [3]], tokens: ["float32", [7, 3]], one: ["int64", [1]], wide: ["int64", [7]] },
    real: ["float32", []],
  });
  expect(() => nn.crossEntropy(logits!, one!)).toThrow(/float32\[N,3\] and int64\[N,1\]; use labels\.flatten\(0\)/);
  expect(() => nn.crossEntropy(tokens!, wide!)).toThrow(/the classes are axis 1: flatten tokens/);
  expect(() => nn.crossEntropy(logits!, real!)).toThrow(/expected integer labels, found float32/);
});

test("a loss keeps the batch axis, one value for each sample or token", () => {
  const { p, t, logits, label } = columns({
    ...{ p: ["float32", [4, 5]], t: ["float32", [4, 5]], logits: ["float32", [3, 7]], label: ["int64", [7]] },
  });
  expect(nn.mse(p!, t!).shape).toEqual([batch]);
  expect(nn.crossEntropy(logits!, label!).shape).toEqual([batch, 7]);
});
