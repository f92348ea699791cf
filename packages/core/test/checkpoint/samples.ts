import { statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { NamedTensor, OwnedSnapshot } from "@tutti/core/checkpoint";

export function floats(
  name: string,
  shape: readonly number[],
  values: readonly number[],
): NamedTensor<Uint8Array<ArrayBuffer>> {
  return { name, dtype: "float32", shape, data: new Uint8Array(Float32Array.from(values).buffer) };
}

/** A small snapshot with fresh buffers each time: saving one takes its buffers away. */
export function snapshotAt(step: number, overrides: Partial<OwnedSnapshot> = {}): OwnedSnapshot {
  return {
    step,
    epoch: 2,
    position: 17,
    seed: 5,
    definitionDigest: "d1",
    definition: { batchSize: 32, optimizer: { kind: "sgd", lr: 0.1 } },
    numericClass: "class-a",
    metrics: { accuracy: 0.1 + 0.2, perplexity: Number.POSITIVE_INFINITY, loss: Number.NaN },
    state: { bestStep: 3, history: [0.5, null, "x", true] },
    parameters: [floats("fc1.weight", [2, 3], [step, 1, 2, 3, 4, -0]), floats("fc1.bias", [2], [0.1, 1e-45])],
    optimizer: [floats("optimizer.momentum/fc1.weight", [2, 3], [9, 8, 7, 6, 5, 4])],
    buffers: [
      { name: "bn.num_batches_tracked", dtype: "int64", shape: [], data: new Uint8Array(BigInt64Array.of(7n).buffer) },
    ],
    inferenceGraph: Uint8Array.of(8, 9, 10),
    ...overrides,
  };
}

/** Built code, for threads and child processes, which cannot load the sources. Refuses an older build than the sources. */
export async function builtEntry(name: string): Promise<string> {
  const source = fileURLToPath(new URL("../../src/checkpoint/", import.meta.url));
  const built = fileURLToPath(new URL("../../dist/checkpoint/", import.meta.url));
  for (const file of await readdir(source)) {
    const output = statSync(`${built}${file.replace(/\.ts$/, ".js")}`, { throwIfNoEntry: false });
    if (output === undefined || output.mtimeMs < statSync(source + file).mtimeMs) {
      throw new Error(`${file} is newer than its build: run "npx tsc -b packages/core" first`);
    }
  }
  return built + name;
}
