// Where the time of a start goes: what happens when, from the command to the first committed step with two worker processes,
// and the CPU time of each process until then. Marks are made by a preloaded script and by the command's own lines.
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { figure } from "./harness/report.mjs";
import { alternate, median } from "./harness/rounds.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Linux counts CPU time in hundredths of a second. */
const tickMs = 10;

/** CPU milliseconds of a process and of its children, by process id (Linux). */
function cpuOf(parent) {
  const found = new Map();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
        .replace(/^.*\) /s, "")
        .split(" ");
      if (Number(pid) === parent || Number(fields[1]) === parent)
        found.set(Number(pid), tickMs * (Number(fields[11]) + Number(fields[12])));
    } catch {
      // it has ended meanwhile
    }
  }
  return found;
}

/** Milliseconds after the command, by what happened; the later of two workers. */
async function start(nodePath) {
  const folder = mkdtempSync(join(tmpdir(), "tutti-timeline-"));
  const marks = join(folder, "marks");
  writeFileSync(marks, "");
  const startMs = performance.timeOrigin + performance.now();
  const now = () => performance.timeOrigin + performance.now() - startMs;
  const args = ["train", join(root, "bench/sides/start-run.ts"), "--workers", "2", "--out", folder, "--json"];
  const child = spawn(nodePath, [join(root, "packages/tutti/bin/tutti.js"), ...args], {
    stdio: ["ignore", "pipe", "ignore"],
    env: {
      ...process.env,
      NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ""} --require=${join(root, "bench/sides/start-marks.cjs")}`,
      START_MARKS: marks,
    },
  });
  const closed = new Promise((resolve) => child.once("close", resolve));
  const found = {};
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const { type } = JSON.parse(line);
      if (type === "worker") found["both workers have joined (programs compiled, numeric class compared)"] = now();
      if (type !== "step") continue;
      found["first step is committed"] = now();
      const { [child.pid]: own, ...workers } = Object.fromEntries(cpuOf(child.pid));
      found["CPU of the command"] = own;
      found["CPU of both workers"] = Object.values(workers).reduce((sum, ms) => sum + ms, 0);
      break;
    }
  } finally {
    child.kill("SIGINT");
    await closed;
  }
  for (const line of readFileSync(marks, "utf8").trim().split("\n")) {
    const { role, what, ms } = JSON.parse(line);
    const name = `${role}: ${what}`;
    if (role !== "command" || found[name] === undefined) found[name] = Math.max(found[name] ?? 0, ms - startMs);
  }
  rmSync(folder, { recursive: true, force: true });
  return found;
}

export async function measure({ rounds, nodes }) {
  const measures = Object.fromEntries(nodes.map(({ path, name }) => [`Node ${name}`, () => start(path)]));
  await alternate(measures, 1); // what is compiled or read from disk once
  const found = await alternate(measures, rounds);
  const hows = Object.keys(found);
  const medianOf = (how, what) => median(found[how].map((round) => round[what]));
  const [first] = hows;
  const whats = Object.keys(found[first][0]).toSorted(
    (a, b) => Number(a.startsWith("CPU")) - Number(b.startsWith("CPU")) || medianOf(first, a) - medianOf(first, b),
  );
  const results = whats.map((what) => ({
    what,
    ms: Object.fromEntries(hows.map((how) => [how, medianOf(how, what)])),
  }));
  return {
    results,
    tables: [
      {
        title: "A start with 2 workers, MLP 784-512-512-10, batch 128: milliseconds after the command",
        columns: ["", ...hows],
        rows: results.map(({ what, ms }) => [what, ...hows.map((how) => figure(ms[how]))]),
        notes: [
          "Of two workers the later; lanes are the threads that compute in them. CPU times are up to the first step.",
        ],
      },
    ],
  };
}
