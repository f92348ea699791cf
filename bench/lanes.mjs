// What a lane costs and gives: microseconds to dispatch a node to a lane, and milliseconds for the gradients of one step.
// node bench/lanes.mjs [--seconds 3] (after the build); one JSON object per line.
import { parseArgs } from "node:util";
import { data, openBatches } from "../packages/core/dist/data/index.js";
import { engineInfo, inlineLane, openLanes } from "../packages/core/dist/engine/index.js";
import { Arena } from "../packages/core/dist/memory/index.js";
import { nn } from "../packages/core/dist/nn/index.js";
import { optim } from "../packages/core/dist/optim/index.js";
import { compileRun, defineRun } from "../packages/core/dist/run/index.js";

const { values } = parseArgs({ options: { seconds: { type: "string", default: "3" } } });
const secondsEach = Number(values.seconds);

const linearModel = nn.linear(10, 1);
const linear = {
  name: "linear 10-1, batch 2x16",
  batchSize: 32,
  model: linearModel,
  train: data.arrays({
    x: { dtype: "float32", shape: [10], values: Float32Array.from({ length: 320 }, (_, i) => (i % 17) / 17) },
    y: { dtype: "float32", shape: [1], values: Float32Array.from({ length: 32 }, (_, i) => (i % 5) / 5) },
  }),
  step: ({ x, y }) => ({ loss: nn.mse(linearModel(x), y) }),
};

const mlpModel = nn.sequential({
  fc1: nn.linear(784, 512),
  act1: nn.relu(),
  fc2: nn.linear(512, 512),
  act2: nn.relu(),
  fc3: nn.linear(512, 10),
});
const mlp = {
  name: "MLP 784-512-512-10, batch 2x64",
  batchSize: 128,
  model: mlpModel,
  train: data.arrays({
    image: { dtype: "uint8", shape: [784], values: Uint8Array.from({ length: 128 * 784 }, (_, i) => (i * 31) % 256) },
    label: { dtype: "int64", shape: [], values: BigInt64Array.from({ length: 128 }, (_, i) => BigInt(i % 10)) },
  }),
  step: ({ image, label }) => ({ loss: nn.crossEntropy(mlpModel(image.cast("float32").div(255)), label) }),
};

async function prepare({ model, train, step, batchSize }) {
  const definition = defineRun({
    data: { train },
    model,
    step,
    batchSize,
    shards: 2,
    optimizer: optim.sgd({ lr: 0.1 }),
  });
  const dataset = await train.open({});
  const run = compileRun(definition, { train: dataset });
  const arena = new Arena();
  const parameters = arena.allocate(4 * run.layout.totalFloats);
  arena.floats(parameters, run.layout.totalFloats).set(run.initialParameters());
  const [program] = run.training.programs.values();
  const reader = openBatches(dataset, run.plan);
  const shards = new Map();
  for (const shard of [0, 1]) {
    const { bytes } = await reader.readShard(0, shard);
    const columns = arena.allocate(bytes.length);
    arena.bytes(columns, bytes.length).set(bytes);
    shards.set(shard, { programId: program.id, columns });
  }
  return { arena, program, parameters, shards };
}

/** Median wall time of one node, in milliseconds; every call has a new generation, as every step of a run has. */
async function medianMs(lanes, { program, parameters, shards }, node) {
  await lanes.load(program);
  const times = [];
  const end = performance.now() + secondsEach * 1000;
  for (let generation = 1; performance.now() < end; generation++) {
    const start = performance.now();
    const result = await lanes.compute({ node, shards, parameters, generation });
    result.release();
    times.push(performance.now() - start);
  }
  await lanes.close();
  times.sort((a, b) => a - b);
  return times[Math.floor(times.length / 2)];
}

console.log(JSON.stringify({ type: "engine", ...(await engineInfo()) }));
for (const model of [linear, mlp]) {
  const prepared = await prepare(model);
  const { arena } = prepared;
  const both = { lo: 0, hi: 2 };
  const one = { lo: 0, hi: 1 };
  const inlineOneMs = await medianMs(await inlineLane({ arena }), prepared, one);
  const laneOneMs = await medianMs(await openLanes({ arena, count: 1 }), prepared, one);
  const figures = {
    shardInlineMs: inlineOneMs,
    shardOneLaneMs: laneOneMs,
    // Of a model that computes longer, the difference would tell of garbage collection instead.
    ...(model === linear ? { dispatchUs: (laneOneMs - inlineOneMs) * 1000 } : {}),
    stepInlineMs: await medianMs(await inlineLane({ arena }), prepared, both),
    stepOneLaneMs: await medianMs(await openLanes({ arena, count: 1 }), prepared, both),
    stepTwoLanesMs: await medianMs(await openLanes({ arena, count: 2 }), prepared, both),
  };
  const rounded = Object.entries(figures).map(([name, value]) => [name, Number(value.toFixed(3))]);
  console.log(JSON.stringify({ type: "lanes", model: model.name, ...Object.fromEntries(rounded) }));
}
