import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { CheckpointStore, readCheckpoint } from "@tutti/core/checkpoint";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { builtEntry, floats, snapshotAt } from "./samples.ts";

beforeAll(() => builtEntry("write-thread.js"));
let folder = "";
let stores: CheckpointStore[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tutti-store-"));
});
afterEach(async () => {
  await Promise.all(stores.map((store) => store.close()));
  stores = [];
  await rm(folder, { recursive: true });
});

async function opened(keep = 3): Promise<CheckpointStore> {
  const store = await CheckpointStore.open(folder, { keep });
  stores.push(store);
  return store;
}

const files = async () => (await readdir(join(folder, "checkpoints"))).sort();
const stepPath = (step: number) => join(folder, "checkpoints", `step-${String(step).padStart(8, "0")}.safetensors`);

async function flipByte(path: string, at: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[at < 0 ? bytes.length + at : at]! ^= 1;
  await writeFile(path, bytes);
}

test("saves a snapshot on disk and reads it back whole", async () => {
  const store = await opened();
  const saved = await store.save(snapshotAt(123));
  expect(saved.path).toBe(stepPath(123));
  expect((await stat(saved.path)).size).toBe(saved.bytes);
  expect(await readCheckpoint(saved.path)).toEqual({ ...snapshotAt(123), path: saved.path });
  expect((await store.latest()).checkpoint?.step).toBe(123);
  expect(await files()).toEqual(["step-00000123.safetensors"]);
});

test("takes the tensors over without a copy, several views of one buffer too", async () => {
  const store = await opened();
  const flat = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5).buffer);
  const parameters = [
    { name: "a", dtype: "float32", shape: [2], data: flat.subarray(0, 8) },
    { name: "b", dtype: "float32", shape: [3], data: flat.subarray(8) },
  ] as const;
  const graph = Uint8Array.of(1, 2, 3);
  const { path } = await store.save(snapshotAt(1, { parameters, inferenceGraph: graph }));
  expect(flat.byteLength).toBe(0);
  expect([...graph]).toEqual([1, 2, 3]);
  const read = await readCheckpoint(path);
  expect(read.parameters.map(({ data }) => [...new Float32Array(data.slice().buffer)])).toEqual([
    [1, 2],
    [3, 4, 5],
  ]);
});

test("keeps the last checkpoints and the best one", async () => {
  const store = await opened(2);
  await store.save(snapshotAt(1), { best: true });
  for (const step of [2, 3, 4]) await store.save(snapshotAt(step));
  expect(await files()).toEqual(["best.safetensors", "step-00000003.safetensors", "step-00000004.safetensors"]);
  const best = join(folder, "checkpoints", "best.safetensors");
  expect((await readCheckpoint(best)).step).toBe(1);
  await store.saveBest(snapshotAt(5));
  expect((await readCheckpoint(best)).step).toBe(5);
  expect((await store.latest()).checkpoint?.step).toBe(4);
  await store.save(snapshotAt(6), { best: true });
  expect((await readCheckpoint(best)).step).toBe(6);
});

test("removes checkpoints of a history that the run has left", async () => {
  const store = await opened(3);
  for (const step of [10, 20, 30]) await store.save(snapshotAt(step));
  await flipByte(stepPath(30), -1);
  await flipByte(stepPath(20), -1);
  expect((await store.latest()).checkpoint?.step).toBe(10);
  await store.save(snapshotAt(15));
  expect(await files()).toEqual(["step-00000010.safetensors", "step-00000015.safetensors"]);
});

test("falls back to the newest checkpoint that is whole and names the damaged ones", async () => {
  const store = await opened(3);
  for (const step of [1, 2, 3]) await store.save(snapshotAt(step));
  await flipByte(stepPath(3), -1);
  const bytes = await readFile(stepPath(2));
  await writeFile(stepPath(2), bytes.subarray(0, bytes.length - 100));
  const { checkpoint, damaged } = await store.latest();
  expect(checkpoint?.step).toBe(1);
  expect(damaged.map(({ path }) => path)).toEqual([stepPath(3), stepPath(2)]);
  expect(damaged[0]!.reason).toContain("its data do not have the checksum");
  await flipByte(stepPath(1), 20);
  expect(await store.latest()).toMatchObject({ checkpoint: undefined, damaged: [{}, {}, {}] });
});

test("has no latest checkpoint in a new directory", async () => {
  expect(await (await opened()).latest()).toEqual({ checkpoint: undefined, damaged: [] });
});

test("writes saves one after another, in the order they were asked for", async () => {
  const store = await opened(2);
  const done: number[] = [];
  const saves = [1, 2, 3].map((step) => store.save(snapshotAt(step)).then(() => done.push(step)));
  expect(store.pending).toBe(3);
  await store.close();
  await Promise.all(saves);
  expect(store.pending).toBe(0);
  expect(done).toEqual([1, 2, 3]);
  expect(await files()).toEqual(["step-00000002.safetensors", "step-00000003.safetensors"]);
});

test("keeps timers running while it writes 100 MB", async () => {
  const store = await opened();
  await store.save(snapshotAt(1)); // the thread is up
  const values = new Uint8Array(100_000_000);
  const parameters = [{ name: "w", dtype: "float32", shape: [25_000_000], data: values }] as const;
  const save = store.save(snapshotAt(2, { parameters }));
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const before = performance.eventLoopUtilization();
  await save;
  const { utilization } = performance.eventLoopUtilization(before);
  clearInterval(timer);
  expect(ticks).toBeGreaterThan(20);
  expect(utilization).toBeLessThan(0.5); // hashing or writing here would make it 1
});

test("removes half-written files of a killed process and ignores others", async () => {
  await mkdir(join(folder, "checkpoints"));
  await writeFile(`${stepPath(9)}.tmp`, "half");
  await writeFile(join(folder, "checkpoints", "step-9.safetensors"), "no name of ours");
  const store = await opened();
  expect(await store.latest()).toEqual({ checkpoint: undefined, damaged: [] });
  expect(await files()).toEqual(["step-9.safetensors"]);
});

test("reports a save that fails, keeps the older ones, and can save again", async () => {
  const store = await opened();
  await store.save(snapshotAt(1));
  await mkdir(`${stepPath(2)}.tmp`); // stands where the temporary file would be
  const failure = store.save(snapshotAt(2));
  await expect(failure).rejects.toMatchObject({
    code: "CHECKPOINT_WRITE_FAILED",
    message: expect.stringMatching(/step-00000002\.safetensors: the checkpoint cannot be written: EISDIR/),
  });
  await rm(`${stepPath(2)}.tmp`, { recursive: true });
  expect((await store.latest()).checkpoint?.step).toBe(1);
  await store.save(snapshotAt(3));
  expect(await files()).toEqual(["step-00000001.safetensors", "step-00000003.safetensors"]);
  await expect(store.save(snapshotAt(4, { buffers: [floats("fc1.bias", [1], [1])] }))).rejects.toThrow(
    'tensor name "fc1.bias" is reserved or used twice',
  );
});

test("reports a folder that has vanished", async () => {
  const store = await opened();
  await rm(join(folder, "checkpoints"), { recursive: true });
  await expect(store.save(snapshotAt(1))).rejects.toMatchObject({
    code: "CHECKPOINT_WRITE_FAILED",
    message: expect.stringContaining("ENOENT"),
  });
});

test("leaves no half-written file when the disk takes no more", async () => {
  const entry = pathToFileURL(await builtEntry("index.js")).href;
  const script = `
    import { CheckpointStore } from ${JSON.stringify(entry)};
    const store = await CheckpointStore.open(${JSON.stringify(folder)}, { keep: 2 });
    const snapshot = (step, count) => ({ step, epoch: 0, position: 0, seed: 0, definitionDigest: "", definition: {}, numericClass: "",
      metrics: {}, state: {}, optimizer: [], buffers: [], inferenceGraph: new Uint8Array(1),
      parameters: [{ name: "w", dtype: "uint8", shape: [count], data: new Uint8Array(count) }] });
    await store.save(snapshot(1, 1000));
    await store.save(snapshot(2, 10_000_000)).catch((error) => console.log(error.code, error.message));
    await store.close();`;
  // A limit on the size of files makes a write fail midway, as a full disk does (EFBIG in place of ENOSPC).
  const { stdout } = await promisify(execFile)("sh", [
    "-c",
    'ulimit -f 1000 && exec "$0" --input-type=module -e "$1"',
    process.execPath,
    script,
  ]);
  expect(stdout).toMatch(
    /^CHECKPOINT_WRITE_FAILED .*step-00000002\.safetensors: the checkpoint cannot be written: EFBIG/,
  );
  expect(await files()).toEqual(["step-00000001.safetensors"]);
});

test("refuses directories and options it cannot use", async () => {
  await writeFile(join(folder, "file"), "");
  await expect(CheckpointStore.open(join(folder, "file", "out"), { keep: 1 })).rejects.toMatchObject({
    code: "OUTPUT_NOT_WRITABLE",
    message: expect.stringMatching(/file\/out\/checkpoints: cannot be made or written: ENOTDIR/),
  });
  await expect(CheckpointStore.open(folder, { keep: 0 })).rejects.toMatchObject({ code: "BAD_OPTION" });
  await expect(readCheckpoint(join(folder, "none.safetensors"))).rejects.toMatchObject({
    code: "CHECKPOINT_INVALID",
    message: expect.stringMatching(/none\.safetensors: no valid checkpoint: it cannot be read \(ENOENT/),
  });
});
