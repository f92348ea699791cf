// `npm start`: all set-up, then the main job: full MNIST on two worker processes. What follows `npm start --` goes to
// `tutti train`.
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const startMs = performance.now();
const seconds = () => `${((performance.now() - startMs) / 1000).toFixed(0)} s`;

console.log("Setting up: dependencies and build (about a minute the first time, seconds later)");
const setup = spawnSync(process.execPath, ["scripts/setup.mjs"], { cwd: root, stdio: "inherit" });
if (setup.status !== 0) process.exit(setup.status ?? 1);
console.log(`Set up after ${seconds()}. Training on two worker processes; Ctrl-C once stops with a checkpoint.\n`);

/** A new start is a new run: an earlier one is neither overwritten nor continued unasked. */
function freshDirectory() {
  for (let n = 1; ; n++) {
    const directory = `runs/digits${n === 1 ? "" : `-${n}`}`;
    if (!existsSync(`${root}${directory}`)) return directory;
  }
}

const given = process.argv.slice(2);
const has = (option) => given.some((argument) => argument === option || argument.startsWith(`${option}=`));
const args = ["train", "examples/digits.ts"];
if (!has("--workers")) args.push("--workers", "2");
if (!has("--out") && !has("--resume")) args.push("--out", freshDirectory());
const training = spawn(process.execPath, ["packages/tutti/bin/tutti.js", ...args, ...given], {
  cwd: root,
  stdio: "inherit",
});
process.on("SIGINT", () => {}); // the terminal sends it to the training too, which ends after its step
process.on("SIGTERM", () => training.kill("SIGTERM"));
training.on("exit", (code, signal) => {
  if (code === 0 && !has("--json")) console.log(`\nnpm start took ${seconds()}.`);
  process.exit(code ?? (signal === "SIGINT" ? 130 : 1));
});
