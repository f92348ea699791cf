// Whole training steps of a run, a slice at a time, for bench/steps.mjs: ours-steps.mjs '{"model", "batch", "workers", "lanes",
// "shards", …}'. Each line {"steps": n} is answered by {"ms": of n steps, "split": mean time split, "leases": by worker}.
import { createInterface } from "node:readline";
import * as tutti from "../../packages/tutti/dist/index.js";
import { modelNamed } from "./models.mjs";

const { model: name, batch, workers, lanes, shards, ...options } = JSON.parse(process.argv[2]);
const run = modelNamed(name, tutti);

/** Lets a run go on for so many steps and then holds it up where it waits for rows. */
class Gate {
  #permits;
  #open = () => {};

  constructor(permits) {
    this.#permits = permits;
  }

  add(permits) {
    this.#permits += permits;
    this.#open();
  }

  /** Undefined while there are permits: reading stays synchronous. */
  pass() {
    if (this.#permits-- > 0) return undefined;
    return new Promise((resolve) => {
      this.#open = resolve;
    });
  }
}

// The first read is the canary's; each step reads one block of rows for each shard. Two steps make it ready.
const gate = new Gate(1 + 2 * shards);
const train = {
  kind: run.train.kind,
  describe: run.train.describe,
  withDescription: (describe) => run.train.withDescription(describe),
  open: async (context) => {
    const dataset = await run.train.open(context);
    const { size, columns, fingerprint } = dataset;
    const read = (rows, target) => gate.pass()?.then(() => dataset.read(rows, target)) ?? dataset.read(rows, target);
    return { size, columns, fingerprint, read, close: () => dataset.close() };
  },
};
const definition = tutti.defineRun({
  data: { train },
  model: run.model,
  step: run.step,
  optimizer: run.optimizer,
  batchSize: batch,
  steps: 100_000_000,
  shards,
});
const handle = tutti.train(definition, { workers, lanes, ...options });
const events = handle[Symbol.asyncIterator]();

/** The next committed step; nothing when the run has ended. */
async function nextStep() {
  for (;;) {
    const { value, done } = await events.next();
    if (done) return undefined;
    if (value.type === "step") return value;
  }
}

const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
for (let step = 0; step < 2; step++) await nextStep();
say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  const { steps } = JSON.parse(line);
  gate.add((steps + 1) * shards);
  await nextStep(); // its rows could not be read while the step before was computed
  const startMs = performance.now();
  const times = [];
  for (let step = 0; step < steps; step++) {
    const event = await nextStep();
    if (event === undefined) break; // the run has failed: awaiting it below says why
    times.push(event.time);
  }
  const ms = performance.now() - startMs;
  const split = {};
  for (const time of times) for (const part in time) split[part] = (split[part] ?? 0) + time[part] / steps;
  say({ ms, split });
}
process.exit(0); // held up for good: nothing of it is kept
