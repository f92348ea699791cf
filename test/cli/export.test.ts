import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type * as Ort from "onnxruntime-node";
import { expect, test } from "vitest";
import { root, temporaryFolder } from "../system/tutti-process.ts";
import { jsonLines, runFile, runText, tutti } from "./command.ts";

/** As any program would use it: the engine without anything of ours. */
const ort = createRequire(join(root, "packages/core/package.json"))("onnxruntime-node") as typeof Ort;

/** Reads a safetensors file by its specification alone: eight bytes of header length, JSON, data. */
function weightsIn(path: string): ReadonlyMap<string, Float32Array> {
  const bytes = readFileSync(path);
  const end = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, end)) as Record<
    string,
    { dtype?: string; data_offsets?: [number, number] }
  >;
  return new Map(
    Object.entries(header).flatMap(([name, { dtype, data_offsets: offsets }]) =>
      dtype === "F32" && offsets !== undefined
        ? [
            [
              name,
              new Float32Array(Uint8Array.from(bytes.subarray(end + offsets[0], end + offsets[1])).buffer),
            ] as const,
          ]
        : [],
    ),
  );
}

test("exports a checkpoint as a model that computes x·Wᵀ + b for any number of samples", async () => {
  const folder = temporaryFolder();
  const out = join(folder, "out");
  await tutti(["train", runFile(folder, runText()), "--workers", "0", "--out", out]);
  const checkpoint = join(out, "checkpoints/step-00000003.safetensors");
  const path = join(folder, "model.onnx");
  const exported = await tutti(["export", checkpoint, "--onnx", path, "--json"]);
  expect({ status: exported.status, stderr: exported.stderr }).toEqual({ status: 0, stderr: "" });
  expect(jsonLines(exported.stdout)).toEqual([{ type: "export", path, bytes: readFileSync(path).byteLength, step: 3 }]);
  expect(readFileSync(path).equals(readFileSync(join(out, "model.onnx")))).toBe(true);
  expect(readdirSync(folder).sort()).toEqual(["model.onnx", "out", "run.ts"]);

  const weights = weightsIn(checkpoint);
  const [w0, w1] = weights.get("weight")!;
  const [bias] = weights.get("bias")!;
  const session = await ort.InferenceSession.create(path);
  for (const samples of [1, 3, 5]) {
    const x = Float32Array.from({ length: 2 * samples }, (_, i) => i - 1.5);
    const { prediction } = await session.run({ x: new ort.Tensor("float32", x, [samples, 2]) });
    expect(prediction!.dims).toEqual([samples, 1]);
    for (let i = 0; i < samples; i++) {
      expect(prediction!.data[i]).toBeCloseTo(x[2 * i]! * w0! + x[2 * i + 1]! * w1! + bias!, 5);
    }
  }
});

/** Averaged weights and batch normalisation: what is exported is not what the checkpoint calls by these names. */
const averaging = {
  model: "const model = nn.sequential({ bn: nn.batchNorm1d(2), fc: nn.linear(2, 1) });",
  options: "optimizer: optim.adam({ lr: 0.1, ema: { decay: 0.5 } }), batchSize: 4, epochs: 3, shards: 2,",
};

test("checks a model before it is written, and writes the averaged weights for PyTorch", async () => {
  const folder = temporaryFolder();
  const out = join(folder, "out");
  await tutti(["train", runFile(folder, runText(averaging)), "--workers", "0", "--out", out]);
  const checkpoint = join(out, "checkpoints/step-00000003.safetensors");
  const [model, weights] = [join(folder, "model.onnx"), join(folder, "weights.safetensors")];
  const args = ["export", checkpoint, "--onnx", model, "--check", "--weights", weights];
  const json = jsonLines((await tutti([...args, "--json"])).stdout);
  expect(json).toMatchObject([
    { type: "export", path: model, bytes: readFileSync(model).byteLength, step: 3, check: [{ name: "prediction" }] },
    { type: "export", path: weights, bytes: readFileSync(weights).byteLength, step: 3 },
  ]);
  const [{ worst }] = json[0]!.check as [{ worst: number }];
  expect(worst).toBeLessThan(1e-5);
  const text = await tutti(args);
  expect(text.status, text.stderr).toBe(0);
  expect(text.stdout).toMatch(
    /checked at N = 1, 2, 7: (all outputs are equal|the worst difference is \S+, in prediction)/,
  );
  expect(text.stdout).toMatch(/weights\.safetensors: .*, 7 tensors of step 3/);
  expect(readFileSync(model).equals(readFileSync(join(out, "model.onnx")))).toBe(true);

  const [saved, written] = [weightsIn(checkpoint), weightsIn(weights)];
  const trained = ["bn.weight", "bn.bias", "fc.weight", "fc.bias"];
  expect([...written.keys()].sort()).toEqual([...trained, "bn.running_mean", "bn.running_var"].sort());
  for (const name of trained) {
    expect(written.get(name)).toEqual(saved.get(`optimizer.average/${name}`));
    expect(written.get(name)).not.toEqual(saved.get(name));
  }
  expect(written.get("bn.running_mean")).toEqual(saved.get("bn.running_mean"));
  expect((await tutti(["export", checkpoint, "--weights", `${weights}.2`])).status).toBe(0);
  expect(readFileSync(`${weights}.2`).equals(readFileSync(weights))).toBe(true);
});

test("writes no model that computes otherwise than the run did", async () => {
  const folder = temporaryFolder();
  const out = join(folder, "out");
  // Around a million, folding the normalisation into the convolution costs all digits that were left.
  const parts = {
    source: `const train = data.arrays({
  x: { dtype: "float32", shape: [2, 3, 3], values: Float32Array.from({ length: 72 }, (_, i) => i % 7) },
  y: { dtype: "float32", shape: [1], values: Float32Array.of(1, 2, 3, 4) },
});`,
    model: `const model = nn.sequential({
  conv: nn.conv2d(2, 3, 1), bn: nn.batchNorm2d(3, { momentum: null }), flat: nn.flatten(), fc: nn.linear(27, 1),
});`,
    step: "step: ({ x, y }) => { const p = model(x.add(1e6)); return { loss: nn.mse(p, y), outputs: { prediction: p } }; },",
  };
  await tutti(["train", runFile(folder, runText(parts)), "--workers", "0", "--out", out]);
  const path = join(folder, "model.onnx");
  const checkpoint = join(out, "checkpoints/step-00000003.safetensors");
  const checked = await tutti(["export", checkpoint, "--onnx", path, "--check"]);
  expect(checked.stdout + checked.stderr).toMatch(
    /error\[EXPORT_DIFFERS\]: .*the worst difference is \S+, in prediction/,
  );
  expect(checked.status).toBe(1);
  expect(existsSync(path)).toBe(false);
  expect((await tutti(["export", checkpoint, "--onnx", path])).status).toBe(0);
});

test("wants something to write", async () => {
  for (const [args, message] of [
    [[], /expected --onnx FILE, --weights FILE or both/],
    [["--check", "--weights", "w.safetensors"], /--check needs --onnx FILE/],
  ] as const) {
    const { status, stderr } = await tutti(["export", "none.safetensors", ...args]);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
  }
});

test("shows what a checkpoint and a model hold", async () => {
  const folder = temporaryFolder();
  const out = join(folder, "out");
  await tutti(["train", runFile(folder, runText()), "--workers", "0", "--out", out]);
  const checkpoint = await tutti(["inspect", join(out, "checkpoints/step-00000003.safetensors"), "--json"]);
  expect(jsonLines(checkpoint.stdout)[0]).toMatchObject({
    type: "inspect",
    kind: "checkpoint",
    ...{ step: 3, epoch: 3, position: 0, seed: 0 },
    parameters: [
      { name: "weight", dtype: "float32", shape: [1, 2] },
      { name: "bias", dtype: "float32", shape: [1] },
    ],
    definition: { batchSize: 4, shards: 2, optimizer: { kind: "sgd", lr: 0.001 } },
  });
  const model = await tutti(["inspect", join(out, "model.onnx"), "--json"]);
  expect(jsonLines(model.stdout)[0]).toMatchObject({
    type: "inspect",
    kind: "model",
    producer: "tutti",
    opsets: { "ai.onnx": 18 },
    inputs: [{ name: "x", dtype: "float32", shape: ["N", 2] }],
    outputs: [{ name: "prediction", dtype: "float32", shape: ["N", 1] }],
    operators: { Gemm: 1 },
  });
  const table = await tutti(["inspect", join(out, "model.onnx")]);
  expect(table.stdout).toMatch(/^weights\s+3$/m);
  expect(table.stdout).toMatch(/^input\s+x\s+float32\[N,2\]$/m);
});
