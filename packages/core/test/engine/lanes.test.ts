import { inlineLane, type Lanes, openLanes } from "@tutti/core/engine";
import { Arena } from "@tutti/core/memory";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { expect, onTestFinished, test, vi } from "vitest";
import { bitsOf, type ClassifierStep, classifierStep, compute } from "./classifier-step.ts";
import { mlpProgram } from "./mlp-program.ts";

const sizes = [20, 16, 4];

/** Shards of 5 and 6 samples in turn, as a batch gives that the shard count does not divide. */
function stepOf(shards: number, arena?: Arena): ClassifierStep {
  const programs = [mlpProgram(sizes, 5), mlpProgram(sizes, 6)];
  return classifierStep(
    Array.from({ length: shards }, (_, shard) => programs[shard % 2] ?? mlpProgram(sizes, 5)),
    arena,
  );
}

/** The engine alone, shard after shard, added in float32 by plain JavaScript as the design states the tree. */
async function expectedSums(step: ClassifierStep): Promise<Float32Array> {
  const leaves: Float32Array[] = [];
  for (const [shard, program] of step.programs.entries()) {
    const session = await InferenceSession.create(program.onnx, { intraOpNumThreads: 1, interOpNumThreads: 1 });
    const columns = step.shards.get(shard)?.columns ?? 0;
    const pixels = step.arena.bytes(columns, program.samples * 20).slice();
    const labels = new BigInt64Array(step.arena.memory.buffer, columns + 128, program.samples).slice(); // 5·20 and 6·20 bytes end before 128
    const feeds: Record<string, Tensor> = {
      image: new Tensor("uint8", pixels, [program.samples, 20]),
      label: new Tensor("int64", labels, [program.samples]),
    };
    for (const { name, shape, offset, length } of program.parameters) {
      feeds[name] = new Tensor("float32", step.arena.floats(step.parameters + 4 * offset, length).slice(), shape);
    }
    const results = await session.run(feeds);
    const flat = new Float32Array(program.sumsFloats);
    for (const { name, offset } of program.sums) flat.set(results[name]?.data as Float32Array, offset);
    leaves.push(flat);
  }
  const sum = (lo: number, hi: number): Float32Array => {
    if (hi - lo === 1) return leaves[lo] ?? new Float32Array();
    const middle = lo + 2 ** (Math.ceil(Math.log2(hi - lo)) - 1);
    const [left, right] = [sum(lo, middle), sum(middle, hi)];
    return left.map((value, i) => Math.fround(value + (right[i] ?? Number.NaN)));
  };
  return sum(0, leaves.length);
}

test.each([1, 2, 3, 4, 5, 6, 7, 8, 9])(
  "adds %i shards in the canonical tree, with the same bits on 1, 2 and 3 lanes and inline",
  async (shards) => {
    const step = stepOf(shards);
    const { arena } = step;
    const kinds: Lanes[] = [
      await inlineLane({ arena }),
      await openLanes({ arena, count: 1 }),
      await openLanes({ arena, count: 2 }),
      await openLanes({ arena, count: 3 }),
      await openLanes({ arena, count: 2, zeroCopy: false }),
    ];
    const results = await Promise.all(kinds.map((lanes) => compute(lanes, step)));
    const floats = step.programs[0]?.sumsFloats ?? 0;
    const expected = await expectedSums(step);
    for (const result of results) expect(arena.floats(result.sums, floats)).toEqual(expected);
    expect(new Set(results.map((result) => bitsOf(step, result))).size).toBe(1);
    await Promise.all(kinds.map((lanes) => lanes.close()));
  },
);

test.each([
  [true, "in the calling thread, with the same bits,", 1, 1],
  [true, "in the calling thread beside another, with the same bits,", 2, 8],
  [false, "nowhere but in their threads", 1, 1],
])("with near: %s computes small tasks %s (%s lanes)", async (near, _where, count, shards) => {
  const step = stepOf(shards);
  const { prototype } = InferenceSession as unknown as { prototype: InferenceSession };
  const engine = vi.spyOn(prototype, "run"); // of this thread only
  onTestFinished(() => engine.mockRestore());
  const lanes = await openLanes({ arena: step.arena, count, near });
  const bits = new Set<string>();
  const computeOnce = async () => {
    const result = await compute(lanes, step);
    bits.add(bitsOf(step, result));
    result.release();
  };
  if (near) while (engine.mock.calls.length < 10) await computeOnce();
  else for (let i = 0; i < 200; i++) await computeOnce();
  if (!near || shards === 1) expect(engine).toHaveBeenCalledTimes(near ? 10 : 0);
  expect(bits.size).toBe(1);
  await lanes.close();
});

test("gives one row of scalars per shard, in shard order", async () => {
  const step = stepOf(3);
  const lanes = await openLanes({ arena: step.arena, count: 2 });
  const { scalars } = await compute(lanes, step);
  expect([scalars[1], scalars[3], scalars[5]]).toEqual([5, 6, 5]);
  const alone = await compute(lanes, step, { lo: 1, hi: 2 });
  expect([...alone.scalars]).toEqual([scalars[2], 6]);
  await lanes.close();
});

test("computes several nodes at the same time, each as if alone", async () => {
  const step = stepOf(8);
  const lanes = await openLanes({ arena: step.arena, count: 2 });
  const nodes = [
    { lo: 0, hi: 4 },
    { lo: 4, hi: 8 },
    { lo: 4, hi: 6 },
    { lo: 7, hi: 8 },
    { lo: 0, hi: 8 },
  ];
  const alone: string[] = [];
  for (const node of nodes) {
    const result = await compute(lanes, step, node);
    alone.push(bitsOf(step, result));
    result.release();
  }
  const together = await Promise.all(nodes.map((node) => compute(lanes, step, node)));
  expect(together.map((result) => bitsOf(step, result))).toEqual(alone);
  expect(new Set(alone).size).toBe(nodes.length);
  await lanes.close();
});

test("takes no memory after the first steps", async () => {
  const step = stepOf(7);
  const lanes = await openLanes({ arena: step.arena, count: 2 });
  const stepTwice = async () => {
    const results = await Promise.all([compute(lanes, step), compute(lanes, step, { lo: 4, hi: 6 })]);
    for (const result of results) result.release();
  };
  for (let i = 0; i < 5; i++) await stepTwice();
  const before = step.arena.allocate(0);
  for (let i = 0; i < 20; i++) await stepTwice();
  expect(step.arena.allocate(0)).toBe(before);
  await lanes.close();
});

test("sees parameters that changed in place when the generation changes, with and without copies", async () => {
  const step = stepOf(2);
  const direct = await openLanes({ arena: step.arena, count: 1 });
  const copying = await openLanes({ arena: step.arena, count: 1, zeroCopy: false });
  const first = [
    bitsOf(step, await compute(direct, step, undefined, 1)),
    bitsOf(step, await compute(copying, step, undefined, 1)),
  ];
  for (let i = 0; i < 64; i++) step.arena.floats(step.parameters, 64)[i] = i / 64;
  const second = [
    bitsOf(step, await compute(direct, step, undefined, 2)),
    bitsOf(step, await compute(copying, step, undefined, 2)),
  ];
  expect(first[0]).toBe(first[1]);
  expect(second[0]).toBe(second[1]);
  expect(second[0]).not.toBe(first[0]);
  await Promise.all([direct.close(), copying.close()]);
});

test("finds blocks that were allocated after its threads started and the arena grew", async () => {
  const arena = new Arena();
  const lanes = await openLanes({ arena, count: 2 });
  const early = stepOf(2, arena);
  const expected = bitsOf(early, await compute(lanes, early));
  arena.allocate(50_000_000);
  const late = stepOf(2, arena);
  expect(bitsOf(late, await compute(lanes, late))).toBe(expected);
  await lanes.close();
});

test("collects per-sample outputs of an evaluation and leaves no sums", async () => {
  const programs = [mlpProgram(sizes, 5, "evaluate"), mlpProgram(sizes, 6, "evaluate")];
  const step = classifierStep(programs);
  const bits = async (lanes: Lanes) => {
    const { collects, sums } = await compute(lanes, step);
    expect(sums).toBe(0);
    return collects.map((address, shard) => [...step.arena.floats(address, 4 * (5 + shard))]);
  };
  const two = await openLanes({ arena: step.arena, count: 2 });
  const copying = await openLanes({ arena: step.arena, count: 1, zeroCopy: false });
  const logits = await bits(two);
  expect(await bits(copying)).toEqual(logits);
  expect(logits.map((rows) => rows.length)).toEqual([20, 24]);
  // fc1 of relu(fc0) in float64, for the last sample
  const parameter = (index: number) => {
    const { offset, length } = programs[1]?.parameters[index] ?? { offset: 0, length: 0 };
    return step.arena.floats(step.parameters + 4 * offset, length);
  };
  const pixels = step.arena.bytes(step.shards.get(1)?.columns ?? 0, 120).slice(100);
  const dense = (weight: Float32Array, bias: Float32Array, x: readonly number[]) =>
    Array.from(bias, (start, row) =>
      x.reduce((sum, value, column) => sum + value * (weight[row * x.length + column] ?? 0), start),
    );
  const hidden = dense(
    parameter(0),
    parameter(1),
    Array.from(pixels, (pixel) => pixel / 255),
  ).map((value) => Math.max(0, value));
  dense(parameter(2), parameter(3), hidden).forEach((value, index) => {
    expect(logits[1]?.[20 + index]).toBeCloseTo(value, 5);
  });
  await Promise.all([two.close(), copying.close()]);
});
