import { gradientRounding, isRounded, roundSums, SumsPacking } from "@tutti/core/compression";
import { openLanes } from "@tutti/core/engine";
import { computeMemory } from "@tutti/core/kernels";
import { Arena } from "@tutti/core/memory";
import { children, isLeaf, type TreeNode } from "@tutti/core/step";
import { expect, test } from "vitest";
import { bitsOf, classifierStep, compute } from "../engine/classifier-step.ts";
import { mlpProgram } from "../engine/mlp-program.ts";

const nodesOf = (node: TreeNode): TreeNode[] =>
  isLeaf(node) ? [node] : [node, ...children(node).flatMap((child) => nodesOf(child))];

test.each([
  [1, 1],
  [2, 3],
  [3, 5],
  [5, 9],
  [8, 15],
  [12, 11],
  [16, 15],
  [100, 12],
  [1024, 15],
])("rounds a fixed number of nodes: of %i shards at %i", (shards, count) => {
  const rounding = gradientRounding("bf16", shards, 16);
  const rounded = nodesOf({ lo: 0, hi: shards }).filter((node) => isRounded(rounding, node));
  expect(rounded).toHaveLength(count);
  expect(rounded[0]).toEqual({ lo: 0, hi: shards });
});

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

test.each(["bf16", "int8"] as const)("sums travel as %s with what is not rounded behind them", (to) => {
  const memory = computeMemory(new Arena(1 << 20));
  const { arena, kernels } = memory;
  const rounding = { to, floats: 80, leastShards: 2 };
  const packing = new SumsPacking(rounding, memory);
  const [node, small] = [
    { lo: 0, hi: 2 },
    { lo: 0, hi: 1 },
  ];
  const sums = arena.allocate(128 * 4);
  arena.floats(sums, 128).set(range(0, 128).map((i) => (i + 0.3) / 7));
  const asGiven = arena.floats(sums, 128).slice();
  roundSums(kernels, rounding, { seed: 1, step: 2, node }, sums, 0, 128);
  const rounded = arena.floats(sums, 128).slice();
  expect(rounded.slice(80)).toEqual(asGiven.slice(80));
  expect(rounded.slice(0, 80).every((value, i) => value !== asGiven[i])).toBe(true);

  const expected = { bf16: [128, 32 + 48 * 4], int8: [66, 17 + 48 * 4] }[to];
  const received = arena.allocate(128 * 4);
  for (const [i, [begin, end]] of (
    [
      [0, 64],
      [64, 128],
    ] as const
  ).entries()) {
    const bytes = packing.packInPlace(node, sums, begin, end).slice();
    expect(bytes.byteLength).toBe(expected[i]);
    expect(packing.bytes(node, begin, end)).toBe(expected[i]);
    packing.unpack(node, bytes, received, begin, end);
  }
  expect(arena.floats(received, 128)).toEqual(rounded);

  const plain = packing.packInPlace(small, received, 0, 128);
  expect(plain.byteLength).toBe(512);
});

test("rounding depends on seed, step and node, not on the cut", () => {
  const { arena, kernels } = computeMemory(new Arena(1 << 20));
  const rounding = { to: "bf16", floats: 64, leastShards: 1 } as const;
  const roundedFor = (seed: number, step: number, hi: number): string => {
    const sums = arena.allocate(256);
    arena.floats(sums, 64).fill(0.3);
    const place = { seed, step, node: { lo: 0, hi } };
    roundSums(kernels, rounding, place, sums, 32, 64);
    roundSums(kernels, rounding, place, sums, 0, 32);
    return arena.floats(sums, 64).join();
  };
  const all = [roundedFor(1, 1, 1), roundedFor(2, 1, 1), roundedFor(1, 2, 1), roundedFor(1, 1, 2)];
  expect(new Set(all).size).toBe(4);
  expect(roundedFor(1, 1, 1)).toBe(all[0]);
});

test.each(["bf16", "int8"] as const)(
  "lanes round to %s at the same nodes, with the same bits on 1, 2 and 3 lanes and when a step is put together of two nodes",
  async (to) => {
    const program = mlpProgram([20, 16, 4], 5);
    const step = classifierStep(Array.from({ length: 6 }, () => program));
    const { arena, shards, parameters } = step;
    const { kernels } = computeMemory(arena);
    const rounding = { ...gradientRounding(to, 6, program.sumsFloats - 16), leastShards: 2 };
    const root = { lo: 0, hi: 6 };
    const task = { shards, parameters, generation: 0, seed: 1, step: 0, rounding };
    const bits: string[] = [];
    for (const count of [1, 2, 3]) {
      const lanes = await openLanes({ arena, count });
      const plain = bitsOf(step, await compute(lanes, step));
      const whole = await lanes.compute({ ...task, node: root });
      bits.push(bitsOf(step, whole));
      expect(bits.at(-1)).not.toBe(plain);
      const [left, right] = await Promise.all(children(root).map((node) => lanes.compute({ ...task, node })));
      kernels.add(left!.sums, left!.sums, right!.sums, program.sumsFloats);
      roundSums(kernels, rounding, { seed: 1, step: 0, node: root }, left!.sums, 0, program.sumsFloats);
      expect(arena.floats(left!.sums, program.sumsFloats)).toEqual(arena.floats(whole.sums, program.sumsFloats));
      await lanes.close();
    }
    expect(new Set(bits).size).toBe(1);
  },
);
