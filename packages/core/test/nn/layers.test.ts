import { batch, Graph, gradients, simplify, specialize, type Tensor } from "@tutti/core/graph";
import { type Module, moduleTree, nn, traceContext } from "@tutti/core/nn";
import { expect, test } from "vitest";
import { floatsOf, runGraph } from "../graph/run-graph.ts";

interface Traced {
  readonly graph: Graph;
  readonly y: Tensor;
}

function trace(
  model: Module<never, unknown>,
  shape: readonly number[],
  samples: number,
  forward: (x: Tensor) => Tensor,
  training = false,
): Traced {
  const graph = new Graph(traceContext(moduleTree(model), training).context);
  const y = forward(graph.input("column", "x", { dtype: "float32", shape: [batch, ...shape] }));
  const { graph: known, map } = specialize(graph, samples);
  return { graph: known, y: map[y.id]! };
}

const numbers = (count: number, scale = 1): number[] =>
  Array.from({ length: count }, (_, i) => scale * Math.sin(i * 1.7 + 0.3));

test("sinusoidal positions are sines and cosines of t/10000^(2i/E)", async () => {
  const model = nn.sinusoidalPositions(6);
  const { graph, y } = trace(model, [40, 6], 1, model);
  const { y: found } = await runGraph(graph, { y }, { x: new Float32Array(240) });
  for (let t = 0; t < 40; t++) {
    for (let i = 0; i < 6; i++) {
      const angle = t / 10_000 ** ((2 * Math.floor(i / 2)) / 6);
      expect(found!.values[6 * t + i]).toBeCloseTo(i % 2 === 0 ? Math.sin(angle) : Math.cos(angle), 6);
    }
  }
});

test("learned positions add their first rows, whose gradient is the sum over samples", async () => {
  const model = nn.learnedPositions(4, 2);
  const { graph, y } = trace(model, [3, 2], 5, model);
  const weight = graph.tensor(graph.inputs.get("weight")!);
  const [gradient] = gradients(y, [weight]);
  const feeds = { x: floatsOf("float32", numbers(30)), weight: floatsOf("float32", numbers(8)) };
  const found = await runGraph(graph, { y, gradient: gradient! }, feeds);
  expect(found.y!.values[2]).toBeCloseTo(numbers(30)[2]! + numbers(8)[2]!, 6);
  expect([...(found.gradient!.values as Float32Array)]).toEqual([5, 5, 5, 5, 5, 5, 0, 0]);
});

test("a residual adds what its body gives, past a shortcut if there is one", async () => {
  const plain = nn.residual(nn.tanh());
  const projected = nn.residual(nn.linear(3, 2, { bias: false }), nn.linear(3, 2, { bias: false }));
  expect(moduleTree(projected).parameters.map(({ path }) => path)).toEqual(["body.weight", "shortcut.weight"]);
  const { graph, y } = trace(plain, [3], 2, plain);
  const { y: found } = await runGraph(graph, { y }, { x: floatsOf("float32", numbers(6)) });
  for (const [i, x] of numbers(6).entries()) expect(found!.values[i]).toBeCloseTo(x + Math.tanh(x), 6);
  const bad = nn.residual(nn.linear(3, 2));
  expect(() => trace(bad, [3], 2, bad)).toThrow(/residual at model: the body gives \[N,2\], the shortcut \[N,3\]/);
});

test("dropout multiplies by its mask along the samples wherever their axis is, and is gone in evaluation", async () => {
  const model = nn.dropout(0.25);
  const { graph, y } = trace(model, [2, 3], 4, (x) => model(x.transpose([1, 0, 2])), true);
  const mask = Float32Array.from({ length: 24 }, (_, i) => (i % 3 === 0 ? 0 : 4 / 3));
  const { y: found } = await runGraph(graph, { y }, { x: new Float32Array(24).fill(3), "random:0": mask });
  for (let sample = 0; sample < 4; sample++)
    for (let i = 0; i < 2; i++)
      for (let j = 0; j < 3; j++)
        expect(found!.values[(i * 4 + sample) * 3 + j]).toBe(Math.fround(3 * mask[(sample * 2 + i) * 3 + j]!));
  expect(trace(model, [2, 3], 4, model).graph.nodes).toHaveLength(0);
  expect(() => trace(model, [2], 4, (x) => model(x.graph.scalar(1, "float32")).add(x), true)).toThrow(
    /expected float32 with samples on an axis/,
  );
});

test("every call of dropout has a mask of its own, and p = 0 none", () => {
  const model = nn.sequential([nn.dropout(0.5), nn.relu(), nn.dropout(0), nn.dropout(0.1)]);
  const { context, record } = traceContext(moduleTree(model), true);
  const x = new Graph(context).input("column", "x", { dtype: "float32", shape: [batch, 3] });
  model(model(x));
  expect(record.randoms.map(({ name, keep }) => [name, keep])).toEqual([
    ["random:0", 0.5],
    ["random:1", 0.9],
    ["random:2", 0.5],
    ["random:3", 0.9],
  ]);
});

test("transformer layers drop attention weights, both sub-layers and between the linear layers", () => {
  const model = nn.transformerEncoderLayer(4, 2, { feedForward: 8, dropout: 0.1 });
  const { context, record } = traceContext(moduleTree(model), true);
  const graph = new Graph(context);
  model(graph.input("column", "x", { dtype: "float32", shape: [batch, 3, 4] }));
  const shapes = record.randoms.map(({ name }) => graph.value(graph.inputs.get(name)!).type.shape.slice(1));
  expect(shapes).toEqual([
    [2, 3, 3],
    [3, 4],
    [3, 8],
    [3, 4],
  ]);
});

for (const length of [2, 9]) {
  test(`an LSTM unrolled over ${length} steps has one product per weight gradient`, () => {
    const net = nn.lstm(3, 4);
    const { graph, y } = trace(net, [length, 3], 5, (x) => net(x).hidden, true);
    const weights = ["weight_ih_l0", "weight_hh_l0"].map((name) => graph.tensor(graph.inputs.get(name)!));
    const found = gradients(y, weights).map((gradient) => gradient!);
    const { nodes } = simplify(graph, found).graph;
    const products = nodes.filter(({ op, attributes }) => op.type === "Gemm" && attributes.transA === 1);
    expect(products).toHaveLength(2);
    const inputProjections = nodes.filter(
      ({ op, inputs }) => op.type === "Gemm" && inputs.includes(graph.inputs.get("x")!),
    );
    expect(inputProjections.length).toBeLessThanOrEqual(1);
  });
}

test("a position that may see nothing gets a finite mixture", async () => {
  const attention = nn.multiHeadAttention(2, 1, { bias: false });
  const graph = new Graph(traceContext(moduleTree(attention), false).context);
  const x = graph.input("column", "x", { dtype: "float32", shape: [batch, 3, 2] });
  const padding = graph.input("column", "padding", { dtype: "uint8", shape: [batch, 3] });
  const y = attention(x, { padding });
  const { graph: known, map } = specialize(graph, 1);
  const feeds = {
    x: floatsOf("float32", numbers(6)),
    padding: Uint8Array.of(1, 1, 1),
    in_proj_weight: floatsOf("float32", numbers(12)),
    "out_proj.weight": floatsOf("float32", [1, 0, 0, 1]),
  };
  const found = await runGraph(known, { y: map[y.id]! }, feeds);
  for (const value of found.y!.values as Float32Array) expect(Number.isFinite(value)).toBe(true);
});

test("modules refuse what they cannot be made with, or called on, and say what they expect", () => {
  expect(() => nn.conv2d(3, 4, 3, { groups: 2 })).toThrow(
    /nn\.conv2d: groups: expected a divisor of 3 and 4 channels, found 2/,
  );
  expect(() => nn.conv2d(3, 4, [3])).toThrow(
    /nn\.conv2d: kernel: expected an integer of at least 1, or 2 of them, found \[3\]/,
  );
  expect(() => nn.conv1d(1, 1, 3, { padding: "same", stride: 2 })).toThrow(/padding "same" needs stride 1/);
  expect(() => nn.maxPool2d(2, { padding: 2 })).toThrow(/at most half of the kernel/);
  expect(() => nn.dropout(1)).toThrow(/nn\.dropout: p: expected a probability from 0 to below 1, found 1/);
  expect(() => nn.embedding(5, 2, { paddingIdx: 5 })).toThrow(/paddingIdx: expected 0 … 4, found 5/);
  expect(() => nn.multiHeadAttention(5, 2)).toThrow(/heads: expected a divisor of 5, found 2/);
  expect(() => nn.groupNorm(2, 5)).toThrow(/groups: expected a divisor of 5 channels/);
  expect(() => nn.batchNorm1d(3, { momentum: 2 })).toThrow(/momentum from 0 to 1, or null/);
  const called = (model: Module, shape: readonly number[]) => () => trace(model, shape, 2, model);
  expect(called(nn.conv2d(1, 2, 3), [8, 8])).toThrow(
    /conv2d at model: expected float32\[N,1,H,W\], found float32\[N,8,8\]; add the channels with \.unsqueeze\(1\)/,
  );
  expect(called(nn.batchNorm2d(3), [4, 2, 2])).toThrow(
    /batchNorm2d at model: expected float32\[N,3,H,W\], found float32\[N,4,2,2\]/,
  );
  expect(called(nn.layerNorm(3), [4])).toThrow(/layerNorm at model: expected float32\[…,3\], found float32\[N,4\]/);
  expect(called(nn.learnedPositions(2, 3), [4, 3])).toThrow(/with at most 2 positions, found float32\[N,4,3\]/);
  const lstm = nn.lstm(3, 4);
  expect(() => trace(lstm, [5, 2], 2, (x) => lstm(x).output)).toThrow(
    /lstm at model: expected float32\[N,T,3\], found float32\[N,5,2\]/,
  );
});
