// How long is a step of the MLP in TensorFlow.js (wasm, one core), and in ours on one lane?
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Contestant } from "./harness/contestant.mjs";
import { figure, times } from "./harness/report.mjs";
import { alternate, median, repetitionsFor, warmUp } from "./harness/rounds.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const batch = 64;

/** Installs the peers' packages beside their own package.json. @returns why not, if it cannot be done. */
function install(log) {
  if (existsSync(`${here}peers/node_modules/@tensorflow/tfjs-backend-wasm`)) return undefined;
  log("tfjs: installing TensorFlow.js into bench/peers/node_modules (300 MB); nothing else of the repository uses it");
  const args = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"];
  const { status, stderr } = spawnSync("npm", args, { cwd: `${here}peers`, encoding: "utf8" });
  return status === 0
    ? undefined
    : `TensorFlow.js absent: npm could not install it (${stderr.trim().split("\n").at(-1)})`;
}

export async function measure({ rounds, sliceMs, warmUpMs, nodes, log }) {
  const absent = install(log);
  const options = JSON.stringify({ model: "mlp", batch, workers: 0, lanes: 1, shards: 1 });
  const contestants = { ours: await Contestant.start(nodes[0].path, [`${here}sides/ours-steps.mjs`, options]) };
  try {
    if (absent === undefined) {
      contestants.tfjs = await Contestant.start(nodes[0].path, [`${here}sides/tfjs-steps.mjs`, String(batch)]);
    }
    const measures = {};
    for (const [name, contestant] of Object.entries(contestants)) {
      const stepsMs = async (n) => (await contestant.ask({ steps: n })).ms;
      await warmUp(warmUpMs, stepsMs);
      const steps = await repetitionsFor(sliceMs, stepsMs, 3);
      measures[name] = async () => (await contestant.ask({ steps })).ms / steps;
    }
    const found = await alternate(measures, rounds);
    const ours = median(found.ours);
    const tfjs = found.tfjs === undefined ? undefined : median(found.tfjs);
    const version = contestants.tfjs?.ready.version;
    return {
      results: { ours, tfjs, version },
      tables: [
        {
          title: `MLP 784-512-512-10, RMSprop, batch ${batch}, one core, ms a step`,
          columns: ["", "ours", `TensorFlow.js ${version ?? ""} wasm`, "ratio", "wanted"],
          rows: [["MLP", figure(ours), figure(tfjs), times(tfjs / ours), "30x"]],
          notes: absent === undefined ? [] : [absent],
        },
      ],
    };
  } finally {
    await Promise.all(Object.values(contestants).map((contestant) => contestant.end()));
  }
}
