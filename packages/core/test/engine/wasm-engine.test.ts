import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { env, InferenceSession, Tensor } from "onnxruntime-web";
import { expect, test, vi } from "vitest";
import { onnxBytes } from "./onnx-bytes.ts";

const run = promisify(execFile);
const engine = new URL("../../dist/engine/index.js", import.meta.url).href;
const dataUrl = (source: string) => `data:text/javascript,${encodeURIComponent(source)}`;

/** What the built package says of the engine in a process where `preparation` ran first. */
async function engineAfter(preparation: string, environment: Readonly<Record<string, string>> = {}): Promise<unknown> {
  const script = `
    const { chooseEngine, engineInfo, engineName } = await import(${JSON.stringify(engine)});
    const { version, ...info } = await engineInfo();
    console.log(JSON.stringify({ choice: chooseEngine(), name: engineName(), info }));`;
  const { stdout } = await run(
    process.execPath,
    ["--import", dataUrl(preparation), "--input-type=module", "--eval", script],
    { env: { ...process.env, ...environment }, timeout: 30_000 },
  );
  return JSON.parse(stdout);
}

/** A process that has loaded another C library: glibc of that version, or musl, for which Node knows of no glibc. */
const glibc = (version: string | undefined) => `
  const { default: fs } = await import("node:fs");
  const { syncBuiltinESMExports } = await import("node:module");
  const read = fs.readFileSync;
  const loaded = ${JSON.stringify(`7f0 r-xp 0 fe:00 1 /lib/${version === undefined ? "ld-musl-x86_64.so.1" : `libc-${version}.so`}\n`)};
  fs.readFileSync = (path, ...rest) => (path === "/proc/self/maps" ? loaded : read(path, ...rest));
  syncBuiltinESMExports();
  const report = process.report.getReport();
  report.header.glibcVersionRuntime = ${JSON.stringify(version)};
  process.report.getReport = () => report;`;
const cpu = (arch: string) => `Object.defineProperty(process, "arch", { value: ${JSON.stringify(arch)} });`;

test.each([
  ["without glibc", glibc(undefined), {}, /needs glibc, which this Linux has not/],
  ["with an old glibc", glibc("2.17"), {}, /needs glibc 2\.28, this Linux has 2\.17/],
  ["on a CPU that has no binary", cpu("riscv64"), {}, /no binary for \w+-riscv64/],
  ["that asks for it", "", { TUTTI_ENGINE: "wasm" }, /TUTTI_ENGINE=wasm/],
])("a machine %s computes with WebAssembly and says why", async (_, preparation, environment, reason) => {
  expect(await engineAfter(preparation, environment)).toMatchObject({
    choice: { name: "onnxruntime-web", reason: expect.stringMatching(reason) },
    name: expect.stringMatching(/^onnxruntime-web 1\.\d+\.\d+ \(wasm\)$/),
    info: { name: "onnxruntime-web", zeroCopy: true },
  });
});

test("a machine with a binary computes natively, and TUTTI_ENGINE=native asks for nothing else", async () => {
  const native = { choice: { name: "onnxruntime-node" }, info: { name: "onnxruntime-node" } };
  expect(await engineAfter(glibc("2.28"))).toMatchObject(native);
  expect(await engineAfter("", { TUTTI_ENGINE: "native" })).toMatchObject(native);
});

test("another word for the engine is refused", async () => {
  await expect(engineAfter("", { TUTTI_ENGINE: "webgpu" })).rejects.toThrow(/expected native or wasm, found "webgpu"/);
});

test("the WebAssembly build gives the same sums wherever its copies of the inputs lie", async () => {
  env.wasm.numThreads = 1;
  const length = 1001;
  const values = Float32Array.from({ length }, (_, i) => Math.fround(1 / (i + 1)));
  // Inputs are copied into its memory by Uint8Array.set: where to is what varies.
  const offsets = new Set<number>();
  const set = Uint8Array.prototype.set;
  const spy = vi.spyOn(Uint8Array.prototype, "set").mockImplementation(function (this: Uint8Array, source, offset) {
    if (this.byteLength > 1_000_000 && "byteLength" in source && source.byteLength === 4 * length) {
      offsets.add((offset ?? 0) % 64);
    }
    set.call(this, source, offset);
  });
  const sums = new Set<number>();
  // A first input of another size moves the second.
  for (let floats = 70_000; floats < 70_040; floats += 2) {
    const session = await InferenceSession.create(
      onnxBytes({
        nodes: [
          { type: "Identity", inputs: ["first"], outputs: ["copy"] },
          { type: "ReduceSum", inputs: ["x"], outputs: ["y"], ints: { keepdims: 0 } },
        ],
        inputs: [
          { name: "first", dtype: "float32", shape: [floats] },
          { name: "x", dtype: "float32", shape: [length] },
        ],
        outputs: [
          { name: "copy", dtype: "float32", shape: [floats] },
          { name: "y", dtype: "float32", shape: [] },
        ],
      }),
      { executionProviders: ["wasm"] },
    );
    const { y } = await session.run({
      first: new Tensor("float32", new Float32Array(floats), [floats]),
      x: new Tensor("float32", values, [length]),
    });
    sums.add(Number(y?.data[0]));
    await session.release();
  }
  spy.mockRestore();
  expect(new Set([...offsets].map((offset) => offset % 16)).size).toBe(2); // 0 and 8: all that its allocator gives
  expect(offsets.size).toBeGreaterThan(4);
  expect(sums.size).toBe(1);
});
