// From the command to the first committed step, and the memory of all processes once they train: ours with two worker
// processes and PyTorch DDP with two ranks, started anew in every round.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Contestant } from "./harness/contestant.mjs";
import { python, torchEnvironment } from "./harness/machine.mjs";
import { pssMb } from "./harness/processes.mjs";
import { figure, times } from "./harness/report.mjs";
import { alternate, median } from "./harness/rounds.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Steps after which memory is looked at: buffers have their size by then. */
const settledSteps = 100;

async function ours(nodePath, workers, lanes) {
  const out = mkdtempSync(join(tmpdir(), "tutti-start-"));
  const run = join(root, "bench/sides/start-run.ts");
  const options = ["--workers", workers, "--lanes", lanes, "--out", out, "--json"].map(String);
  const startMs = performance.now();
  const child = spawn(nodePath, [join(root, "packages/tutti/bin/tutti.js"), "train", run, ...options], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const closed = new Promise((resolve) => child.once("close", resolve));
  let firstStepMs;
  let memory;
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      if (!line.includes('"type":"step"')) continue;
      firstStepMs ??= performance.now() - startMs;
      if (JSON.parse(line).step < settledSteps) continue;
      memory = pssMb(child.pid);
      break;
    }
  } finally {
    child.kill("SIGINT");
    await closed;
    rmSync(out, { recursive: true, force: true });
  }
  if (memory === undefined) throw new Error("tutti train ended before it had trained");
  return { firstStepMs, ...memory };
}

async function theirs(port) {
  const startMs = performance.now();
  const contestant = await Contestant.start(
    python,
    [join(root, "bench/sides/torch_steps.py"), "mlp", "128", "2", "1"],
    { env: { ...torchEnvironment(1), MASTER_PORT: String(port) } },
  );
  const firstStepMs = performance.now() - startMs;
  try {
    await contestant.ask({ steps: settledSteps });
    return { firstStepMs, ...pssMb(contestant.pid) };
  } finally {
    await contestant.end();
  }
}

export async function measure({ rounds, nodes, hasTorch }) {
  const measures = {};
  for (const [i, { path, name }] of nodes.entries()) {
    const which = i === 0 ? "" : `, Node ${name}`;
    measures[`2 workers${which}`] = () => ours(path, 2, 1);
    measures[`1 process x 2 lanes${which}`] = () => ours(path, 0, 2);
  }
  if (hasTorch) measures["PyTorch DDP, 2 ranks"] = (round) => theirs(29_300 + (process.pid % 200) + round);
  const found = await alternate(measures, rounds);
  const results = Object.entries(found).map(([how, all]) => ({
    how,
    firstStepMs: median(all.map(({ firstStepMs }) => firstStepMs)),
    mb: median(all.map(({ mb }) => mb)),
    processes: all[0].processes,
  }));
  const peer = results.find(({ how }) => how.startsWith("PyTorch"));
  return {
    results,
    tables: [
      {
        title:
          "MLP 784-512-512-10, batch 128: from the command to the first committed step, and memory while it trains",
        columns: ["", "first step, ms", "of DDP's", "wanted", "PSS, MB", "of DDP's", "wanted", "processes"],
        rows: results.map(({ how, firstStepMs, mb, processes }) => [
          how,
          figure(firstStepMs),
          times(firstStepMs / peer?.firstStepMs),
          "0.33x",
          figure(mb),
          times(mb / peer?.mb),
          "0.67x",
          processes,
        ]),
        notes: ["PSS is the proportional set size of all processes, coordinator or launcher included."],
      },
    ],
  };
}
