import { createHash } from "node:crypto";
import {
  batch,
  checkGraph,
  Graph,
  gradients,
  operators,
  readOnnx,
  type Tensor,
  type TypedValues,
  writeOnnx,
} from "@tutti/core/graph";
import { describe, expect, test } from "vitest";
import { openBytes, toNumbers } from "./run-graph.ts";

const limits = { maxBytes: 1 << 20, maxNodes: 1000 };

function network(): { graph: Graph; logits: Tensor; loss: Tensor; w: Tensor } {
  const graph = new Graph();
  const image = graph.input("column", "image", { dtype: "uint8", shape: [4, 2, 3] });
  const label = graph.input("column", "label", { dtype: "int64", shape: [4] });
  const w = graph.input("parameter", "fc.weight", { dtype: "float32", shape: [5, 6] });
  const b = graph.input("parameter", "fc.bias", { dtype: "float32", shape: [5] });
  const logits = graph.withScope("model.fc", () =>
    image.cast("float32").div(255).flatten(1).gemm(w, { addend: b, transB: true }),
  );
  const loss = logits.logSoftmax().mul(label.oneHot(5)).sum(1).neg();
  return { graph, logits, loss, w };
}

function program(): Uint8Array {
  const { graph, loss, w } = network();
  const [dw] = gradients(loss, [w]);
  return writeOnnx(graph, { outputs: { loss, dw: dw! }, opset: 23, name: "program" });
}

describe("writeOnnx", () => {
  test("gives the same bytes for the same graph", () => {
    const [a, b] = [program(), program()];
    expect(createHash("sha256").update(a).digest("hex")).toBe(createHash("sha256").update(b).digest("hex"));
  });

  test("writes the IR version that belongs to the opset, and com.microsoft only where it is used", () => {
    const model = readOnnx(program());
    expect([model.irVersion, [...model.opsets]]).toEqual([11, [["", 23]]]);
    const { graph, logits } = network();
    const exported = readOnnx(writeOnnx(graph, { outputs: { logits }, opset: 18, name: "model" }));
    expect([exported.irVersion, [...exported.opsets], exported.producer]).toEqual([8, [["", 18]], "tutti"]);
    const fused = new Graph();
    const x = fused.input("column", "x", { dtype: "float32", shape: [2, 2] });
    const y = fused.apply(operators.get("com.microsoft:FusedMatMul")!, [x, x], { transB: 1 })[0]!;
    expect([...readOnnx(writeOnnx(fused, { outputs: { y }, opset: 23, name: "fused" })).opsets]).toEqual([
      ["", 23],
      ["com.microsoft", 1],
    ]);
  });

  test("leaves out what the outputs do not need, and names inputs and outputs as told", () => {
    const { graph, logits } = network();
    const model = readOnnx(writeOnnx(graph, { outputs: { logits }, opset: 18, name: "model" }));
    expect(model.inputs).toEqual([
      { name: "image", dtype: "uint8", shape: [4, 2, 3] },
      { name: "fc.weight", dtype: "float32", shape: [5, 6] },
      { name: "fc.bias", dtype: "float32", shape: [5] },
    ]);
    expect(model.outputs).toEqual([{ name: "logits", dtype: "float32", shape: [4, 5] }]);
    expect(model.nodes.map((node) => node.type)).toEqual(["Cast", "Div", "Reshape", "Gemm"]);
    expect(model.nodes[3]).toMatchObject({
      name: expect.stringMatching(/^model\.fc\/Gemm_/),
      outputs: ["logits"],
      attributes: { transB: 1, alpha: 1, beta: 1 },
    });
    const shape = model.initializers.find(({ name }) => name === model.nodes[2]!.inputs[1]);
    expect(shape).toMatchObject({ dtype: "int64", shape: [2], values: BigInt64Array.of(4n, 6n) });
  });

  test("stores given values as initializers instead of inputs", async () => {
    const { graph, logits } = network();
    const initializers = new Map<string, TypedValues>([
      ["fc.weight", Float32Array.from({ length: 30 }, (_, i) => i)],
      ["fc.bias", Float32Array.of(1, 2, 3, 4, 5)],
    ]);
    const bytes = writeOnnx(graph, { outputs: { logits }, opset: 18, name: "model", initializers });
    expect(readOnnx(bytes).inputs.map(({ name }) => name)).toEqual(["image"]);
    const results = await (await openBytes(bytes, graph))({ image: new Uint8Array(24) });
    expect(toNumbers(results.logits!.values).slice(0, 5)).toEqual([1, 2, 3, 4, 5]);
    expect(() =>
      writeOnnx(graph, {
        outputs: { logits },
        opset: 18,
        name: "model",
        initializers: new Map([["fc.bias", new Float32Array(4)]]),
      }),
    ).toThrow("fc.bias: 4 values for shape [5]");
  });

  test("gives one value two names, and passes inputs and constants on as outputs", async () => {
    const graph = new Graph();
    const x = graph.input("column", "x", { dtype: "float32", shape: [2] });
    const y = x.exp();
    const bytes = writeOnnx(graph, {
      outputs: { first: y, second: y, copy: x, two: graph.scalar(2, "float32") },
      opset: 23,
      name: "alias",
    });
    const results = await (await openBytes(bytes, graph))({ x: Float32Array.of(0, 0) });
    expect(Object.entries(results).map(([name, { values }]) => [name, ...values])).toEqual([
      ["first", 1, 1],
      ["second", 1, 1],
      ["copy", 0, 0],
      ["two", 2],
    ]);
  });

  test("keeps names apart: an input called like a value of the graph", async () => {
    const graph = new Graph();
    const a = graph.input("column", "v1", { dtype: "float32", shape: [1] });
    const y = a.exp().log(); // exp is value 1
    const bytes = writeOnnx(graph, { outputs: { v2: y }, opset: 23, name: "names" });
    expect(toNumbers((await (await openBytes(bytes, graph))({ v1: Float32Array.of(0) })).v2!.values)).toEqual([0]);
    expect(() => writeOnnx(graph, { outputs: { v1: y }, opset: 23, name: "names" })).toThrow("rename the output");
  });

  test("keeps N free: the same file runs for 1 and for 5 samples", async () => {
    const graph = new Graph();
    const x = graph.input("column", "x", { dtype: "float32", shape: [batch, 2, 3] });
    const bias = graph.input("parameter", "bias", { dtype: "float32", shape: [3] });
    const merged = x.reshape([-1, 3]).add(bias); // [2N, 3]
    const kept = x.slice(1, 0, 1).expand([batch, 2, 3]);
    const grown = bias
      .reshape([1, 3])
      .expand([{ timesN: 4 }, 3])
      .reshape([batch, -1]); // N taken from x
    const outputs = { merged, kept, grown, split: merged.reshape([batch, -1]) };
    const bytes = writeOnnx(graph, { outputs, opset: 18, name: "free", samplesName: "batch" });
    const model = readOnnx(bytes);
    expect(model.inputs[0]!.shape).toEqual(["batch", 2, 3]);
    expect(model.outputs.map(({ shape }) => shape)).toEqual([
      ["2*batch", 3],
      ["batch", 2, 3],
      ["batch", 12],
      ["batch", 6],
    ]);
    const run = await openBytes(bytes, graph, "all");
    for (const samples of [1, 5]) {
      const values = Float32Array.from({ length: samples * 6 }, (_, i) => i);
      const results = await run({ x: values, bias: Float32Array.of(0, 0, 1) }, { x: [samples, 2, 3] });
      expect(Object.fromEntries(Object.entries(results).map(([name, { dims }]) => [name, dims]))).toEqual({
        merged: [2 * samples, 3],
        kept: [samples, 2, 3],
        grown: [samples, 12],
        split: [samples, 6],
      });
      expect(toNumbers(results.kept!.values.slice(0, 6))).toEqual([0, 1, 2, 0, 1, 2]);
      expect(toNumbers(results.grown!.values.slice(0, 4))).toEqual([0, 0, 1, 0]);
    }
  });

  test("refuses an opset it does not know", () => {
    const { graph, logits } = network();
    expect(() => writeOnnx(graph, { outputs: { logits }, opset: 12, name: "old" })).toThrow(
      "ONNX opset 12: expected one of 18,",
    );
  });
});

describe("checkGraph", () => {
  test("lets every program of ours pass, and returns it decoded", () => {
    const bytes = program();
    expect(checkGraph(bytes, limits)).toEqual(readOnnx(bytes));
  });

  test("refuses too many bytes before decoding them, and too many nodes", () => {
    expect(() => checkGraph(new Uint8Array(100), { ...limits, maxBytes: 99 })).toThrow(
      expect.objectContaining({ code: "GRAPH_INVALID", message: "the graph has 100 bytes, allowed are 99" }),
    );
    expect(() => checkGraph(program(), { ...limits, maxNodes: 3 })).toThrow(/has \d+ nodes, allowed are 3/);
  });

  test("refuses bytes that are no model, and every truncation of one", () => {
    const bytes = program();
    for (let length = 0; length < bytes.length; length += 7) {
      expect(() => checkGraph(bytes.subarray(0, length), limits)).toThrow(
        expect.objectContaining({ code: "GRAPH_INVALID" }),
      );
    }
    expect(() =>
      checkGraph(
        Uint8Array.from({ length: 300 }, (_, i) => (i * 151) % 256),
        limits,
      ),
    ).toThrow(expect.objectContaining({ code: "GRAPH_INVALID" }));
  });

  /** Protobuf fields by hand, so that what we refuse is made by nothing of ours. */
  const field = (id: number, content: Uint8Array | string): number[] => {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    return [...varint(id * 8 + 2), ...varint(bytes.length), ...bytes];
  };
  const int = (id: number, value: number): number[] => [...varint(id * 8), ...varint(value)];
  function varint(value: number): number[] {
    return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
  }
  const message = (...fields: number[][]): Uint8Array => Uint8Array.from(fields.flat());
  const opset = (domain: string): number[] => field(8, message(domain === "" ? [] : field(1, domain), int(2, 23)));
  const model = (graph: Uint8Array, ...more: number[][]): Uint8Array =>
    message(int(1, 11), field(7, graph), opset(""), ...more);
  const node = (type: string, inputs: string[], outputs: string[], ...more: number[][]): number[] =>
    field(
      1,
      message(
        ...inputs.map((name) => field(1, name)),
        ...outputs.map((name) => field(2, name)),
        field(4, type),
        ...more,
      ),
    );
  const float = (name: string): Uint8Array =>
    message(field(1, name), field(2, message(field(1, message(int(1, 1), field(2, message()))))));
  const x = field(11, float("x"));
  const y = field(12, float("y"));

  test("accepts the hand-made model that the next tests vary", () => {
    expect(checkGraph(model(message(node("Exp", ["x"], ["y"]), x, y)), limits).nodes).toEqual([
      { name: "", domain: "", type: "Exp", inputs: ["x"], outputs: ["y"], attributes: {} },
    ]);
  });

  const external = message(
    int(1, 1),
    int(2, 1),
    field(8, "c"),
    field(13, message(field(1, "location"), field(2, "/etc/passwd"))),
    int(14, 1),
  );
  const refused: Record<string, [Uint8Array, RegExp]> = {
    "an operator that is not in the table": [
      model(message(x, y, node("If", ["x"], ["y"]))),
      /operator If, which is not in the operator table/,
    ],
    "an operator of another domain": [
      model(message(x, y, node("Exp", ["x"], ["y"], field(7, "evil.org")))),
      /operator evil\.org\.Exp/,
    ],
    "another operator domain": [
      model(message(x, y, node("Exp", ["x"], ["y"])), opset("evil.org")),
      /domain "evil\.org"/,
    ],
    "a subgraph": [
      model(
        message(
          x,
          y,
          node(
            "Exp",
            ["x"],
            ["y"],
            field(5, message(field(1, "body"), field(6, message(field(2, "inner"))), int(20, 5))),
          ),
        ),
      ),
      /body of Exp is a subgraph/,
    ],
    "a function": [model(message(x, y, node("Exp", ["x"], ["y"])), field(25, message())), /functions/],
    "training info": [model(message(x, y, node("Exp", ["x"], ["y"])), field(20, message())), /training info/],
    "sparse initializers": [model(message(x, y, node("Exp", ["x"], ["y"]), field(15, message()))), /sparse/],
    "external data": [model(message(field(5, external), y, node("Exp", ["c"], ["y"]))), /c is stored in another file/],
    "a tensor of fewer bytes than its shape says": [
      model(
        message(
          field(5, message(int(1, 1 << 30), int(2, 1), field(8, "c"), field(9, message([0, 0, 0, 0])))),
          y,
          node("Exp", ["c"], ["y"]),
        ),
      ),
      /c holds no values, expected 1073741824/,
    ],
    "a tensor of a size beyond all bounds": [
      model(
        message(
          field(5, message(int(1, 2 ** 52), int(1, 2 ** 52), int(2, 1), field(8, "c"))),
          y,
          node("Exp", ["c"], ["y"]),
        ),
      ),
      /c has shape/,
    ],
    "a dtype that we lack": [
      model(message(field(5, message(int(2, 8), field(8, "c"))), y, node("Exp", ["c"], ["y"]))),
      /dtype number 8/,
    ],
    "a value that is used before it is made": [
      model(message(x, y, node("Exp", ["z"], ["y"]), node("Exp", ["x"], ["z"]))),
      /uses "z", which nothing before it makes/,
    ],
    "a value that is made twice": [
      model(message(x, y, node("Exp", ["x"], ["y"]), node("Log", ["x"], ["y"]))),
      /makes value "y" twice/,
    ],
    "a field that this check does not know, in the model": [
      model(message(node("Exp", ["x"], ["y"]), x, y), field(26, message(field(1, "device")))),
      /fields that the engine knows and this check does not/,
    ],
    "a field that this check does not know, deep inside": [
      model(message(node("Exp", ["x"], ["y"], field(9, message(field(1, "key")))), x, y)),
      /fields that the engine knows and this check does not/,
    ],
    "a graph in two parts, which the engine would join": [
      message(int(1, 11), field(7, message(node("Exp", ["x"], ["y"]))), field(7, message(x, y)), opset("")),
      /not encoded as Tutti does/,
    ],
    "an output that nothing makes": [model(message(x, y)), /nothing makes the output "y"/],
  };
  for (const [name, [bytes, reason]] of Object.entries(refused)) {
    test(`refuses ${name}`, () => {
      expect(() => checkGraph(bytes, limits)).toThrow(
        expect.objectContaining({ code: "GRAPH_INVALID", message: expect.stringMatching(reason) }),
      );
    });
  }
});

describe("readOnnx", () => {
  test("reads back constants of every dtype, bit for bit", () => {
    const graph = new Graph();
    const constants: Record<string, Tensor> = {
      float32: graph.constant(Float32Array.of(-0, Number.NaN, 1e-45), [3], "float32"),
      float64: graph.constant(Float64Array.of(Math.PI), [], "float64"),
      int8: graph.constant(Int8Array.of(-128, 127), [2], "int8"),
      uint8: graph.constant(Uint8Array.of(255), [1, 1], "uint8"),
      int16: graph.constant(Int16Array.of(-32768), [1], "int16"),
      uint16: graph.constant(Uint16Array.of(65535), [1], "uint16"),
      int32: graph.constant(Int32Array.of(-(2 ** 31)), [1], "int32"),
      int64: graph.constant(BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n), [2], "int64"),
      bool: graph.constant(Uint8Array.of(1, 0), [2], "bool"),
    };
    const model = readOnnx(writeOnnx(graph, { outputs: constants, opset: 23, name: "constants" }));
    expect(model.initializers.map(({ dtype }) => dtype)).toEqual(Object.keys(constants));
    for (const { dtype, shape, values } of model.initializers) {
      const { source, type } = graph.value(constants[dtype]!.id);
      expect(shape).toEqual(type.shape);
      expect(source.kind === "constant" && Object.is(source.values.constructor, values.constructor)).toBe(true);
      if (source.kind === "constant") expect(values).toEqual(source.values);
    }
  });
});
