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
  { name: "adam", definition: optim.adam(), torch: "Adam(p)" },
  { name: "adam, ema", definition: optim.adam({ ema: { decay: 0.999 } }) },
  { name: "adamW, amsgrad", definition: optim.adamW({ amsgrad: true }), torch: "AdamW(p, amsgrad=True)" },
  { name: "nadam", definition: optim.nadam(), torch: "NAdam(p)" },
  { name: "adadelta", definition: optim.adadelta(), torch: "Adadelta(p)" },
  { name: "lion", definition: optim.lion() },
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
  const entries = [{ name: "p", shape: [count], offset: 0, length: count }];
  const compiled = compileOptimizer(definition, { totalFloats: count, entries });
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
  if (expression === undefined) return undefined;
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

/** What bounds the kernels: nothing but the loads and stores, and nothing but a square root and a division an element. */
async function limits() {
  const source = `
    export function sgdStreams(count: usize, p: usize, next: usize, sum: usize): void {
      for (let at: usize = 0; at < count << 2; at += 16)
        v128.store(next + at, f32x4.add(v128.load(p + at), v128.load(sum + at)));
    }
    export function adagradStreams(count: usize, p: usize, next: usize, sum: usize, s: usize, nextS: usize): void {
      for (let at: usize = 0; at < count << 2; at += 16) {
        const x = f32x4.add(v128.load(s + at), v128.load(sum + at));
        v128.store(nextS + at, x);
        v128.store(next + at, f32x4.add(v128.load(p + at), x));
      }
    }
    export function divideAndRoot(count: usize, p: usize): f32 {
      let sum = f32x4.splat(0);
      for (let at: usize = 0; at < count << 2; at += 16) {
        const x = v128.load(p + (at & 4095));
        sum = v128.xor(sum, f32x4.div(x, f32x4.sqrt(x)));
      }
      return f32x4.extract_lane(sum, 0);
    }`;
  const { default: asc } = await import("assemblyscript/asc");
  const flags = { optimizeLevel: 3, noAssert: true, runtime: "stub", enable: ["simd", "threads"] };
  const memory = {
    importMemory: true,
    noExportMemory: true,
    sharedMemory: true,
    initialMemory: 1,
    maximumMemory: 65535,
  };
  const { binary, stderr } = await asc.compileString(source, { ...flags, ...memory });
  if (!binary) throw new Error(stderr.toString());
  return sizes.map((count) => {
    const arena = new Arena();
    const env = { memory: arena.memory };
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(binary), { env });
    const vectors = Array.from({ length: 5 }, () => {
      const address = arena.allocate(count * 4);
      return arena.floats(address, count).fill(0.7) && address;
    });
    const time = (kernel) => nanosecondsPerParameter(count, () => kernel(count, ...vectors)).toFixed(2);
    const { sgdStreams, adagradStreams, divideAndRoot } = exports;
    return {
      parameters: count,
      "loads and stores of sgd": time(sgdStreams),
      "of adagrad": time(adagradStreams),
      "division and root": time(divideAndRoot),
    };
  });
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
console.log("limits of this machine");
console.table(await limits());
