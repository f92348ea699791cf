import { data } from "@tutti/core/data";
import { readOnnx } from "@tutti/core/graph";
import { nn } from "@tutti/core/nn";
import { checkExport, onnx } from "@tutti/core/onnx";
import { optim } from "@tutti/core/optim";
import { compileRun, defineRun, exportOnnx, parameterViews } from "@tutti/core/run";
import { expect, test } from "vitest";
import { fileUrl } from "./run-model.ts";

const source = data.arrays({
  image: {
    dtype: "float32",
    shape: [2, 7, 7],
    values: Float32Array.from({ length: 4 * 98 }, (_, i) => (i % 13) / 6 - 1),
  },
  ids: { dtype: "int64", shape: [5], values: BigInt64Array.from({ length: 20 }, (_, i) => BigInt(i % 11)) },
  label: Uint8Array.of(0, 1, 2, 0),
});
const dataset = await source.open({ baseDirectory: "." });

function compiled(freeze: readonly string[] = []) {
  const cnn = onnx.load(fileUrl("cnn"), { freeze });
  const text = onnx.load(fileUrl("attention")).tensor("y");
  const model = { cnn, text, head: nn.linear(11, 3) };
  const definition = defineRun({
    data: { train: source },
    model,
    step({ image, ids, label }) {
      const tokens = text(ids);
      const logits = model.head(tokens.mean(1)).add(cnn(image).slice(1, 0, 3));
      return { loss: nn.crossEntropy(logits, label), outputs: { logits, tokens, choice: logits.argmax(1) } };
    },
    optimizer: optim.sgd({ lr: 0.1 }),
    batchSize: 4,
  });
  return compileRun(definition, { train: dataset });
}

const run = compiled();
const parameters = parameterViews(run.layout, run.initialParameters());
const exported = exportOnnx(run.inferenceGraph!, parameters);
const ranges = new Map([["ids", [0, 10] as const]]);

test("a run of imported models exports standard operators that compute what its evaluation trace computes", async () => {
  expect([...readOnnx(exported).opsets]).toEqual([["", 18]]);
  const check = await checkExport({
    exported,
    reference: (samples) => run.evaluationGraph(samples)!,
    parameters,
    ranges,
  });
  expect(check.outputs.map(({ name }) => name)).toEqual(["logits", "tokens", "choice"]);
  expect(check.agrees).toBe(true);
});

test("the check holds an exported model against the checkpoint's own graph too", async () => {
  expect((await checkExport({ exported, reference: run.inferenceGraph!, parameters, ranges })).agrees).toBe(true);
});

test("the check finds a weight that differs by a thousandth", async () => {
  const changed = new Map(parameters);
  changed.set(
    "head.bias",
    parameters.get("head.bias")!.map((value) => value + 1e-3),
  );
  const wrong = exportOnnx(run.inferenceGraph!, changed);
  const check = await checkExport({ exported: wrong, reference: run.inferenceGraph!, parameters, ranges });
  expect(check.agrees).toBe(false);
  expect(check.outputs.find(({ name }) => name === "logits")!.worst).toBeGreaterThan(1e-5);
  expect(check.outputs.find(({ name }) => name === "tokens")!.worst).toBeLessThan(1e-5);
});

test("the check reaches every row of an embedding, without being told their number", async () => {
  const table = "text.embed.weight";
  for (const row of [3, 10]) {
    const changed = new Map(parameters);
    const width = parameters.get(table)!.length / 11;
    changed.set(
      table,
      parameters.get(table)!.map((value, i) => value + (Math.floor(i / width) === row ? 1 : 0)),
    );
    const wrong = exportOnnx(run.inferenceGraph!, changed);
    const check = await checkExport({ exported: wrong, reference: run.inferenceGraph!, parameters });
    expect([row, check.agrees]).toEqual([row, false]);
  }
  expect((await checkExport({ exported, reference: run.inferenceGraph!, parameters })).agrees).toBe(true);
});

test("an index that the model does not have is the engine's error", async () => {
  const outside = new Map([["ids", [40, 50] as const]]);
  await expect(
    checkExport({ exported, reference: run.inferenceGraph!, parameters, ranges: outside }),
  ).rejects.toMatchObject({
    code: "ENGINE_FAILED",
  });
});

test("imported values start the run, and the record holds their digest instead of them", () => {
  expect(parameters.get("cnn.fc.bias")!.length).toBe(5);
  const text = JSON.stringify(run.record);
  expect(text).toMatch(/"init":\{"kind":"values","sha256":"[0-9a-f]{64}"\}/);
  expect(text.length).toBeLessThan(20_000);
  expect(compiled().digest).toBe(run.digest);
  expect(compiled(["conv1.*"]).digest).not.toBe(run.digest);
});
