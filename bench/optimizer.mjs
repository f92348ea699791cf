// Nanoseconds per parameter of one optimizer update: the fused kernel, the same formula in a JS loop, and torch.optim where
// python3 (or $PYTHON) has torch. One thread each. Run after a build: node bench/optimizer.mjs [divisor]
import { spawnSync } from "node:child_process";
import { createKernels } from "../packages/core/dist/kernels/index.js";
import { Arena } from "../packages/core/dist/memory/index.js";
import { compileOptimizer, optim } from "../packages/core/dist/optim/index.js";

const sizes = [1_000_000, 10_000_000].map((size) => Math.ceil(size / 16) * 16);
const divisor = Number(process.argv[2] ?? 128);

const cases = [
  { name: "sgd", definition: optim.sgd({ lr: 1e-3 }), torch: "SGD(p, lr=1e-3)" },
  {
    name: "sgd, momentum",
    definition: optim.sgd({ lr: 1e-3, momentum: 0.9 }),
    torch: "SGD(p, lr=1e-3, momentum=0.9)",
  },
  { name: "adagrad", definition: optim.adagrad(), torch: "Adagrad(p)" },
  { name: "rmsprop", definition: optim.rmsprop(), torch: "RMSprop(p)", loop: rmspropLoop },
  {
    name: "rmsprop, centered, momentum",
    definition: optim.rmsprop({ centered: true, momentum: 0.9 }),
    torch: "RMSprop(p, centered=True, momentum=0.9)",
  },
];

function rmspropLoop(count, sum, theta, nextTheta, square, nextSquare) {
  const [alpha, rest, rate, epsilon] = [0.99, 0.01, 0.01, 1e-8].map(Math.fround);
  const f = Math.fround;
  for (let i = 0; i < count; i++) {
    const g = f(sum[i] / divisor);
    const s = f(f(alpha * square[i]) + f(f(rest * g) * g));
    nextSquare[i] = s;
    nextTheta[i] = f(theta[i] - f(f(rate * g) / f(f(Math.sqrt(s)) + epsilon)));
  }
}

/** Median over repetitions, after three that warm up. */
function nanosecondsPerParameter(count, update) {
  const times = [];
  for (let repetition = 0; repetition < 18; repetition++) {
    const start = process.hrtime.bigint();
    update(repetition);
    if (repetition >= 3) times.push(Number(process.hrtime.bigint() - start) / count);
  }
  return times.sort((a, b) => a - b)[Math.floor(times.length / 2)];
}

function measure({ definition, loop }, count) {
  const arena = new Arena();
  const kernels = createKernels(arena.memory);
  const compiled = compileOptimizer(definition, { totalFloats: count, entries: [] });
  const vector = () => {
    const address = arena.allocate(count * 4);
    const values = arena.floats(address, count);
    for (let i = 0; i < count; i++) values[i] = ((i * 7919) % 1000) / 1000 + 0.001;
    return address;
  };
  const generation = () => ({ parameters: vector(), slots: compiled.slots.map(vector) });
  const generations = [generation(), generation()];
  const gradientSum = vector();
  const kernel = nanosecondsPerParameter(count, (repetition) => {
    const [from, to] = repetition % 2 === 0 ? generations : [generations[1], generations[0]];
    const step = repetition + 1;
    compiled.update(kernels, { begin: 0, end: count, step, divisor, clipScale: 1, from, to, gradientSum });
  });
  if (loop === undefined) return { kernel };
  const vectors = generations.map(({ parameters, slots }) =>
    [parameters, ...slots].map((address) => Float32Array.from(arena.floats(address, count))),
  );
  const sum = Float32Array.from(arena.floats(gradientSum, count));
  const js = nanosecondsPerParameter(count, (repetition) => {
    const [from, to] = repetition % 2 === 0 ? vectors : [vectors[1], vectors[0]];
    loop(count, sum, from[0], to[0], from[1], to[1]);
  });
  return { kernel, js };
}

function measureTorch(expression, count) {
  const script = `
import time, torch
torch.set_num_threads(1)
x = torch.nn.Parameter(torch.rand(${count}))
p = [x]
x.grad = torch.rand(${count}) / ${divisor}
o = torch.optim.${expression}
times = []
for i in range(18):
    start = time.perf_counter_ns()
    o.step()
    times.append(time.perf_counter_ns() - start)
print(sorted(times[3:])[7] / ${count})`;
  const { status, stdout } = spawnSync(process.env.PYTHON ?? "python3", ["-c", script], { encoding: "utf8" });
  return status === 0 ? Number(stdout) : undefined;
}

const rows = [];
for (const one of cases) {
  for (const count of sizes) {
    const { kernel, js } = measure(one, count);
    const torch = measureTorch(one.torch, count);
    const figure = (value) => (value === undefined ? "-" : value.toFixed(2));
    rows.push({ optimizer: one.name, parameters: count, kernel: figure(kernel), js: figure(js), torch: figure(torch) });
  }
}
console.log("ns per parameter, median of 15 updates");
console.table(rows);
