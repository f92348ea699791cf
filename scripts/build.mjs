// Builds every package: the WASM kernels (AssemblyScript), then TypeScript with project references.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
function run(...args) {
  const result = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" });
  if (result.status !== 0) process.exit(result.status ?? 1);
}

function buildKernels() {
  const sources = `${root}packages/core/assembly/`;
  const output = `${root}packages/core/wasm/kernels.wasm`;
  const changed = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const newestSource = Math.max(
    changed(fileURLToPath(import.meta.url)),
    ...readdirSync(sources).map((name) => changed(sources + name)),
  );
  if (changed(output) > newestSource) return;
  mkdirSync(`${root}packages/core/wasm`, { recursive: true });
  const unfinished = `${output}.${process.pid}`;
  run(
    ...["node_modules/assemblyscript/bin/asc.js", "packages/core/assembly/kernels.ts", "--outFile", unfinished],
    ...["-O3", "--converge", "--noAssert", "--runtime", "stub", "--enable", "simd,threads"],
    // The memory is the arena's: shared, as large as WebAssembly allows, and nothing in it belongs to the module.
    ...["--importMemory", "--noExportMemory", "--sharedMemory", "--initialMemory", "1", "--maximumMemory", "65535"],
  );
  renameSync(unfinished, output); // whole or not at all, also for a test that is reading it
}

buildKernels();
run("node_modules/typescript/bin/tsc", "-b");
