// What a step of a run is made of, each part by itself: ours-lanes.mjs '{"model", "batch", "partMs"}' prints one object of medians, in ms.
import { openBatches } from "../../packages/core/dist/data/index.js";
import { inlineLane, openLanes } from "../../packages/core/dist/engine/index.js";
import { createKernels } from "../../packages/core/dist/kernels/index.js";
import { Arena } from "../../packages/core/dist/memory/index.js";
import { compileOptimizer } from "../../packages/core/dist/optim/index.js";
import { compileRun } from "../../packages/core/dist/run/index.js";
import * as tutti from "../../packages/tutti/dist/index.js";
import { modelNamed } from "./models.mjs";

const { model, batch, partMs } = JSON.parse(process.argv[2]);
const { train, ...parts } = modelNamed(model, tutti);
const definition = tutti.defineRun({ ...parts, data: { train }, batchSize: batch, shards: 2, steps: 1 });
const dataset = await train.open({});
const run = compileRun(definition, { train: dataset });
const [program] = run.training.programs.values();
const { totalFloats } = run.layout;
const { sumsFloats } = program;

const arena = new Arena();
const kernels = createKernels(arena.memory);
const vector = (floats) => arena.allocate(4 * floats);
const parameters = vector(totalFloats);
arena.floats(parameters, totalFloats).set(run.initialParameters());
const reader = openBatches(dataset, run.plan);
const shards = new Map();
for (const shard of [0, 1]) {
  const { bytes } = await reader.readShard(0, shard);
  const columns = arena.allocate(bytes.length);
  arena.bytes(columns, bytes.length).set(bytes);
  shards.set(shard, { programId: program.id, columns, firstPosition: shard * program.samples });
}

/** Median of what is done again and again for `partMs`, at least seven times, after the first tenth or three that warm up. */
async function median(work) {
  const times = [];
  const beginMs = performance.now();
  for (let nowMs = beginMs; nowMs < beginMs + partMs || times.length < 10; ) {
    const startMs = nowMs;
    await work();
    nowMs = performance.now();
    times.push(nowMs - startMs);
  }
  times.splice(0, Math.max(3, Math.floor(times.length / 10)));
  times.sort((a, b) => a - b);
  return times[times.length >> 1];
}

let generation = 1;
async function computed(opening, node) {
  const lanes = await opening;
  await lanes.load(program);
  const found = await median(async () => {
    const result = await lanes.compute({ node, shards, parameters, generation: generation++, seed: 1, step: 1 });
    result.release();
  });
  await lanes.close();
  return found;
}

const one = { lo: 0, hi: 1 };
const both = { lo: 0, hi: 2 };
const engine = {
  shardMs: await computed(inlineLane({ arena }), one),
  oneLaneMs: await computed(openLanes({ arena, count: 1, near: true }), both),
  twoLanesMs: await computed(openLanes({ arena, count: 2, near: true }), both),
  twoThreadsMs: await computed(openLanes({ arena, count: 2 }), both),
};

const optimizer = compileOptimizer(parts.optimizer, run.layout);
const generationAt = () => ({ parameters: vector(totalFloats), slots: optimizer.slots.map(() => vector(totalFloats)) });
const generations = [generationAt(), generationAt()];
const [left, right] = [vector(sumsFloats), vector(sumsFloats)];
for (const address of [left, right]) arena.floats(address, sumsFloats).fill(1e-3);
const blockFloats = 16_384;
let step = 0;
const others = {
  returnedMs: await median(() => {
    const copy = new Float32Array(sumsFloats); // zeroed, as the binding makes them
    copy.set(arena.floats(left, sumsFloats));
    copy.buffer.transfer?.(0);
  }),
  addMs: await median(() => kernels.add(left, left, right, sumsFloats)),
  normMs: await median(() => {
    for (let at = 0; at < totalFloats; at += blockFloats)
      kernels.quickSquares(left + 4 * at, Math.min(blockFloats, totalFloats - at)); // as without clipping
  }),
  updateMs: await median(() => {
    const [from, to] = step++ % 2 === 0 ? generations : [generations[1], generations[0]];
    const range = { begin: 0, end: totalFloats, step, divisor: batch, clipScale: 1 };
    optimizer.update(kernels, { ...range, from, to, gradientSum: left });
  }),
};
console.log(JSON.stringify({ ...engine, ...others }));
process.exit(0);
