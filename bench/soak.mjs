// Memory, descriptors and threads of a coordinator and of a worker over a long run, while every 50 steps another worker is
// killed and a new one joins, and every 100 steps the first worker's connection is cut and it joins again.
// node bench/soak.mjs [--steps 10000] (after the build); one JSON object per line: samples, then a summary.
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Link } from "../packages/tutti/dist/chaos/index.js";

const { values } = parseArgs({ options: { steps: { type: "string", default: "10000" } } });
const steps = Number(values.steps);
const [killEvery, cutEvery, sampleEvery] = [50, 100, Math.max(10, steps / 100)];
const root = fileURLToPath(new URL("..", import.meta.url));
const out = mkdtempSync(join(tmpdir(), "tutti-soak-"));

function tutti(...args) {
  const child = spawn(process.execPath, [join(root, "packages/tutti/bin/tutti.js"), ...args, "--json"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const killAtExit = () => child.kill("SIGKILL");
  process.once("exit", killAtExit);
  child.once("close", () => process.off("exit", killAtExit));
  return child;
}

/** What the system says of a process (Linux). */
function usage(pid) {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)[1]);
  return {
    rssMb: field("VmRSS") / 1024,
    threads: field("Threads"),
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
  };
}

const blobs = join(root, "test/fixtures/blobs.ts"); // 7 steps an epoch
const settings = [`epochs=${Math.ceil(steps / 7)}`, "checkpoint.everySteps=500", "validation.everyEpochs=100"];
const coordinator = tutti("coordinator", blobs, "--port", "0", "--out", out, ...settings.flatMap((s) => ["--set", s]));
const samples = [];
let [port, link, first, mortal, kills, cuts] = [undefined, undefined, undefined, undefined, 0, 0];
const startMs = performance.now();

/** The first worker is held up until the new one has joined, so that it is there for all of the next 50 steps. */
function replaceMortal() {
  link.down();
  mortal.kill("SIGKILL");
  kills++;
  mortal = tutti("worker", `ws://127.0.0.1:${port}`);
}

function joined() {
  link.up();
  if (kills < (cuts + 1) * (cutEvery / killEvery)) return;
  link.cut(false);
  cuts++;
}

async function begin() {
  link = await Link.open({ coordinatorPort: () => port, onBytes: () => {} });
  first = tutti("worker", link.url);
  first.stdout.resume();
  mortal = tutti("worker", `ws://127.0.0.1:${port}`);
}

createInterface({ input: coordinator.stdout }).on("line", (line) => {
  const event = JSON.parse(line);
  if (event.type === "notice") {
    const found = /^listening for workers at .*:(\d+)$/.exec(event.message);
    if (found !== null) {
      port = Number(found[1]);
      void begin();
    }
  } else if (event.type === "worker" && event.event === "joined") {
    joined();
  } else if (event.type === "step") {
    if (event.step % killEvery === 0 && event.step < steps) replaceMortal();
    if (event.step % sampleEvery === 0) {
      samples.push({ step: event.step, coordinator: usage(coordinator.pid), worker: usage(first.pid) });
      console.log(JSON.stringify({ type: "sample", ...samples.at(-1) }));
    }
  } else if (event.type === "done") {
    console.log(JSON.stringify(summary(event)));
  }
});

/** Medians of the second and of the last fifth of the run: the first fifth warms up. */
function summary({ steps: committed, ledger }) {
  const fifth = (nth, of) => {
    const part = samples.slice(Math.floor((samples.length * nth) / 5), Math.ceil((samples.length * (nth + 1)) / 5));
    return part.map(of).sort((a, b) => a - b)[Math.floor(part.length / 2)];
  };
  const change = (who) =>
    Object.fromEntries(
      ["rssMb", "threads", "descriptors"].map((what) => [
        what,
        [fifth(1, (sample) => sample[who][what]), fifth(4, (sample) => sample[who][what])],
      ]),
    );
  const seconds = (performance.now() - startMs) / 1000;
  const what = { steps: committed, kills, cuts, seconds, ledger };
  return { type: "summary", ...what, coordinator: change("coordinator"), worker: change("worker") };
}

coordinator.once("close", async (status) => {
  await link?.close();
  for (const child of [first, mortal]) child?.kill("SIGKILL");
  rmSync(out, { recursive: true, force: true });
  process.exitCode = status ?? 1;
});
