// Whole training steps against PyTorch DDP (gloo) on the same cores: `node bench/steps.mjs [rounds]`.
// Alternates ours and theirs, prints medians and ratios (above 1: ours is faster), time to the first step and memory.
import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const rounds = Number(process.argv[2] ?? 5);
const python = process.env.PYTHON ?? "/usr/bin/python3";
// OpenBLAS older than the CPU falls back to slow kernels: tell it, or the peer is measured unfairly.
const coreType = /avx512f/.test(readFileSync("/proc/cpuinfo", "utf8")) ? "SkylakeX" : "Haswell";
const torch = spawnSync(python, ["-c", "import torch; print(torch.__version__)"], { encoding: "utf8" });

const cases = [
  { kind: "linear", batch: 32, steps: 600 },
  { kind: "mlp", batch: 128, steps: 200 },
  { kind: "mlp", batch: 512, steps: 100 },
];
const ours = [
  { name: "2 workers", workers: 2, lanes: 1 },
  { name: "1 worker x 2 lanes", workers: 1, lanes: 2 },
  { name: "in process, 1 lane", workers: 0, lanes: 1 },
];
const theirs = [
  { name: "DDP 2 ranks x 1 thread", ranks: 2, threads: 1 },
  { name: "1 rank x 1 thread", ranks: 1, threads: 1 },
  { name: "1 rank x 2 threads", ranks: 1, threads: 2 },
];

/** Runs a process to its end and reads its last line as JSON. */
function measure(command, args, env) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.on("data", (text) => {
      output += text;
    });
    child.on("close", (code) => {
      if (code === 0) resolve(JSON.parse(output.trim().split("\n").at(-1)));
      else reject(new Error(`${command} ${args.join(" ")} ended with ${code}`));
    });
  });
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

console.log(
  `${cpus()[0].model.trim()}, ${cpus().length} cores, Node ${process.versions.node}, torch ${torch.status === 0 ? torch.stdout.trim() : "absent"}, medians of ${rounds} rounds\n`,
);
const table = [];
for (const { kind, batch, steps } of cases) {
  const found = new Map();
  const add = (name, result) => found.set(name, [...(found.get(name) ?? []), result]);
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < ours.length; i++) {
      const { name, workers, lanes } = ours[i];
      const shards = workers === 0 ? 1 : 2;
      add(
        name,
        await measure(
          process.execPath,
          [`${here}steps-ours.mjs`, kind, batch, workers, lanes, shards, steps].map(String),
        ),
      );
      if (torch.status !== 0) continue;
      const peer = theirs[i];
      const args = [`${here}ddp.py`, kind, batch, peer.ranks, peer.threads, steps].map(String);
      add(
        peer.name,
        await measure(python, args, {
          OPENBLAS_CORETYPE: coreType,
          OMP_NUM_THREADS: String(peer.threads),
          OPENBLAS_NUM_THREADS: String(peer.threads),
          BENCH_PORT: String(29500 + round),
        }),
      );
    }
  }
  const of = (name, figure) => (found.has(name) ? median(found.get(name).map((result) => result[figure])) : Number.NaN);
  const ddp = of(theirs[0].name, "msPerStep");
  const fastest = Math.min(...theirs.map(({ name }) => of(name, "msPerStep")));
  for (const { name } of [...ours, ...theirs]) {
    if (!found.has(name)) continue;
    const ms = of(name, "msPerStep");
    table.push({
      case: `${kind}, batch ${batch}`,
      how: name,
      "ms/step": ms.toFixed(3),
      "x DDP": (ddp / ms).toFixed(2),
      "x torch's fastest": (fastest / ms).toFixed(2),
      "first step ms": of(name, "firstStepMs").toFixed(0),
      "PSS MB": of(name, "pssMb").toFixed(0),
    });
  }
}
console.table(table);
