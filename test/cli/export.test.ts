import { readdirSync, readFileSync } from "node:fs";
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
