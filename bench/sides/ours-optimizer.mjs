// Optimizer updates, a slice at a time, for bench/optimizer.mjs. Each line { optimizer, floats, steps } is answered by
// { ms } of so many updates, after one that warms up.
import { createInterface } from "node:readline";
import { createKernels } from "../../packages/core/dist/kernels/index.js";
import { Arena } from "../../packages/core/dist/memory/index.js";
import { compileOptimizer, optim } from "../../packages/core/dist/optim/index.js";

const divisor = 128;
const cases = new Map();

function prepare(optimizer, floats) {
  const [kind, options] = optimizer;
  const arena = new Arena();
  const kernels = createKernels(arena.memory);
  const entries = [{ name: "p", shape: [floats], offset: 0, length: floats }];
  const compiled = compileOptimizer(optim[kind](options), { totalFloats: floats, entries });
  const vector = () => {
    const address = arena.allocate(floats * 4);
    const values = arena.floats(address, floats);
    for (let i = 0; i < floats; i++) values[i] = ((i * 7919) % 1000) / 1000 + 0.001;
    return address;
  };
  const generation = () => ({ parameters: vector(), slots: compiled.slots.map(vector) });
  const generations = [generation(), generation()];
  const gradientSum = vector();
  let step = 0;
  return () => {
    const [from, to] = step % 2 === 0 ? generations : [generations[1], generations[0]];
    step++;
    compiled.update(kernels, { begin: 0, end: floats, step, divisor, clipScale: 1, from, to, gradientSum });
  };
}

console.log(JSON.stringify({ ready: true }));
for await (const line of createInterface({ input: process.stdin })) {
  const { optimizer, floats, steps } = JSON.parse(line);
  const key = JSON.stringify([optimizer, floats]);
  if (!cases.has(key)) cases.clear(); // ten million parameters of one case are enough
  const update = cases.get(key) ?? prepare(optimizer, floats);
  cases.set(key, update);
  update();
  const startMs = performance.now();
  for (let i = 0; i < steps; i++) update();
  console.log(JSON.stringify({ ms: performance.now() - startMs }));
}
