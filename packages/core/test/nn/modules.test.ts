import { createHash } from "node:crypto";
import { data } from "@tutti/core/data";
import { batch, Graph, type Tensor } from "@tutti/core/graph";
import { type Model, type Module, moduleTree, nn, traceContext } from "@tutti/core/nn";
import { optim } from "@tutti/core/optim";
import { compileRun, defineRun, parameterViews } from "@tutti/core/run";
import { expect, test } from "vitest";

/** Calls `build` in a trace of `model` with a column x of float32 [N, …shape]. */
function trace<Result>(model: Model, shape: readonly number[], build: (x: Tensor) => Result, training = true): Result {
  const graph = new Graph(traceContext(moduleTree(model), training).context);
  return build(graph.input("column", "x", { dtype: "float32", shape: [batch, ...shape] }));
}

const paths = (model: Model) => moduleTree(model).parameters.map(({ path, spec }) => [path, spec.shape]);

/** First values of a model's parameters, by path. */
async function firstValues(model: Module, features: number, seed: number) {
  const source = data.arrays({ x: { dtype: "float32", shape: [features], values: new Float32Array(features) } });
  const run = compileRun(
    defineRun({
      data: { train: source },
      model,
      step: ({ x }) => ({ loss: model(x) }),
      optimizer: optim.sgd({ lr: 1 }),
      batchSize: 1,
    }),
    { train: await source.open({ baseDirectory: "." }) },
  );
  const flat = run.initialParameters(seed);
  return { flat, views: parameterViews(run.layout, flat), layout: run.layout };
}

test("parameters are named by path, own ones first, in PyTorch's layouts", () => {
  const model = nn.sequential({
    fc1: nn.linear(784, 512),
    act: nn.relu(),
    rest: nn.sequential([nn.linear(512, 10), nn.tanh(), nn.linear(10, 2, { bias: false })]),
  });
  expect(paths(model)).toEqual([
    ["fc1.weight", [512, 784]],
    ["fc1.bias", [512]],
    ["rest.0.weight", [10, 512]],
    ["rest.0.bias", [10]],
    ["rest.2.weight", [2, 10]],
  ]);
  expect(paths({ encoder: nn.linear(2, 3), head: nn.linear(3, 1) }).map(([path]) => path)).toEqual([
    "encoder.weight",
    "encoder.bias",
    "head.weight",
    "head.bias",
  ]);
});

test("weights and biases start uniform within ±1/√in, filling the range evenly", async () => {
  const { views } = await firstValues(nn.linear(100, 400), 100, 3);
  for (const name of ["weight", "bias"]) {
    const values = [...views.get(name)!];
    const largest = Math.max(...values.map(Math.abs));
    expect(largest).toBeLessThanOrEqual(Math.fround(0.1));
    expect(largest).toBeGreaterThan(0.099);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + value * value, 0) / values.length;
    // Of the uniform distribution: 0 and 0.1²/3, within four standard errors.
    expect(Math.abs(mean)).toBeLessThan((4 * 0.1) / Math.sqrt(3 * values.length));
    expect(Math.abs(variance / (0.01 / 3) - 1)).toBeLessThan(4 * Math.sqrt(0.8 / values.length));
  }
});

test("first values depend on seed and path only, and are these for ever", async () => {
  const mlp = nn.sequential({ fc1: nn.linear(784, 16), act: nn.relu(), fc2: nn.linear(16, 10) });
  const sha256 = (values: Float32Array) =>
    createHash("sha256")
      .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
      .digest("hex");
  const { views, flat } = await firstValues(mlp, 784, 1);
  expect(sha256(flat)).toBe("6bbbe552acae75c587c06a07a71ef18b45a94118494b41709699950b147b7b80");
  const deeper = nn.sequential({ fc0: nn.linear(784, 784), fc1: nn.linear(784, 16), fc2: nn.linear(16, 10) });
  const others = await firstValues(deeper, 784, 1);
  expect(others.views.get("fc2.weight")).toEqual(views.get("fc2.weight"));
  expect((await firstValues(mlp, 784, 2)).views.get("fc2.weight")).not.toEqual(views.get("fc2.weight"));
});

test("every kind of first values can be asked for, and padding stays zero", async () => {
  const init = {
    weight: { kind: "normal", mean: 5, std: 0.5 },
    bias: { kind: "constant", value: -2 },
  } as const;
  const { views, flat, layout } = await firstValues(nn.linear(30, 50, { init }), 30, 0);
  const weights = [...views.get("weight")!];
  const mean = weights.reduce((sum, value) => sum + value, 0) / weights.length;
  const std = Math.sqrt(weights.reduce((sum, value) => sum + (value - mean) ** 2, 0) / weights.length);
  expect(Math.abs(mean - 5)).toBeLessThan((4 * 0.5) / Math.sqrt(weights.length));
  expect(Math.abs(std - 0.5)).toBeLessThan(0.04);
  expect(new Set(views.get("bias"))).toEqual(new Set([-2]));
  const covered = new Set(layout.entries.flatMap(({ offset, length }) => Array.from({ length }, (_, i) => offset + i)));
  expect(flat.filter((_, i) => !covered.has(i)).every((value) => value === 0)).toBe(true);
  const plain = await firstValues(
    nn.linear(3, 2, { init: { weight: { kind: "ones" }, bias: { kind: "zeros" } } }),
    3,
    0,
  );
  expect([...plain.views.get("weight")!, ...plain.views.get("bias")!]).toEqual([1, 1, 1, 1, 1, 1, 0, 0]);
});

test("a module used twice, and a parameter declared in two modules, is one parameter under its first path", () => {
  const shared = nn.linear(4, 4);
  const twice = nn.sequential({ a: shared, act: nn.relu(), b: shared });
  expect(paths(twice).map(([path]) => path)).toEqual(["a.weight", "a.bias"]);
  const inputs = trace(twice, [4], (x) => [...twice(x).graph.inputs.keys()]);
  expect(inputs).toEqual(["x", "a.weight", "a.bias"]);

  const embed = nn.linear(4, 3, { bias: false });
  const tied = nn.module({
    children: { embed },
    parameters: { out: embed.parameters.weight! },
    forward: (self, x: Tensor) => self.children.embed(x).matmul(self.parameter("out")),
  });
  expect(paths(tied)).toEqual([["out", [3, 4]]]);
  expect(trace(tied, [4], (x) => [...tied(x).graph.inputs.keys()])).toEqual(["x", "out"]);
});

test("a module of one's own has children, parameters, several arguments, and knows whether it trains", () => {
  const gated = nn.module({
    kind: "gated",
    children: { value: nn.linear(4, 4), gate: nn.linear(4, 4) },
    parameters: { scale: { shape: [4], init: { kind: "ones" }, trainable: true } },
    forward(self, x: Tensor, options: { readonly other: Tensor }) {
      const y = self.children.value(x).mul(self.children.gate(options.other).sigmoid()).mul(self.parameter("scale"));
      return { y, training: self.training };
    },
  });
  for (const training of [true, false]) {
    const result = trace({ block: gated }, [4], (x) => gated(x, { other: x }), training);
    expect(result.training).toBe(training);
    expect(result.y.shape).toEqual([batch, 4]);
  }
  expect(paths({ block: gated }).map(([path]) => path)).toEqual([
    "block.scale",
    "block.value.weight",
    "block.value.bias",
    "block.gate.weight",
    "block.gate.bias",
  ]);
  // @ts-expect-error the second argument is missing
  expect(() => trace({ block: gated }, [4], (x) => gated(x))).toThrow(TypeError);
});

test("nodes carry the path of the module that made them", () => {
  const model = { encoder: nn.sequential({ fc1: nn.linear(4, 4), list: nn.sequential([nn.linear(4, 2)]) }) };
  const scopes = trace(model, [4], (x) => model.encoder(x).graph.nodes.map((node) => node.scope));
  expect(scopes).toEqual(["encoder.fc1", "encoder.list.0"]);
  const direct = trace(model, [4], (x) => model.encoder.children.fc1(x).graph.nodes.map((node) => node.scope));
  expect(direct).toEqual(["encoder.fc1"]);
});

test("a linear layer takes any leading axes", () => {
  const layer = nn.linear(4, 3);
  const types = (x: Tensor) => [layer(x).shape, x.graph.nodes.map((node) => node.op.type)];
  expect(trace(layer, [4], types)).toEqual([[batch, 3], ["Gemm"]]);
  expect(trace(layer, [5, 4], types)).toEqual([
    [batch, 5, 3],
    ["Reshape", "Gemm", "Reshape"],
  ]);
  const behind = trace(layer, [5, 4], (x) => layer(x.transpose([1, 0, 2])).shape);
  expect(behind).toEqual([5, batch, 3]);
});

test("a layer that does not fit says where, what it expects and what it found", () => {
  const model = { head: nn.sequential({ fc2: nn.linear(512, 10) }) };
  expect(() => trace(model, [784], (x) => model.head(x))).toThrow(
    expect.objectContaining({
      code: "SHAPE_MISMATCH",
      message: "linear at head.fc2: expected float32[…,512] for its weight [10,512], found float32[N,784]",
    }),
  );
});

test("sizes, names and children that cannot be are refused", () => {
  expect(() => nn.linear(0, 3)).toThrow(/nn\.linear: in: expected a positive integer, found 0/);
  expect(() => nn.linear(3, 1.5)).toThrow(/nn\.linear: out: expected a positive integer, found 1.5/);
  expect(() => nn.sequential({ "a.b": nn.relu() })).toThrow(/name "a\.b": expected letters, digits/);
  const spec = { shape: [1], init: { kind: "zeros" }, trainable: true } as const;
  expect(() =>
    nn.module({ children: { a: nn.relu() }, parameters: { a: spec }, forward: (_self, x: Tensor) => x }),
  ).toThrow(/"a" names a parameter and a child/);
  expect(() => moduleTree({})).toThrow(/model: expected a module or a record of named modules/);
});

test("a module called outside of a trace, or without a tensor, says so", () => {
  const layer = nn.linear(4, 3);
  const graph = new Graph();
  const x = graph.input("column", "x", { dtype: "float32", shape: [batch, 4] });
  expect(() => layer(x)).toThrow(/nn\.linear: called outside a run's trace/);
  const constant = nn.module({ forward: (_self, _size: number) => 0 });
  expect(() => constant(3)).toThrow(/called without a tensor/);
});
