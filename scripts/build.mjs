// Builds every package: the WASM kernels (AssemblyScript), TypeScript with project references, the dashboard's page (Vite),
// then what users run, in few files (Rolldown).
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
function run(...args) {
  const result = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" });
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/** True if a file is newer than every source. */
function isCurrent(output, ...sources) {
  const changed = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return changed(output) > Math.max(...[fileURLToPath(import.meta.url), ...sources].map(changed));
}

const filesIn = (folder) => readdirSync(folder, { recursive: true }).map((name) => `${folder}/${name}`);

function buildKernels() {
  const output = `${root}packages/core/wasm/kernels.wasm`;
  if (isCurrent(output, ...filesIn(`${root}packages/core/assembly`))) return;
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

function buildPage() {
  const folder = `${root}packages/dashboard`;
  const sources = [...filesIn(`${folder}/src`), ...filesIn(`${folder}/public`), `${root}pnpm-lock.yaml`];
  if (isCurrent(`${folder}/dist/page/page.js`, ...sources, `${folder}/index.html`, `${folder}/vite.config.ts`)) return;
  const unfinished = `${folder}/dist/page-${process.pid}`;
  run("node_modules/vite/bin/vite.js", "build", folder, "--outDir", unfinished);
  mkdirSync(`${folder}/dist/page`, { recursive: true });
  // The script last: it says that all is current.
  const names = readdirSync(unfinished).sort((a, b) => Number(a === "page.js") - Number(b === "page.js"));
  for (const name of names) renameSync(`${unfinished}/${name}`, `${folder}/dist/page/${name}`);
  rmSync(unfinished, { recursive: true });
}

async function buildBundle() {
  const folder = `${root}packages`;
  const sources = ["core", "worker", "coordinator", "tutti"].flatMap((name) => filesIn(`${folder}/${name}/src`));
  if (isCurrent(`${folder}/tutti/bundle/index.js`, ...sources, `${root}scripts/bundle.mjs`, `${root}pnpm-lock.yaml`))
    return;
  const { bundle } = await import("./bundle.mjs");
  await bundle();
}

buildKernels();
run("node_modules/typescript/bin/tsc", "-b");
buildPage();
await buildBundle();
