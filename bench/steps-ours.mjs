// One measurement for bench/steps.mjs: KIND BATCH WORKERS LANES SHARDS STEPS. Prints one JSON object.
import { readdirSync, readFileSync } from "node:fs";

const startedMs = performance.timeOrigin;
const [kind = "mlp", ...numbers] = process.argv.slice(2);
const [batchSize, workers, lanes, shards, steps] = numbers.map(Number);
const { data, defineRun, nn, optim, train } = await import("../packages/tutti/dist/index.js");

const rows = 4096;
const isMlp = kind === "mlp";
const width = isMlp ? 784 : 10;
const values = new Float32Array(rows * width).map((_, i) => ((i * 2654435761) % 1000) / 1000);
const y = isMlp
  ? new Uint8Array(rows).map((_, i) => i % 10)
  : { dtype: "float32", shape: [1], values: new Float32Array(rows).map((_, i) => i % 3) };
const model = isMlp
  ? nn.sequential({
      fc1: nn.linear(784, 512),
      a1: nn.relu(),
      fc2: nn.linear(512, 512),
      a2: nn.relu(),
      fc3: nn.linear(512, 10),
    })
  : nn.linear(10, 1);
const definition = defineRun({
  data: { train: data.arrays({ x: { dtype: "float32", shape: [width], values }, y }) },
  model,
  step: ({ x, y: label }) => ({ loss: isMlp ? nn.crossEntropy(model(x), label) : nn.mse(model(x), label) }),
  optimizer: isMlp ? optim.rmsprop({ lr: 1e-3 }) : optim.sgd({ lr: 1e-3 }),
  batchSize,
  steps,
  shards,
});

/** Proportional set size of this process and its children, in MB. */
function pssMb() {
  let kb = 0;
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) \S /, "");
      if (Number(pid) !== process.pid && Number(stat.split(" ")[0]) !== process.pid) continue;
      kb += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? 0);
    } catch {
      // it has ended meanwhile
    }
  }
  return kb / 1024;
}

const wallMs = [];
let firstStepMs;
let memory = 0;
for await (const event of train(definition, { workers, lanes })) {
  if (event.type !== "step") continue;
  firstStepMs ??= Date.now() - startedMs;
  if (event.step > 20) wallMs.push(event.wallMs);
  if (event.step === steps - 5) memory = pssMb();
}
wallMs.sort((a, b) => a - b);
console.log(JSON.stringify({ msPerStep: wallMs[wallMs.length >> 1], firstStepMs, pssMb: memory }));
