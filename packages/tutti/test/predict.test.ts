import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { data, defineRun, metrics, nn, openModel, optim, predict, type TrainResult, train } from "tutti";
import { afterAll, beforeAll, expect, test } from "vitest";

const folder = await mkdtemp(join(tmpdir(), "tutti-predict-"));
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Numbers in [-1, 1) from an integer hash. */
const noise = (i: number): number => ((i * 2654435761) % 4096) / 2048 - 1;
const validationRows = 301;
const image = Uint8Array.from({ length: 400 * 6 }, (_, i) => 128 + 127 * noise(i));
const shift = Float32Array.from({ length: 400 }, (_, i) => noise(i * 7 + 3));
const label = Uint8Array.from(
  { length: 400 },
  (_, i) => (image[6 * i]! > 128 ? 1 : 0) + (image[6 * i + 1]! > 128 ? 1 : 0),
);
const part = (from: number, to: number) => ({
  image: image.slice(6 * from, 6 * to),
  shift: shift.slice(from, to),
  label: label.slice(from, to),
});
const source = (from: number, to: number) => {
  const columns = part(from, to);
  return data.arrays({
    image: { dtype: "uint8", shape: [2, 3], values: columns.image },
    shift: columns.shift,
    label: columns.label,
  });
};
const validation = part(0, validationRows);

const model = nn.sequential({ fc1: nn.linear(6, 16), act: nn.relu(), fc2: nn.linear(16, 3) });
const definition = defineRun({
  data: { train: source(0, 400), validation: source(0, validationRows) },
  model,
  step(columns) {
    const logits = model(columns.image.cast("float32").div(255).flatten(1)).add(columns.shift.unsqueeze(1));
    return {
      loss: nn.crossEntropy(logits, columns.label),
      outputs: { logits, best: logits.argmax(1) },
      metrics: { accuracy: metrics.accuracy(logits, columns.label) },
    };
  },
  optimizer: optim.adam({ lr: 2e-2, ema: { decay: 0.5 } }),
  batchSize: 50,
  epochs: 6,
  checkpoint: { everySteps: 8, best: { metric: "accuracy", mode: "max" } },
});

const out = join(folder, "run");
let result: TrainResult;
beforeAll(async () => {
  result = await train(definition, { out });
});

const columns = { image: validation.image, shift: validation.shift };

test("predicts what the validation counted: its loss and accuracy, over several batches", async () => {
  const { logits, best } = await predict(out, columns, { batchSize: 64 });
  expect(logits).toMatchObject({ dtype: "float32", shape: [validationRows, 3] });
  expect(best).toMatchObject({ dtype: "int64", shape: [validationRows] });
  const right = validation.label.filter((value, i) => best!.values[i] === BigInt(value)).length;
  expect(right / validationRows).toBe(result.done.validation!.accuracy);
  let loss = 0;
  for (let i = 0; i < validationRows; i++) {
    const row = Array.from(logits!.values.subarray(3 * i, 3 * i + 3), Number);
    loss += Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - row[validation.label[i]!]!;
  }
  expect(loss / validationRows).toBeCloseTo(result.done.validation!.loss!, 5);
});

test("predicts what ONNX Runtime computes with model.onnx, bit for bit, from all that a run leaves", async () => {
  const session = await InferenceSession.create(join(out, "model.onnx"), { intraOpNumThreads: 1 });
  const { logits } = await session.run({
    image: new Tensor("uint8", validation.image, [validationRows, 2, 3]),
    shift: new Tensor("float32", validation.shift, [validationRows]),
  });
  const whole = { batchSize: validationRows };
  expect((await predict(join(out, "model.onnx"), columns, whole)).logits!.values).toEqual(logits!.data);
  expect((await predict(result.out!.checkpoint!, columns, whole)).logits!.values).toEqual(logits!.data);
  expect((await predict(out, columns, whole)).logits!.values).toEqual(logits!.data);
  const best = await predict(out, columns, { ...whole, checkpoint: "best" });
  expect(best).toEqual(await predict(result.out!.best!, columns, whole));
});

test("takes a data source, batch by batch, to the same bits; refuses one that lacks a column", async () => {
  const expected = await predict(out, columns, { batchSize: 50 });
  expect(await predict(out, source(0, validationRows), { batchSize: 50 })).toEqual(expected);
  const rest = data.arrays({ image: Uint8Array.of(1, 2), shift: Float32Array.of(1, 2) });
  await expect(predict(out, rest)).rejects.toMatchObject({
    code: "DATA_INVALID",
    message: expect.stringMatching(
      /column "image": the model takes uint8 \[2, 3\] a sample, the source has uint8 \[\]/,
    ),
  });
  await expect(predict(out, data.arrays({ shift: Float32Array.of(1) }))).rejects.toThrow(
    "no such column; it has shift",
  );
});

test("takes columns that begin anywhere in memory, Node's buffers too, to the same bits", async () => {
  const predictor = await openModel(out);
  const expected = await predictor.predict(columns, { batchSize: 50 });
  for (const offset of [1, 2, 3]) {
    const moved = Buffer.alloc(validation.image.byteLength + offset);
    moved.set(validation.image, offset);
    const floats = new Float32Array(validation.shift.length + offset);
    floats.set(validation.shift, offset);
    const found = await predictor.predict(
      { image: moved.subarray(offset), shift: floats.subarray(offset) },
      { batchSize: 50 },
    );
    expect(found).toEqual(expected);
  }
  await predictor.close();
});

test.each([
  [{ image: validation.image }, /column "shift": expected float32 values of shape \[samples\], found none/],
  [{ ...columns, label: validation.label }, /no input "label"; it takes image, shift/],
  [
    { ...columns, image: Float32Array.from(validation.image) },
    /expected uint8 .* in a Uint8Array, found a Float32Array/,
  ],
  [{ ...columns, image: validation.image.subarray(1) }, /1805 values, which are no whole samples of 6/],
  [{ ...columns, shift: validation.shift.subarray(1) }, /"image" has 301 samples, column "shift" has 300/],
])("refuses columns that do not fit (%#)", async (bad, message) => {
  await expect(predict(out, bad)).rejects.toMatchObject({
    code: "DATA_INVALID",
    message: expect.stringMatching(message),
  });
});

test("refuses what holds no model, and names what it looked for", async () => {
  await expect(predict(folder, columns)).rejects.toMatchObject({
    code: "CHECKPOINT_INVALID",
    message: expect.stringContaining("expected a run's output directory, found no checkpoint"),
  });
  await expect(predict(join(folder, "none"), columns)).rejects.toMatchObject({ code: "CHECKPOINT_INVALID" });
  await expect(predict(out, columns, { batchSize: 0 })).rejects.toMatchObject({ code: "BAD_OPTION" });
});

test("an aborted prediction rejects with the signal's reason", async () => {
  const reason = new Error("no time");
  await expect(predict(out, columns, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
});

test("leaves nothing in the run's directory", async () => {
  const before = (await readdir(out, { recursive: true })).toSorted();
  await predict(out, columns);
  expect((await readdir(out, { recursive: true })).toSorted()).toEqual(before);
});
