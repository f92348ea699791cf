import { data } from "@tutti/core/data";
import { ColumnReader, inlineLane, openLanes, type ShardInput } from "@tutti/core/engine";
import type { Tensor } from "@tutti/core/graph";
import { createKernels } from "@tutti/core/kernels";
import { Arena } from "@tutti/core/memory";
import { nn } from "@tutti/core/nn";
import { optim } from "@tutti/core/optim";
import { randomStream } from "@tutti/core/random";
import { compileRun, defineRun, type RunDefinition } from "@tutti/core/run";
import type { ShardProgram } from "@tutti/core/step";
import { InferenceSession } from "onnxruntime-node";
import { expect, onTestFinished, test, vi } from "vitest";
import { BufferPool } from "../../src/engine/buffer-pool.ts";
import { openCallingSession } from "../../src/engine/calling-session.ts";
import { repeatedProgram } from "../../src/engine/repeated-program.ts";
import { loadEngine } from "../../src/engine/runtime.ts";
import { ShortNode } from "../../src/engine/short-node.ts";
import { bitsOf, type ClassifierStep, compute } from "./classifier-step.ts";

const rows = 64;

function noise(count: number): Float32Array {
  const floats = new Float32Array(count);
  randomStream(3, "noise").fillUniform(floats, -1, 1);
  return floats;
}

const source = data.arrays({
  x: { dtype: "float32", shape: [12], values: noise(12 * rows) },
  y: { dtype: "float32", shape: [1], values: noise(rows) },
  label: Uint8Array.from({ length: rows }, (_, i) => (i * 7) % 5),
  words: {
    dtype: "int64",
    shape: [6],
    values: BigInt64Array.from({ length: 6 * rows }, (_, i) => BigInt((i * 5) % 11)),
  },
});

type Columns = Readonly<Record<string, Tensor>>;
type Model = RunDefinition["model"];

const wide = nn.linear(12, 1);
const hidden = nn.sequential([nn.linear(12, 16), nn.tanh(), nn.linear(16, 1)]);
const classifier = nn.sequential([nn.linear(12, 16), nn.layerNorm(16), nn.gelu(), nn.linear(16, 5)]);
const rectified = nn.sequential([nn.linear(12, 9), nn.relu(), nn.linear(9, 9), nn.sigmoid(), nn.linear(9, 5)]);
const convolution = nn.sequential([nn.conv1d(2, 3, 3), nn.relu(), nn.flatten(), nn.linear(12, 5)]);
const image = nn.sequential([nn.conv2d(1, 4, 2), nn.relu(), nn.maxPool2d(2), nn.flatten(), nn.linear(4, 5)]);
const lookUp = nn.sequential([nn.embedding(11, 4), nn.flatten(), nn.linear(24, 5)]);
const attention = nn.sequential([
  nn.transformerEncoderLayer(4, 2, { feedForward: 8, dropout: 0, causal: true }),
  nn.flatten(),
  nn.linear(12, 5),
]);
const dropping = nn.sequential([nn.linear(12, 8), nn.dropout(0.5), nn.linear(8, 1)]);

/** Programs of many shapes and kernels. */
const definitions = {
  "linear and mean squared error": run(wide, ({ x, y }) => nn.mse(wide(x!), y!)),
  "tanh and Huber loss": run(hidden, ({ x, y }) => nn.huber(hidden(x!), y!)),
  "absolute error, weighted": run(hidden, ({ x, y }) => nn.l1(hidden(x!), y!).mul(x!.abs().mean([1]))),
  "layer norm, GELU, cross entropy": run(classifier, ({ x, label }) => nn.crossEntropy(classifier(x!), label!)),
  "ReLU and sigmoid": run(rectified, ({ x, label }) => nn.crossEntropy(rectified(x!), label!)),
  "convolution of one dimension": run(convolution, ({ x, label }) =>
    nn.crossEntropy(convolution(x!.reshape([-1, 2, 6])), label!),
  ),
  "convolution of two dimensions": run(image, ({ x, label }) =>
    nn.crossEntropy(image(x!.reshape([-1, 1, 3, 4])), label!),
  ),
  embedding: run(lookUp, ({ words, label }) => nn.crossEntropy(lookUp(words!), label!)),
  attention: run(attention, ({ x, label }) => nn.crossEntropy(attention(x!.reshape([-1, 3, 4])), label!)),
} as const;

function run(model: Model, loss: (columns: Columns) => Tensor): RunDefinition {
  const step = (columns: Columns) => ({ loss: loss(columns) });
  return defineRun({
    data: { train: source },
    model,
    step,
    optimizer: optim.sgd({ lr: 0.1 }),
    batchSize: 7,
    shards: 1,
    steps: 1,
  });
}

const dataset = await source.open({ baseDirectory: "." });
const engine = await loadEngine();

function programOf(definition: RunDefinition): ShardProgram {
  const [program] = compileRun(definition, { train: dataset }).training.programs.values();
  return program!;
}

/** Shards of the program on other rows each. */
async function stepOf(program: ShardProgram, shards: number, firstRow = 0): Promise<ClassifierStep> {
  const arena = new Arena();
  const parameters = arena.allocate(4 * 65_536);
  for (const { name, offset, length } of program.parameters)
    randomStream(1, name, firstRow).fillUniform(arena.floats(parameters + 4 * offset, length), -0.5, 0.5);
  const inputs = new Map<number, ShardInput>();
  for (let shard = 0; shard < shards; shard++) {
    const at = Array.from({ length: program.samples }, (_, i) => (firstRow + shard * program.samples + i) % rows);
    const { bytes } = await new ColumnReader(program).read(dataset, at);
    const columns = arena.allocate(bytes.byteLength);
    arena.bytes(columns, bytes.byteLength).set(bytes);
    inputs.set(shard, { programId: program.id, columns, firstPosition: shard * program.samples });
  }
  return { arena, parameters, shards: inputs, programs: inputs.size === 0 ? [] : [program] };
}

/** Bits of the node by a lane, and by one call of the engine for all of its shards. */
async function bothWays(program: ShardProgram, onnx: Uint8Array, shards: number, firstRow: number): Promise<string[]> {
  const step = await stepOf(program, shards, firstRow);
  const { arena, parameters } = step;
  const lanes = await inlineLane({ arena });
  const expected = bitsOf(step, await compute(lanes, step));
  const pool = new BufferPool(arena);
  const session = openCallingSession(engine, onnx)!;
  const short = new ShortNode(engine, session, program, shards, { arena, kernels: createKernels(arena.memory), pool });
  const task = { node: { lo: 0, hi: shards }, shards: step.shards, parameters, generation: 1, seed: 1, step: 1 };
  const found = bitsOf(step, short.run(task));
  const again = bitsOf(step, short.run(task)); // in another block
  short.close();
  await lanes.close();
  return [expected, found, again];
}

test.each(Object.entries(definitions))(
  "all shards in one call have the bits of one call for each: %s",
  async (_, definition) => {
    const program = programOf(definition);
    for (const shards of [1, 2, 3, 8]) {
      const onnx = repeatedProgram(program, shards);
      expect(onnx).toBeDefined();
      for (const firstRow of [0, 5]) {
        const bits = await bothWays(program, onnx!, shards, firstRow);
        expect(new Set(bits).size).toBe(1);
      }
    }
  },
);

test("a program is not repeated when it draws random numbers", () => {
  const program = programOf(run(dropping, ({ x, y }) => nn.mse(dropping(x!), y!)));
  expect(repeatedProgram(program, 2)).toBeUndefined();
});

test("a program is not repeated when some of its nodes depend on parameters alone, which the copies would share", () => {
  const squared = nn.module({
    parameters: { weight: { shape: [1, 12], init: nn.init.zeros(), trainable: true } },
    forward: (self, x: Tensor) => x.gemm(self.parameter("weight").mul(self.parameter("weight")), { transB: true }),
  });
  const program = programOf(run(squared, ({ x, y }) => nn.mse(squared(x!), y!)));
  expect(repeatedProgram(program, 2)).toBeUndefined();
});

test("a run's calling thread takes to it once it has given the bits of the lanes, and gives its event loop turns", async () => {
  const program = programOf(definitions["linear and mean squared error"]);
  const step = await stepOf(program, 2);
  const lanes = await openLanes({ arena: step.arena, count: 2, near: true });
  const { prototype } = InferenceSession as unknown as { prototype: InferenceSession };
  const calls = vi.spyOn(prototype, "run"); // of sessions of one shard, in this thread
  onTestFinished(() => calls.mockRestore());
  const bits = new Set<string>();
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  onTestFinished(() => clearInterval(timer));
  const computeOnce = async () => {
    const result = await compute(lanes, step);
    bits.add(bitsOf(step, result));
    result.release();
  };
  let computed = 0;
  for (let before = -1; calls.mock.calls.length === 0 || before !== calls.mock.calls.length; computed++) {
    before = calls.mock.calls.length;
    await computeOnce();
    if (computed > 2000) throw new Error("the thread still computes shard by shard");
  }
  turns = 0;
  for (let i = 0; i < 2000; i++) await computeOnce();
  expect(turns).toBeGreaterThan(5); // 2,000 tasks take some 60 ms or more
  expect(bits.size).toBe(1);
  await lanes.close();
});
