import { isTuttiError } from "@tutti/core/errors";
import {
  batch,
  Graph,
  operators,
  readOnnx,
  resolveDim,
  type Shape,
  specialize,
  type Tensor,
  type TypedValues,
  writeOnnx,
} from "@tutti/core/graph";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { openBytes, runGraph } from "./run-graph.ts";
import "./to-be-allclose.ts";

const samples = 3;

function zeros(shape: readonly number[]): Float32Array<ArrayBuffer> {
  return new Float32Array(shape.reduce((product, size) => product * size, 1));
}

/** Traces with N, specialises, and asks the engine what shapes it gets; undefined if our rule refuses. */
async function expectEngineShape(
  inputs: Readonly<Record<string, Shape>>,
  build: (...tensors: Tensor[]) => Tensor,
): Promise<void> {
  const traced = new Graph();
  const tensors = Object.entries(inputs).map(([name, shape]) =>
    traced.input("column", name, { dtype: "float32", shape }),
  );
  let y: Tensor;
  try {
    y = build(...tensors);
  } catch (error) {
    if (isTuttiError(error) && error.code === "SHAPE_MISMATCH") fc.pre(false);
    throw error;
  }
  const { graph, map } = specialize(traced, samples);
  const feeds: Record<string, TypedValues> = {};
  for (const [name, shape] of Object.entries(inputs))
    feeds[name] = zeros(shape.map((size) => resolveDim(size, samples)));
  const { dims } = (await runGraph(graph, { out: map[y.id]! }, feeds)).out!;
  expect(map[y.id]!.shape).toEqual(dims);
  expect(y.shape.map((size) => resolveDim(size, samples))).toEqual(dims);
}

const runs = { numRuns: 60, seed: 7 };
const upTo = (most: number, least = 1): fc.Arbitrary<number> => fc.integer({ min: least, max: most });
const pair = (most: number, least = 1): fc.Arbitrary<number[]> => fc.tuple(upTo(most, least), upTo(most, least));

describe("shape rules agree with the engine, with N unknown and known:", () => {
  test("conv", () =>
    fc.assert(
      fc.asyncProperty(
        pair(9),
        pair(3),
        pair(3),
        pair(3),
        fc.tuple(pair(2, 0), pair(2, 0)),
        fc.constantFrom(1, 2),
        async (sizes, kernel, strides, dilations, [begin, end], groups) => {
          await expectEngineShape({ x: [batch, 4, ...sizes], w: [6, 4 / groups, ...kernel] }, (x, w) =>
            x.conv(w, { strides, dilations, pads: [...begin, ...end], groups }),
          );
        },
      ),
      runs,
    ));

  test("convTranspose", () =>
    fc.assert(
      fc.asyncProperty(
        pair(4),
        pair(3),
        pair(3),
        pair(2),
        fc.tuple(pair(2, 0), pair(2, 0)),
        pair(2, 0),
        fc.constantFrom(1, 2),
        async (sizes, kernel, strides, dilations, [begin, end], outputPadding, groups) => {
          await expectEngineShape({ x: [batch, 4, ...sizes], w: [4, 3, ...kernel] }, (x, w) =>
            x.convTranspose(w, { strides, dilations, pads: [...begin, ...end], outputPadding, groups }),
          );
        },
      ),
      runs,
    ));

  test("pooling, with and without ceil", () =>
    fc.assert(
      fc.asyncProperty(
        pair(9),
        pair(3),
        pair(3),
        pair(2),
        fc.tuple(pair(2, 0), pair(2, 0)),
        fc.boolean(),
        async (sizes, kernel, strides, dilations, [begin, end], ceilMode) => {
          const x: Shape = [batch, 2, ...sizes];
          const pads = [...begin, ...end];
          await expectEngineShape({ x }, (t) => t.maxPool(kernel, { strides, dilations, pads, ceilMode }));
          await expectEngineShape({ x }, (t) => t.averagePool(kernel, { strides, pads, ceilMode }));
        },
      ),
      runs,
    ));

  test("resize by scales and to sizes", () =>
    fc.assert(
      fc.asyncProperty(
        pair(7),
        pair(7),
        fc.tuple(fc.float({ min: Math.fround(0.3), max: 4, noNaN: true }), fc.float({ min: 1, max: 3, noNaN: true })),
        fc.constantFrom("nearest" as const, "linear" as const),
        async (sizes, result, scales, mode) => {
          const x: Shape = [batch, 2, ...sizes];
          await expectEngineShape({ x }, (t) => t.resize({ mode, scales }));
          await expectEngineShape({ x }, (t) => t.resize({ mode, sizes: result }));
        },
      ),
      runs,
    ));

  test("normalisation, blocks and pads", async () => {
    const x: Shape = [batch, 4, 6, 8];
    await expectEngineShape({ x }, (t) => t.layerNorm(2));
    await expectEngineShape({ x }, (t) => t.rmsNorm());
    await expectEngineShape({ x, w: [4] }, (t, w) => t.groupNorm(2, { scale: w, bias: w }));
    await expectEngineShape({ x, w: [4] }, (t, w) => t.batchNorm(w, w, { scale: w }));
    await expectEngineShape({ x: [{ timesN: 2 }, 4, 5], w: [4] }, (t, w) => t.groupNorm(4, { bias: w }));
    await expectEngineShape({ x }, (t) => t.depthToSpace(2, "CRD").spaceToDepth(2));
    await expectEngineShape({ x }, (t) => t.pad([0, 1, 0, 2, 0, 0, 3, -1]));
    await expectEngineShape({ x }, (t) => t.pad([0, 1, 0, 2, 0, 0, 3, 0], { mode: "reflect" }));
  });
});

/** The message of a refusal. */
function refusal(build: (input: (...shape: Shape) => Tensor, graph: Graph) => unknown): string {
  const graph = new Graph();
  let count = 0;
  try {
    graph.withScope("model.conv1", () =>
      build((...shape) => graph.input("column", `x${count++}`, { dtype: "float32", shape }), graph),
    );
  } catch (error) {
    if (isTuttiError(error)) return `${error.code} ${error.message}`;
    throw error;
  }
  return "none";
}

describe("shape errors name the operator, where it is, and what was found:", () => {
  const expected: Record<string, [(input: (...shape: Shape) => Tensor, graph: Graph) => unknown, string]> = {
    "channels of another number": [
      (input) => input(batch, 1, 28, 28).conv(input(8, 3, 5, 5)),
      "conv at model.conv1: expected 3 input channels, found 1: [N,1,28,28] with weight [8,3,5,5]",
    ],
    "channels of another number in groups": [
      (input) => input(batch, 6, 8).conv(input(4, 2, 3), { groups: 2 }),
      "conv at model.conv1: expected 4 input channels in 2 groups, found 6: [N,6,8] with weight [4,2,3]",
    ],
    "an image without channels": [
      (input) => input(batch, 28).conv(input(8, 1, 5)),
      "conv at model.conv1: expected [samples, channels, …sizes], found [N,28]; add an axis of channels",
    ],
    "a weight of another rank": [
      (input) => input(batch, 3, 28, 28).conv(input(8, 3, 5)),
      "expected a weight of rank 4, found 3",
    ],
    "a bias of another size": [
      (input) => input(batch, 3, 9).conv(input(8, 3, 5), { bias: input(3) }),
      "expected a bias [8], found [3]: [N,3,9] with weight [8,3,5]",
    ],
    "a kernel larger than the image": [
      (input) => input(batch, 1, 4, 4).conv(input(1, 1, 3, 7), { pads: [0, 1, 0, 1] }),
      "the kernel [3,7] reaches over 7 entries, but axis 3 has 4 and 2 of padding",
    ],
    "strides of another number": [
      (input) => input(batch, 1, 4, 4).conv(input(1, 1, 3, 3), { strides: [2] }),
      "strides is [2], expected 2 integers >= 1 for a kernel [3,3]",
    ],
    "output padding of a stride": [
      (input) => input(batch, 1, 4).convTranspose(input(1, 1, 3), { outputPadding: [1] }),
      "convTranspose at model.conv1: output padding 1 with stride 1: expected less than the stride",
    ],
    "a window of padding": [
      (input) => input(batch, 1, 4, 4).maxPool([2, 2], { pads: [0, 2, 0, 2] }),
      "maxPool at model.conv1: padding 2 with a kernel of 2: a window could hold nothing but padding",
    ],
    "a kernel of another rank": [
      (input) => input(batch, 1, 4, 4).averagePool([2]),
      "averagePool at model.conv1: kernel [2] for 2 spatial axes",
    ],
    "groups that channels do not divide into": [
      (input) => input(batch, 6, 4, 4).groupNorm(4),
      "groupNorm at model.conv1: 6 channels do not divide into 4 groups",
    ],
    "a scale of another shape": [
      (input) => input(batch, 6, 4).layerNorm(-1, { scale: input(6) }),
      "layerNorm at model.conv1: expected a scale and bias [4], found [6]: [N,6,4]",
    ],
    "statistics of other channels": [
      (input) => input(batch, 6, 4).batchNorm(input(4), input(4)),
      "batchNorm at model.conv1: expected one entry for each of 6 channels, found [4]: [N,6,4]",
    ],
    "reflection further than the image": [
      (input) => input(batch, 1, 3).pad([0, 0, 3, 0, 0, 0], { mode: "reflect" }),
      "pad at model.conv1: pads 3 and 0 at axis 2 of [N,1,3]: expected 0…2 in mode reflect",
    ],
    "scales and sizes": [
      (input) => input(batch, 1, 3, 3).resize({ mode: "linear", scales: [2, 2], sizes: [6, 6] }),
      "resize at model.conv1: expected scales or sizes, not both",
    ],
  };
  for (const [name, [build, message]] of Object.entries(expected)) {
    test(name, () => expect(refusal(build)).toContain(message));
  }
});

describe("operators that would mix samples are refused:", () => {
  const twice = { timesN: 2 };
  const refusals: Record<string, (input: (...shape: Shape) => Tensor, graph: Graph) => unknown> = {
    "samples as channels": (input) => input(1, batch, 28).conv(input(2, 3, 3)),
    "samples along an image": (input) => input(1, 3, batch).maxPool([2]),
    "a weight for each sample": (input) => input(batch, 3, 9).conv(input(batch, 3, 3)),
    "a bias for each sample": (input) => input(batch, 3, 9).conv(input(2, 3, 3), { bias: input(batch) }),
    "layer normalisation over samples": (input) => input(3, batch).layerNorm(),
    "RMS normalisation over samples": (input) => input(batch, 3).rmsNorm(0),
    "group normalisation of samples": (input) => input(4, batch, 3).groupNorm(2),
    "batch normalisation in training": (input, graph) =>
      graph.apply(operators.get(":BatchNormalization")!, [input(batch, 3), input(3), input(3), input(3), input(3)], {
        training_mode: 1,
      }),
    "batch normalisation along samples": (input) => input(3, batch).batchNorm(input(batch), input(batch)),
    "Lp normalisation over samples": (input, graph) =>
      graph.apply(operators.get(":LpNormalization")!, [input(batch, 3)], { axis: 0 }),
    "resizing the samples": (input) => input(batch, 1, 4, 4).resize({ mode: "nearest", scales: [2, 1, 1, 1] }),
    "blocks of samples": (input) => input(4, 4, twice, 2).depthToSpace(2),
    "padding the samples": (input) => input(batch, 3).pad([1, 0, 0, 0], { mode: "edge" }),
    "places of all samples": (input, graph) =>
      graph.apply(
        operators.get(":MaxUnpool")!,
        [input(batch, 1, 2), graph.input("column", "i", { dtype: "int64", shape: [batch, 1, 2] })],
        { kernel_shape: [2], output_shape: [3, 1, 4] },
      ),
  };
  for (const [name, build] of Object.entries(refusals)) {
    test(name, () => expect(refusal(build)).toMatch(/^MIXES_SAMPLES \w+ at model\.conv1: .*N/));
  }
});

describe("files", () => {
  const network = (): { graph: Graph; y: Tensor } => {
    const graph = new Graph();
    const x = graph.input("column", "x", { dtype: "float32", shape: [batch, 4, 6, 6] });
    const w = graph.input("parameter", "w", { dtype: "float32", shape: [4] });
    const group = operators.get(":GroupNormalization")!;
    const pooled = graph.withScope("norm", () => graph.apply(group, [x, w, w], { num_groups: 2 })[0]!.maxPool([2, 2]));
    return { graph, y: pooled.resize({ mode: "linear", sizes: [5, 4] }).rmsNorm() };
  };
  const opsOf = (bytes: Uint8Array): readonly string[] => readOnnx(bytes).nodes.map(({ type }) => type);

  test("of opset 18 hold older operators instead of newer ones, N free, with the same numbers", async () => {
    const { graph, y } = network();
    const newer = writeOnnx(graph, { outputs: { y }, opset: 23, name: "net" });
    const older = writeOnnx(graph, { outputs: { y }, opset: 18, name: "net" });
    expect(opsOf(newer)).toEqual(expect.arrayContaining(["LayerNormalization", "RMSNormalization"]));
    expect(opsOf(older)).toContain("LayerNormalization");
    expect(opsOf(older).filter((type) => /GroupN|RMSN/.test(type))).toEqual([]);
    expect(readOnnx(older).nodes.find(({ type }) => type === "LayerNormalization")!.name).toMatch(/^norm\//);
    for (const count of [1, 3]) {
      const feeds = {
        x: Float32Array.from({ length: count * 144 }, (_, i) => ((i * 37) % 41) / 8),
        w: Float32Array.of(1, -2, 0.5, 3),
      };
      const dims = { x: [count, 4, 6, 6] };
      const a = (await (await openBytes(newer, graph, "all"))(feeds, dims)).y!;
      const b = (await (await openBytes(older, graph, "all"))(feeds, dims)).y!;
      expect(b.dims).toEqual([count, 4, 5, 4]);
      expect(b.values as Float32Array).toBeAllclose(a.values as Float32Array, { rtol: 1e-5, atol: 1e-6 });
    }
  });

  test("name only those optional outputs that something uses", () => {
    const graph = new Graph();
    const x = graph.input("column", "x", { dtype: "float32", shape: [1, 1, 4, 4] });
    const [y, places] = graph.apply(operators.get(":MaxPool")!, [x], { kernel_shape: [2, 2] });
    const [xhat, , inverse] = graph.apply(operators.get(":LayerNormalization")!, [x, x.slice(2, 0, 1).reshape([4])]);
    const outputsOf = (outputs: Record<string, Tensor>): readonly (readonly string[])[] =>
      readOnnx(writeOnnx(graph, { outputs, opset: 23, name: "net" }))
        .nodes.filter(({ type }) => /MaxPool|LayerNorm/.test(type))
        .map((node) => node.outputs);
    expect(outputsOf({ y: y!, xhat: xhat! })).toEqual([["y"], ["xhat"]]);
    expect(outputsOf({ places: places!, inverse: inverse! })).toEqual([
      [expect.stringMatching(/^v/), "places"],
      [expect.stringMatching(/^v/), "", "inverse"],
    ]);
  });
});
