import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { batch, Graph, shapeToString, type Tensor } from "@tutti/core/graph";
import { type Module, moduleTree, nn, traceContext } from "@tutti/core/nn";
import { type ImportedModel, onnx } from "@tutti/core/onnx";
import { afterAll, expect, test } from "vitest";
import { type ModelSpec, modelBytes } from "./model-bytes.ts";
import { fileUrl, runModule } from "./run-model.ts";

const folder = mkdtempSync(join(tmpdir(), "tutti-onnx-"));
afterAll(() => rmSync(folder, { recursive: true }));

function floats(...shape: number[]) {
  const count = shape.reduce((a, b) => a * b, 1);
  return { shape, values: Float32Array.from({ length: count }, (_, i) => (i % 5) - 2) };
}

function int64(...values: number[]) {
  return { shape: [values.length], values: BigInt64Array.from(values, BigInt) };
}

const mlp: ModelSpec = {
  nodes: [
    {
      type: "Gemm",
      name: "/fc1/Gemm",
      inputs: ["x", "fc1.weight", "fc1.bias"],
      outputs: ["h"],
      attributes: { transB: 1 },
    },
    { type: "Relu", name: "/act/Relu", inputs: ["h"], outputs: ["a"] },
    { type: "MatMul", name: "/fc2/MatMul", inputs: ["a", "onnx::MatMul_9"], outputs: ["y"] },
  ],
  inputs: { x: ["N", 4] },
  outputs: ["y"],
  initializers: { "fc1.weight": floats(3, 4), "fc1.bias": floats(3), "onnx::MatMul_9": floats(3, 2) },
};
const input = { dtype: "float32", shape: [2, 4], values: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8) } as const;

function trainable(model: Module): readonly string[] {
  return moduleTree(model).parameters.flatMap(({ path, spec }) => (spec.trainable ? [path] : []));
}

/** Shape of what a model gives for one column [N, …rest]. */
function shapeOf(model: ImportedModel, rest: readonly number[], dtype: "float32" | "int64" = "float32"): string {
  const graph = new Graph(traceContext(moduleTree(model), false).context);
  return shapeToString(model(graph.input("column", "x", { dtype, shape: [batch, ...rest] })).shape);
}

test("parameters are named as in the file, made-up names after the node that uses them", () => {
  expect(trainable(onnx.load(modelBytes(mlp)))).toEqual(["fc1.weight", "fc1.bias", "fc2.MatMul_1"]);
});

test("freeze takes patterns, and one that fits nothing is refused", () => {
  expect(trainable(onnx.load(modelBytes(mlp), { freeze: ["fc1.*"] }))).toEqual(["fc2.MatMul_1"]);
  expect(trainable(onnx.load(modelBytes(mlp), { freeze: [/bias$/] }))).toEqual(["fc1.weight", "fc2.MatMul_1"]);
  expect(() => onnx.load(modelBytes(mlp), { freeze: ["fc3.*"] })).toThrow(
    /freeze: "fc3\.\*" fits no parameter; there are fc1\.weight/,
  );
});

test("names that clash as a parameter and a group, or when cleaned, are told apart", () => {
  const add = (name: string, from: string, to: string) => ({ type: "Add", inputs: [from, name], outputs: [to] });
  const names = ["a", "a.b", "c:0", "c_0", ".."];
  const model = modelBytes({
    nodes: names.map((name, i) => add(name, i === 0 ? "x" : `t${i}`, `t${i + 1}`)),
    inputs: { x: ["N", 4] },
    outputs: [`t${names.length}`],
    initializers: Object.fromEntries(names.map((name) => [name, floats(4)])),
  });
  expect(new Set(trainable(onnx.load(model)))).toEqual(new Set(["a", "a_b", "c_0", "c_0_2", "parameter"]));
});

test("a tensor by name cuts the model and its parameters", async () => {
  const hidden = onnx.load(modelBytes(mlp)).tensor("a");
  expect(trainable(hidden)).toEqual(["fc1.weight", "fc1.bias"]);
  const { values } = await runModule(hidden, input, false);
  const { values: whole } = await runModule(onnx.load(modelBytes(mlp)), input, false);
  const second = mlp.initializers!["onnx::MatMul_9"]!.values;
  // y = a·W by hand: the parts agree with the whole.
  const product = [0, 1].flatMap((row) =>
    [0, 1].map((column) =>
      [0, 1, 2].reduce((sum, k) => sum + values[row * 3 + k]! * Number(second[k * 2 + column]), 0),
    ),
  );
  expect(whole).toEqual(product);
  expect(() => onnx.load(modelBytes(mlp)).tensor("z")).toThrow(
    /no tensor or node "z"; nodes: \/fc1\/Gemm, \/act\/Relu, \/fc2\/MatMul; outputs: y/,
  );
});

test("replaceHead puts a module in the place of a node, by the node's name or behind a tensor", () => {
  for (const name of ["/fc2/MatMul", "a"]) {
    const model = onnx.load(modelBytes(mlp)).replaceHead(name, nn.linear(3, 7));
    expect(trainable(model)).toEqual(["fc1.weight", "fc1.bias", "head.weight", "head.bias"]);
    expect(shapeOf(model, [4])).toBe("[N,7]");
  }
});

test("several tensors come by name, and two parts of a model share their parameters", () => {
  const whole = onnx.load(modelBytes(mlp));
  const both = whole.tensors(["h", "y"]);
  const graph = new Graph(traceContext(moduleTree(both), false).context);
  const found = both({ x: graph.input("column", "x", { dtype: "float32", shape: [batch, 4] }) });
  expect(Object.entries(found).map(([name, { shape }]) => [name, shapeToString(shape)])).toEqual([
    ["h", "[N,3]"],
    ["y", "[N,2]"],
  ]);
  const paths = moduleTree({ full: whole, part: whole.tensor("h") }).parameters.map(({ path }) => path);
  expect(paths).toEqual(["full.fc1.weight", "full.fc1.bias", "full.fc2.MatMul_1"]);
});

test("a model is called with what it declares, or the error says what that is", () => {
  const model = onnx.load(modelBytes(mlp));
  const call = (make: (graph: Graph) => Tensor | Record<string, Tensor>) => () => {
    const graph = new Graph(traceContext(moduleTree(model), false).context);
    model(make(graph));
  };
  const column = (graph: Graph, dtype: "float32" | "uint8", ...rest: number[]) =>
    graph.input("column", "x", { dtype, shape: [batch, ...rest] });
  expect(call((graph) => column(graph, "uint8", 4))).toThrow(
    /input "x" is float32\[N,4\], found uint8\[N,4\]: add \.cast\("float32"\)/,
  );
  expect(call((graph) => column(graph, "float32", 5))).toThrow(/found float32\[N,5\]: axis 1 differs/);
  expect(call((graph) => column(graph, "float32", 2, 2))).toThrow(/expected rank 2/);
  expect(call((graph) => ({ image: column(graph, "float32", 4) }))).toThrow(/no input "image"; it has x/);
  expect(() => onnx.load(modelBytes({ ...mlp, outputs: ["y", "a"] }))).not.toThrow();
  expect(() => shapeOf(onnx.load(modelBytes({ ...mlp, outputs: ["y", "a"] })), [4])).toThrow(
    /2 outputs; name what you need: model\.tensor\("y"\)/,
  );
});

test("single numbers are constants, unless they are to be trained", () => {
  const scaled = modelBytes({
    nodes: [{ type: "Mul", inputs: ["x", "scale"], outputs: ["y"] }],
    inputs: { x: ["N", 4] },
    outputs: ["y"],
    initializers: { scale: { shape: [], values: Float32Array.of(3) } },
  });
  expect(trainable(onnx.load(scaled))).toEqual([]);
  expect(trainable(onnx.load(scaled, { train: ["scale"] }))).toEqual(["scale"]);
});

test("running statistics are frozen, scale and bias of a batch norm train", () => {
  const paths = trainable(onnx.load(fileUrl("cnn"))).filter((path) => path.startsWith("bn1"));
  expect(paths).toEqual(["bn1.weight", "bn1.bias"]);
});

test("shapes that the model computes keep the batch axis as k·N", () => {
  const model = modelBytes({
    nodes: [
      { type: "Shape", inputs: ["x"], outputs: ["s"] },
      { type: "Gather", inputs: ["s", "zero"], outputs: ["n"] },
      { type: "Gather", inputs: ["s", "one"], outputs: ["t"] },
      { type: "Mul", inputs: ["n", "t"], outputs: ["nt"] },
      { type: "Concat", inputs: ["nt", "minus"], outputs: ["target"], attributes: { axis: 0 } },
      { type: "Reshape", inputs: ["x", "target"], outputs: ["rows"] },
      { type: "Div", inputs: ["nt", "t"], outputs: ["back"] },
      { type: "Concat", inputs: ["back", "two"], outputs: ["sizes"], attributes: { axis: 0 } },
      { type: "ConstantOfShape", inputs: ["sizes"], outputs: ["zeros"] },
      { type: "Equal", inputs: ["sizes", "minus2"], outputs: ["asked"] },
      { type: "Where", inputs: ["asked", "ones", "sizes"], outputs: ["expanded"] },
      { type: "Expand", inputs: ["first", "expanded"], outputs: ["wide"] },
    ],
    inputs: { x: ["N", "T", 6] },
    outputs: ["rows", "zeros", "wide"],
    initializers: {
      zero: int64(0),
      one: int64(1),
      two: int64(2),
      minus: int64(-1),
      minus2: int64(-1, -1),
      ones: int64(1, 1),
      first: floats(1, 2),
    },
  });
  const names = ["rows", "zeros", "wide"];
  const loaded = onnx.load(model).tensors(names);
  const graph = new Graph(traceContext(moduleTree(loaded), false).context);
  const found = loaded(graph.input("column", "x", { dtype: "float32", shape: [batch, 3, 6] }));
  expect(names.map((name) => shapeToString(found[name]!.shape))).toEqual(["[3N,6]", "[N,2]", "[N,2]"]);
});

test("a size that depends on the data is refused with its name and a remedy, a fixed value for it helps", () => {
  const spec: ModelSpec = {
    nodes: [{ type: "Reshape", name: "view", inputs: ["x", "target"], outputs: ["y"] }],
    inputs: { x: ["N", 4], target: [2] },
    outputs: ["y"],
    inputDType: "int64",
  };
  const model = onnx.load(modelBytes(spec));
  const graph = new Graph(traceContext(moduleTree(model), false).context);
  const column = (name: string, ...rest: number[]) =>
    graph.input("column", name, { dtype: "int64", shape: [batch, ...rest] });
  expect(() => model({ x: column("x", 4), target: column("target") })).toThrow(
    /Reshape "view": its shape "target" is computed from data; .*inputs: \{ "target": \{ value/,
  );
  const fixed = onnx.load(modelBytes(spec), { inputs: { target: { value: [-1, 2, 2] } } });
  expect(fixed.inputs.map(({ name }) => name)).toEqual(["x"]);
  expect(shapeOf(fixed, [4], "int64")).toBe("[N,2,2]");
});

test("what cannot be imported is named with its node, and only where it is needed", () => {
  const spec: ModelSpec = {
    ...mlp,
    nodes: [...mlp.nodes, { type: "NonMaxSuppression", name: "/boxes/NMS", inputs: ["y", "y"], outputs: ["boxes"] }],
    outputs: ["boxes"],
  };
  expect(() => onnx.load(modelBytes(spec))).toThrow(
    expect.objectContaining({
      code: "ONNX_UNSUPPORTED",
      message: expect.stringMatching(
        /NonMaxSuppression "\/boxes\/NMS" is an operator that Tutti does not have; .*outputs/,
      ),
    }),
  );
  expect(shapeOf(onnx.load(modelBytes(spec), { outputs: ["y"] }), [4])).toBe("[N,2]");
  expect(() => onnx.load(modelBytes({ ...mlp, opset: 30 }))).toThrow(/version 30 of ai\.onnx, expected/);
});

test("names that nothing makes, or that are made twice, are refused", () => {
  const [first, ...rest] = mlp.nodes;
  expect(() => onnx.load(modelBytes({ ...mlp, nodes: [...rest, first!] }))).toThrow(
    /"\/act\/Relu" uses "h", which nothing before it makes/,
  );
  expect(() =>
    onnx.load(modelBytes({ ...mlp, nodes: [...mlp.nodes, { type: "Relu", inputs: ["x"], outputs: ["h"] }] })),
  ).toThrow(/"h" is made twice/);
  expect(() => onnx.load(modelBytes({ ...mlp, outputs: ["q"] }))).toThrow(/nothing makes the output "q"/);
  expect(() => onnx.load(Uint8Array.of(8, 255))).toThrow(expect.objectContaining({ code: "GRAPH_INVALID" }));
});

function externalModel(entries: Readonly<Record<string, string>>): Uint8Array {
  return modelBytes({ ...mlp, external: { "fc1.weight": entries } });
}

test("data beside the model is read at its offset", async () => {
  const weight = mlp.initializers!["fc1.weight"]!.values;
  const file = Buffer.concat([Buffer.alloc(64), Buffer.from(weight.buffer)]);
  writeFileSync(join(folder, "weights.bin"), file);
  writeFileSync(join(folder, "model.onnx"), externalModel({ location: "weights.bin", offset: "64", length: "48" }));
  const { values } = await runModule(onnx.load(join(folder, "model.onnx")), input, false);
  expect(values).toEqual((await runModule(onnx.load(modelBytes(mlp)), input, false)).values);
});

test.each([
  ["an absolute path", { location: "/etc/hostname" }, /expected a file in its own folder/],
  ["a path upwards", { location: "../secret.bin" }, /expected a file in its own folder/],
  ["a path that goes down and up", { location: "a/../../secret.bin" }, /expected a file in its own folder/],
  ["a link that leads out", { location: "link.bin" }, /expected a file in its own folder/],
  ["a folder", { location: "sub" }, /expected a file, found a folder/],
  ["a missing file", { location: "none.bin" }, /no such file beside the model/],
  [
    "a piece past the end",
    { location: "short.bin" },
    /a tensor of 48 bytes is said to be the rest bytes at 0; the file has 8/,
  ],
  [
    "another length than the shape's",
    { location: "short.bin", length: "8" },
    /a tensor of 48 bytes is said to be 8 bytes/,
  ],
  ["an offset that is no number", { location: "short.bin", offset: "-8" }, /offset of its external data is "-8"/],
  ["nothing", { location: "" }, /expected a file in its own folder/],
])("external data at %s is refused", (name, entries, message) => {
  const own = join(folder, name.replaceAll(" ", "-"));
  mkdirSync(join(own, "sub"), { recursive: true });
  writeFileSync(join(folder, "secret.bin"), Buffer.alloc(48));
  writeFileSync(join(own, "short.bin"), Buffer.alloc(8));
  symlinkSync(join(folder, "secret.bin"), join(own, "link.bin"));
  writeFileSync(join(own, "model.onnx"), externalModel(entries as Readonly<Record<string, string>>));
  expect(() => onnx.load(join(own, "model.onnx"))).toThrow(message);
});

test("external data of a model given as bytes, and files that are too large, are refused", () => {
  expect(() => onnx.load(externalModel({ location: "weights.bin" }))).toThrow(/stored in another file/);
  expect(() => onnx.load(fileUrl("attention"), { maxBytes: 1000 })).toThrow(/allowed are 1000/);
  expect(() => onnx.load("none.onnx")).toThrow(
    expect.objectContaining({
      code: "DATA_MISSING",
      message: expect.stringContaining(`${import.meta.dirname}/none.onnx`),
    }),
  );
});

test("dropout passes its input on, and drops in training when asked", () => {
  const spec: ModelSpec = {
    nodes: [{ type: "Dropout", inputs: ["x"], outputs: ["y"], attributes: { ratio: 0.25 } }],
    inputs: { x: ["N", 4] },
    outputs: ["y"],
    opset: 10,
  };
  const randoms = (dropout: boolean, training: boolean): number => {
    const model = onnx.load(modelBytes(spec), { dropout });
    const graph = new Graph(traceContext(moduleTree(model), training).context);
    model(graph.input("column", "x", { dtype: "float32", shape: [batch, 4] }));
    return graph.values.filter(({ source }) => source.kind === "input" && source.role === "random").length;
  };
  expect([randoms(false, true), randoms(true, false), randoms(true, true)]).toEqual([0, 0, 1]);
});
