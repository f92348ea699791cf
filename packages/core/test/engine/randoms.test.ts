import { createHash } from "node:crypto";
import { data, packRows } from "@tutti/core/data";
import { inlineLane, type Lanes, openLanes, packedRandoms } from "@tutti/core/engine";
import { computeMemory, createKernels, Draws } from "@tutti/core/kernels";
import { Arena } from "@tutti/core/memory";
import { nn } from "@tutti/core/nn";
import { optim } from "@tutti/core/optim";
import { philox, randomStream, randomWords } from "@tutti/core/random";
import { compileRun, defineRun } from "@tutti/core/run";
import fc from "fast-check";
import { expect, test } from "vitest";
import { drawRandoms } from "../../src/engine/draw-randoms.ts";
import { bitsOf } from "./classifier-step.ts";

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) => Buffer.from(buffer, byteOffset, byteLength);
const uint32 = fc.nat({ max: 0xffffffff });

test("masks are Philox's words by sample and position, compared with the threshold", () => {
  fc.assert(
    fc.property(
      fc.record({ key0: uint32, key1: uint32, path0: uint32, path1: uint32, threshold: uint32, position: uint32 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 41 }),
      ({ key0, key1, path0, path1, threshold, position }, count, floats) => {
        const arena = new Arena(1 << 20);
        const address = arena.allocate(4 * count * floats + 64);
        const samples = { count, floats, firstPosition: position };
        createKernels(arena.memory).bernoulli(address, samples, [key0, key1], [path0, path1], threshold, 1.25);
        const expected = Array.from({ length: count * floats }, (_, i) => {
          const [sample, value] = [Math.floor(i / floats), i % floats];
          const block = philox([key0, key1], [value >> 2, (position + sample) >>> 0, path0, path1]);
          return block[value & 3]! < threshold ? 1.25 : 0;
        });
        expect([...arena.floats(address, count * floats)]).toEqual(expected);
      },
    ),
  );
});

test("normal numbers are those of the portable functions, bit for bit, across the halves of the counter too", () => {
  const arena = new Arena(1 << 20);
  const kernels = createKernels(arena.memory);
  const floats = 65_536;
  const address = arena.allocate(4 * floats);
  for (const [seed, firstBlock, mean, std] of [[3, 0, 0, 1] as const, [-7, 2 ** 32 - 16_384, 0.5, 2e-3] as const]) {
    const { key, path } = randomWords(seed, "normal", 1);
    kernels.normal(address, floats / 4, firstBlock, key, path, { mean, std });
    const expected = new Float32Array(floats);
    randomStream(seed, "normal", 1).fillNormal(expected, mean, std, 4 * firstBlock);
    expect(Buffer.compare(bytesOf(arena.floats(address, floats)), bytesOf(expected)) === 0).toBe(true);
    kernels.normal(address, 4, 2 ** 32, key, path, { mean, std });
    randomStream(seed, "normal", 1).fillNormal(expected, mean, std, 2 ** 34);
    expect([...arena.floats(address, 16)]).toEqual([...expected.subarray(0, 16)]);
  }
});

test("uniform numbers are those of the stream, bit for bit, across the halves of the counter too", () => {
  const arena = new Arena(1 << 20);
  const kernels = createKernels(arena.memory);
  const floats = 65_536;
  const address = arena.allocate(4 * floats);
  const drawn = [
    { seed: 3, firstBlock: 0, low: -0.05103103630798288, high: 0.05103103630798288 },
    { seed: -7, firstBlock: 2 ** 32 - 16_384, low: -0.1, high: 0.1 },
  ];
  for (const { seed, firstBlock, low, high } of drawn) {
    const { key, path } = randomWords(seed, "uniform", 1);
    kernels.uniform(address, floats / 4, firstBlock, key, path, { low, high });
    const expected = new Float32Array(floats);
    randomStream(seed, "uniform", 1).fillUniform(expected, low, high, 4 * firstBlock);
    expect(Buffer.compare(bytesOf(arena.floats(address, floats)), bytesOf(expected)) === 0).toBe(true);
  }
});

test("draws fill any range with the values of the stream, wherever the range begins and ends", () => {
  const draws = new Draws(computeMemory(new Arena(1 << 20)));
  const ranges = [
    { first: 0, length: 1 },
    { first: 3, length: 5 },
    { first: 17, length: 40_001 },
    { first: 2 ** 34 - 6, length: 30 },
  ];
  for (const { first, length } of ranges) {
    const [drawn, expected] = [new Float32Array(length), new Float32Array(length)];
    draws.stream(5, "a", 2).fillUniform(drawn, -2, 0.3, first);
    randomStream(5, "a", 2).fillUniform(expected, -2, 0.3, first);
    expect(Buffer.compare(bytesOf(drawn), bytesOf(expected)) === 0).toBe(true);
    draws.stream(5, "a", 2).fillNormal(drawn, 1, 0.3, first);
    randomStream(5, "a", 2).fillNormal(expected, 1, 0.3, first);
    expect(Buffer.compare(bytesOf(drawn), bytesOf(expected)) === 0).toBe(true);
  }
});

const source = data.arrays({
  x: { dtype: "float32", shape: [7], values: Array.from({ length: 20 * 7 }, (_, i) => ((i * 37) % 19) / 10 - 0.9) },
  label: Uint8Array.from({ length: 20 }, (_, i) => i % 3),
});
const model = nn.sequential([nn.linear(7, 33), nn.relu(), nn.dropout(0.3), nn.linear(33, 3), nn.dropout(0.1)]);
const definition = defineRun({
  data: { train: source },
  model,
  step: ({ x, label }) => ({ loss: nn.crossEntropy(model(x), label) }),
  optimizer: optim.sgd({ lr: 1 }),
  batchSize: 20,
  seed: 5,
});
const dataset = await source.open({ baseDirectory: "." });
const compiled = (shards: number) => compileRun(definition, { train: dataset }, { shards });

/** All masks of a program at once: one array for each random input, without what lies between. */
function masks(samples: number, firstPosition: number, step = 3, seed = 5): Float32Array[] {
  const program = compiled(20 / samples).training.programs.get(samples)!;
  const arena = new Arena(1 << 22);
  const { offsets, totalBytes } = packedRandoms(program);
  const address = arena.allocate(totalBytes);
  drawRandoms(createKernels(arena.memory), program, address, { seed, step, firstPosition });
  return program.randoms.map(({ shape }, i) =>
    arena
      .floats(
        address + offsets[i]!,
        shape.reduce((a, b) => a * b),
      )
      .slice(),
  );
}

test("a sample's mask depends on its position only, however the batch is cut", () => {
  const whole = masks(20, 0);
  for (const samples of [10, 5, 4, 2, 1]) {
    for (let position = 0; position < 20; position += samples) {
      for (const [i, mask] of masks(samples, position).entries()) {
        const width = mask.length / samples;
        expect(mask).toEqual(whole[i]!.slice(position * width, (position + samples) * width));
      }
    }
  }
});

test("masks are these for ever, others for another step, call and seed, and keep the asked share", () => {
  const [first, second] = masks(20, 0);
  const hash = (values: Float32Array) => createHash("sha256").update(new Uint8Array(values.buffer)).digest("hex");
  expect(hash(first!)).toBe("308e2d442183d7533e43c6e75444db58229586cd4e4f3086e5a0d9b411a3376b");
  expect(hash(second!)).toBe("19b98402c1e68979e0f9dc6c6cb5975f91093c1b888590d0019d05fe33dcec7e");
  expect(masks(20, 0, 4)[0]).not.toEqual(first);
  expect(masks(20, 0, 3, 6)[0]).not.toEqual(first);
  expect([...new Set(first)].sort()).toEqual([0, Math.fround(1 / 0.7)]);
  const many = Array.from({ length: 50 }, (_, step) => masks(20, 0, step)[0]!).flatMap((mask) => [...mask]);
  const kept = many.filter((value) => value > 0).length / many.length;
  expect(Math.abs(kept - 0.7)).toBeLessThan(4 * Math.sqrt((0.7 * 0.3) / many.length));
});

/** The step's gradient sums on some lanes, as a hash and as numbers. */
async function gradient(shards: number, open: (arena: Arena) => Promise<Lanes>) {
  const run = compiled(shards);
  const arena = new Arena();
  const parameters = arena.allocate(4 * run.layout.totalFloats);
  arena.floats(parameters, run.layout.totalFloats).set(run.initialParameters());
  const lanes = await open(arena);
  const inputs = await Promise.all(
    run.plan.at(0).shards.map(async ({ lo, hi }) => {
      const program = run.training.programs.get(hi - lo)!;
      await lanes.load(program);
      const rows = await packRows(
        dataset,
        Array.from({ length: hi - lo }, (_, i) => lo + i),
      );
      const columns = arena.allocate(rows.bytes.byteLength);
      arena.bytes(columns, rows.bytes.byteLength).set(rows.bytes);
      return { programId: program.id, columns, firstPosition: lo };
    }),
  );
  const node = { lo: 0, hi: shards };
  const task = { node, shards: new Map(inputs.entries()), parameters, generation: 1, seed: 5, step: 0 };
  const result = await lanes.compute(task);
  const bits = bitsOf(
    { arena, parameters, shards: task.shards, programs: [...run.training.programs.values()] },
    result,
  );
  const sums = arena.floats(result.sums, run.trainable.totalFloats).slice();
  await lanes.close();
  return { bits, sums };
}

test("with dropout the bits are the same on one lane and two, with and without copies", async () => {
  const one = await gradient(4, (arena) => inlineLane({ arena }));
  const copying = await gradient(4, (arena) => inlineLane({ arena, zeroCopy: false }));
  const two = await gradient(4, (arena) => openLanes({ arena, count: 2 }));
  expect(copying.bits).toBe(one.bits);
  expect(two.bits).toBe(one.bits);
});

test("with dropout the gradient is that of the whole batch for any number of shards, up to rounding", async () => {
  const whole = await gradient(1, (arena) => inlineLane({ arena }));
  const cut = await gradient(4, (arena) => inlineLane({ arena }));
  const norm = Math.hypot(...whole.sums);
  expect(Math.hypot(...cut.sums.map((value, i) => value - whole.sums[i]!)) / norm).toBeLessThan(1e-6);
});
