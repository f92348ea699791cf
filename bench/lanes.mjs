// What limits a step? Each part of it by itself, then the whole, in one process; and where the memory of a run with workers is.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Contestant } from "./harness/contestant.mjs";
import { pssByKind } from "./harness/processes.mjs";
import { figure } from "./harness/report.mjs";
import { median, repetitionsFor } from "./harness/rounds.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const sides = join(root, "bench/sides");

const cases = [
  { name: "linear", model: "linear", batch: 32, title: "linear 10-1, batch 32" },
  { name: "mlp-128", model: "mlp", batch: 128, title: "MLP, batch 128" },
  { name: "mlp-512", model: "mlp", batch: 512, title: "MLP, batch 512" },
  { name: "cnn", model: "cnn", batch: 64, title: "CNN, batch 64" },
  { name: "gpt-128", model: "gpt128", batch: 16, title: "GPT d=128, batch 16" },
];

/** One line of output, parsed. */
async function printed(nodePath, args) {
  const child = spawn(nodePath, args, { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  for await (const line of createInterface({ input: child.stdout })) text = line;
  return JSON.parse(text);
}

async function stepMs(nodePath, { model, batch }, lanes, sliceMs, rounds) {
  const options = JSON.stringify({ model, batch, workers: 0, lanes, shards: 2 });
  const contestant = await Contestant.start(nodePath, [join(sides, "ours-steps.mjs"), options]);
  try {
    const steps = await repetitionsFor(sliceMs, async (n) => (await contestant.ask({ steps: n })).ms);
    const found = [];
    for (let round = 0; round < rounds; round++) found.push((await contestant.ask({ steps })).ms / steps);
    return median(found);
  } finally {
    await contestant.end();
  }
}

/** After 100 steps of the MLP of bench/start.mjs on two worker processes. */
async function memory(nodePath) {
  const out = mkdtempSync(join(tmpdir(), "tutti-memory-"));
  const run = join(sides, "start-run.ts");
  const args = [join(root, "packages/tutti/bin/tutti.js"), "train", run, "--workers", "2", "--out", out, "--json"];
  const child = spawn(nodePath, args, { stdio: ["ignore", "pipe", "ignore"] });
  const closed = new Promise((resolve) => child.once("close", resolve));
  try {
    for await (const line of createInterface({ input: child.stdout }))
      if (line.includes('"type":"step"') && JSON.parse(line).step >= 100) return pssByKind(child.pid);
    throw new Error("tutti train ended before it had trained");
  } finally {
    child.kill("SIGINT");
    await closed;
    rmSync(out, { recursive: true, force: true });
  }
}

const columns = [
  ["", "title"],
  ["step, 2 lanes", "stepTwoLanesMs"],
  ["step, 1 lane", "stepOneLaneMs"],
  ["engine, a shard", "shardMs"],
  ["both, 1 lane", "oneLaneMs"],
  ["both, 2 lanes", "twoLanesMs"],
  ["both, 2 threads", "twoThreadsMs"],
  ["of it: outputs returned", "returnedMs"],
  ["sums added", "addMs"],
  ["norm", "normMs"],
  ["update", "updateMs"],
  ["rest of the step", "restMs"],
];

export async function measure({ rounds, sliceMs, only, nodes, log }) {
  const nodePath = nodes.at(-1).path; // the one that is asked about, where there are two
  const results = [];
  for (const one of cases.filter(({ name }) => only.length === 0 || only.includes(name))) {
    log(`lanes: ${one.name}`);
    const { model, batch } = one;
    const options = JSON.stringify({ model, batch, partMs: sliceMs });
    const parts = await printed(nodePath, [join(sides, "ours-lanes.mjs"), options]);
    const stepTwoLanesMs = await stepMs(nodePath, one, 2, sliceMs, rounds);
    const stepOneLaneMs = await stepMs(nodePath, one, 1, sliceMs, rounds);
    const restMs = stepTwoLanesMs - parts.twoLanesMs - parts.normMs - parts.updateMs;
    results.push({ ...one, ...parts, stepTwoLanesMs, stepOneLaneMs, restMs });
  }
  const processes = only.length === 0 || only.includes("memory") ? await memory(nodePath) : [];
  const kinds = [...new Set(processes.flatMap(({ kinds: found }) => Object.keys(found)))];
  const memoryTable = {
    title: "Memory of a run with two workers, PSS in MB by what is mapped",
    columns: ["", ...processes.map((_, i) => (i === 0 ? "coordinator" : `worker ${i}`))],
    rows: [
      ...kinds.map((kind) => [kind, ...processes.map((process) => figure(process.kinds[kind] ?? 0))]),
      ["all", ...processes.map(({ mb }) => figure(mb))],
    ],
  };
  return {
    results: [...results, ...processes],
    tables: [
      {
        title: `What a step is made of, ms, Node ${nodes.at(-1).name}: 2 shards, each part by itself`,
        columns: columns.map(([title]) => title),
        rows: results.map((one) => columns.map(([, key]) => (key === "title" ? one.title : figure(one[key])))),
        notes: [
          "Both shards, and everything behind them, include adding the sums. The last column is step, 2 lanes, less both, norm and update.",
        ],
      },
      ...(processes.length > 0 ? [memoryTable] : []),
    ],
  };
}
