import { readFileSync } from "node:fs";
import { encodeSafetensors } from "@tutti/core/checkpoint";
import { data } from "@tutti/core/data";
import { nn } from "@tutti/core/nn";
import { optim } from "@tutti/core/optim";
import { compileRun, defineRun, exportOnnx, parameterViews } from "@tutti/core/run";
import { encodeWeights, type InitialWeights, weights } from "@tutti/core/weights";
import { Tensor as EngineTensor, InferenceSession } from "onnxruntime-node";
import { expect, test } from "vitest";
import { allcloseError, ParitySection } from "../parity-section.ts";

const section = new ParitySection("Weights");

interface Recorded {
  readonly tensors: Readonly<Record<string, { readonly shape: readonly number[]; readonly fingerprint: number }>>;
  readonly ours: { readonly x: readonly number[]; readonly y: readonly number[] };
}

// Made by test/parity/weights.py.
const recorded: Recorded = JSON.parse(readFileSync(new URL("files/torch.json", import.meta.url), "utf8"));
const torchFile = new URL("files/torch.safetensors", import.meta.url);

const source = data.arrays({
  x: { dtype: "float32", shape: [3], values: Float32Array.from({ length: 12 }, (_, i) => i / 7) },
});
const dataset = await source.open({ baseDirectory: "." });
const model = nn.sequential({ fc1: nn.linear(3, 4), act: nn.relu(), fc2: nn.linear(4, 2) });

function compiled(given?: InitialWeights) {
  const definition = defineRun({
    data: { train: source },
    model,
    step({ x }) {
      const y = model(x);
      return { loss: y.mul(y).sum(1), outputs: { y } };
    },
    optimizer: optim.sgd({ lr: 0.1 }),
    batchSize: 4,
    seed: 7,
    ...(given && { weights: given }),
  });
  return compileRun(definition, { train: dataset });
}

const own = compiled();
const shapes = own.layout.entries.map(({ name, shape }) => ({ name, shape }));
const views = parameterViews(own.layout, own.initialParameters());
const tensors = shapes.map(({ name, shape }) => ({ name, shape, values: views.get(name)! }));

test("PyTorch computes with a file of ours what the model computes", async () => {
  const bytes = encodeWeights(tensors);
  // The very bytes that PyTorch read when the result was recorded.
  await expect(`${Buffer.from(bytes).toString("base64")}\n`).toMatchFileSnapshot("files/ours.base64");
  const session = await InferenceSession.create(exportOnnx(own.inferenceGraph!, views), { intraOpNumThreads: 1 });
  const { y } = await session.run({ x: new EngineTensor("float32", Float32Array.from(recorded.ours.x), [2, 3]) });
  const error = allcloseError(y!.data as Float32Array, recorded.ours.y, { rtol: 1e-6, atol: 1e-7 });
  section.compare("MLP that PyTorch loads from our file", "output", error, 1e-6);
});

test("PyTorch's tensors are read bit for bit, half floats among them", () => {
  const parameters = Object.entries(recorded.tensors).map(([name, { shape }]) => ({ name, shape }));
  const values = weights.load(torchFile).valuesFor(parameters);
  let wrong = 0;
  for (const [name, { fingerprint }] of Object.entries(recorded.tensors)) {
    const floats = values.get(name)!;
    const words = new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
    const found = words.reduce((total, word) => (Math.imul(total, 31) + word) >>> 0, 0);
    wrong += found === fingerprint ? 0 : 1;
  }
  section.compare("tensors that PyTorch wrote, half floats among them", "how many differ in a bit", wrong, 0);
});

test("a run starts from the weights of a file, and its record says which", () => {
  const changed = tensors.map(({ values, ...rest }) => ({ ...rest, values: values.map((value) => value + 1) }));
  const run = compiled(weights.load(encodeWeights(changed)));
  expect([...parameterViews(run.layout, run.initialParameters())]).toEqual(
    changed.map(({ name, values }) => [name, values]),
  );
  expect(run.digest).not.toBe(own.digest);
  const same = compiled(weights.load(encodeWeights(tensors)));
  expect(same.initialParameters()).toEqual(own.initialParameters());
  expect(same.record.weights).not.toEqual(run.record.weights);
});

test("all that does not fit is refused in one list", () => {
  const file = weights.load(
    fileOf([
      { name: "fc1.weight", dtype: "float32", shape: [3, 4], data: new Uint8Array(48) },
      { name: "fc1.bias", dtype: "float64", shape: [4], data: new Uint8Array(32) },
      { name: "extra", dtype: "float32", shape: [], data: new Uint8Array(4) },
    ]),
  );
  expect(() => compiled(file)).toThrow(
    expect.objectContaining({
      code: "WEIGHTS_INVALID",
      details: {
        problems: [
          "fc1.weight is [3,4], the model's is [4,3]",
          "fc1.bias is F64, expected F32, F16 or BF16",
          "missing fc2.weight [2,4]",
          "missing fc2.bias [2]",
          "unexpected extra",
        ],
      },
    }),
  );
});

function fileOf(list: Parameters<typeof encodeSafetensors>[0]): Uint8Array {
  const { header, data: parts } = encodeSafetensors(list, {});
  return Buffer.concat([header, ...parts]);
}

test("names can be changed, the rest initialised or left out when asked", () => {
  const renamed = tensors
    .slice(0, 2)
    .map(({ name, ...rest }) => ({ name: `module.${name}`, ...rest, values: rest.values.map(() => 3) }));
  const bytes = encodeWeights([...renamed, { name: "module.old", shape: [1], values: Float32Array.of(1) }]);
  const run = compiled(
    weights.load(bytes, { rename: (name) => name.replace("module.", ""), missing: "initialize", unexpected: "ignore" }),
  );
  const found = parameterViews(run.layout, run.initialParameters());
  expect(found.get("fc1.weight")!.every((value) => value === 3)).toBe(true);
  expect(found.get("fc2.weight")).toEqual(views.get("fc2.weight"));
  expect(() => compiled(weights.load(bytes, { missing: "initialize", unexpected: "ignore" }))).toThrow(
    /none of the model's parameters/,
  );
});

test("what is no weights file, or is not there, is refused", () => {
  expect(() => weights.load(Uint8Array.of(1, 2, 3))).toThrow(expect.objectContaining({ code: "WEIGHTS_INVALID" }));
  expect(() => weights.load("none.safetensors")).toThrow(
    expect.objectContaining({
      code: "DATA_MISSING",
      message: expect.stringContaining(`${import.meta.dirname}/none.safetensors`),
    }),
  );
  expect(() => weights.load(torchFile, { maxBytes: 100 })).toThrow(expect.objectContaining({ code: "DATA_INVALID" }));
});

test("docs/parity.md lists what was compared here", () => section.expectListed());
