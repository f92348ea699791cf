import { Generations, Reduction, StepUpdate } from "@tutti/core/exchange";
import { computeMemory } from "@tutti/core/kernels";
import { compileOptimizer, initialPlateau, optim } from "@tutti/core/optim";
import { randomStream } from "@tutti/core/random";
import { flatLayout, updateRunningStatistics } from "@tutti/core/step";
import fc from "fast-check";
import { expect, test } from "vitest";

const trainable = [
  { name: "w", shape: [7, 9] },
  { name: "b", shape: [21] },
];
const buffers = [
  { name: "running_mean", shape: [37] },
  { name: "running_var", shape: [37] },
];
const layout = flatLayout([...trainable, ...buffers, { name: "frozen", shape: [5] }]);
const updated = flatLayout([...trainable, ...buffers]);
const trained = flatLayout(trainable);
const [mean, variance] = updated.entries.slice(2).map(({ offset }) => offset);
const statistics = [{ name: "bn", mean: mean!, variance: variance!, length: 37, momentum: 0.1, valuesPerSample: 4 }];
const samples = 6;

const start = new Float32Array(layout.totalFloats);
const sums = new Float32Array(updated.totalFloats);
for (const { offset, length } of layout.entries) {
  randomStream(1, "start", offset).fillUniform(start.subarray(offset, offset + length), 0.5, 1.5);
}
for (const { offset, length } of updated.entries) {
  randomStream(1, "sums", offset).fillUniform(sums.subarray(offset, offset + length), 30, 60);
}

interface Sent {
  readonly chunk: number;
  readonly bytes: Uint8Array;
}

/** One step whose chunks arrive in some order, the weights' sum after some of them. */
function step(
  chunkFloats: number,
  order: readonly number[],
  divisorAfter: number,
  clipNorm: number | null,
  divisor = 6,
) {
  const memory = computeMemory();
  const { arena, kernels } = memory;
  const optimizer = compileOptimizer(optim.sgd({ lr: 0.1, momentum: 0.9, clipNorm }), trained);
  const floats = { total: layout.totalFloats, updated: updated.totalFloats, trainable: trained.totalFloats };
  const generations = new Generations(arena, optimizer, floats, { step: 8, updates: 8 });
  generations.initialize(
    start,
    optimizer.slots.map(() => new Float32Array(trained.totalFloats)),
  );
  const reduction = new Reduction(
    { arena, kernels },
    { sumsFloats: updated.totalFloats, chunkFloats, rounding: undefined, seed: 0 },
  );
  const sent: Sent[] = [];
  const update = new StepUpdate({
    ...{ kernels, arena, optimizer, generations, reduction, statistics, samples },
    layout: trained,
    plateau: initialPlateau,
    normBlockFloats: 16,
    needsHash: () => true,
    hashScratch: arena.allocate(8 * reduction.chunks),
    send: (chunk, address, bytes) => sent.push({ chunk, bytes: arena.bytes(address, bytes).slice() }),
  });
  reduction.begin(0, 1, [{ lo: 0, hi: 1 }], (chunk) => update.chunkReduced(chunk));
  for (const [i, chunk] of order.entries()) {
    if (i === divisorAfter) update.divisorKnown(divisor);
    const { begin, end } = reduction.range(chunk);
    reduction.deliver({ lo: 0, hi: 1 }, chunk, new Uint8Array(sums.buffer, 4 * begin, 4 * (end - begin)));
  }
  update.divisorKnown(divisor);
  const { hash, gradientNorm } = update.finish();
  const next = arena.floats(generations.next.parameters, layout.totalFloats).slice();
  return { sent, hash, gradientNorm, next, chunks: reduction.chunks };
}

const chunkSizes = [16, 32, 48, 64, 128, 1024];
const inOrder = (chunkFloats: number): number[] => [...Array(Math.ceil(updated.totalFloats / chunkFloats)).keys()];
const schedule = fc.constantFrom(...chunkSizes).chain((chunkFloats) =>
  fc.record({
    chunkFloats: fc.constant(chunkFloats),
    order: fc.shuffledSubarray(inOrder(chunkFloats), { minLength: inOrder(chunkFloats).length }),
    divisorAfter: fc.nat({ max: inOrder(chunkFloats).length }),
    clipNorm: fc.constantFrom(null, 2),
  }),
);

test("buffers and parameters of t+1 are the same bits whatever order their sums come in, each chunk sent once and final", () => {
  const wanted = new Map([null, 2].map((clipNorm) => [clipNorm, step(1024, [0], 0, clipNorm).next]));
  fc.assert(
    fc.property(schedule, ({ chunkFloats, order, divisorAfter, clipNorm }) => {
      const { sent, next, hash, chunks } = step(chunkFloats, order, divisorAfter, clipNorm);
      expect(next).toEqual(wanted.get(clipNorm));
      expect(sent.map(({ chunk }) => chunk).sort((a, b) => a - b)).toEqual([...Array(chunks).keys()]);
      const whole = new Uint8Array(next.buffer, 0, 4 * updated.totalFloats);
      for (const { chunk, bytes } of sent) {
        expect(bytes).toEqual(whole.slice(4 * chunk * chunkFloats, 4 * (chunk + 1) * chunkFloats));
      }
      expect(hash).toBe(step(chunkFloats, inOrder(chunkFloats), 0, clipNorm).hash);
    }),
    { numRuns: 60 },
  );
});

test("buffers follow the step's statistics by samples, not by their weights, and what is frozen stays", () => {
  const { next } = step(32, inOrder(32), 3, null);
  const expected = start.slice();
  expect(updateRunningStatistics(statistics[0]!, { current: start, next: expected, sums }, samples, 9)).toBe(true);
  expect(next.subarray(mean, updated.totalFloats)).toEqual(expected.subarray(mean, updated.totalFloats));
  expect(next.subarray(mean, mean! + 37)).not.toEqual(start.subarray(mean, mean! + 37));
  expect(next.subarray(updated.totalFloats)).toEqual(start.subarray(updated.totalFloats));
});

test("statistics that are not finite stop the step and name the layer", () => {
  const good = sums[variance!]!;
  sums[variance!] = Number.POSITIVE_INFINITY;
  try {
    expect(() => step(64, inOrder(64), 0, null)).toThrow(/step 9: the batch statistics of bn are NaN or infinite/);
  } finally {
    sums[variance!] = good;
  }
});

/** Every trained sum multiplied, rounded to float32; put back after `work`. */
function withSums<Result>(factor: number, work: (trained: Float32Array) => Result): Result {
  const before = sums.slice();
  try {
    for (const { offset, length } of trained.entries) for (let i = offset; i < offset + length; i++) sums[i]! *= factor;
    return work(sums.subarray(0, trained.totalFloats));
  } finally {
    sums.set(before);
  }
}

test.each([
  ["small numbers, whose squares float32 has not", 1e-30, 6],
  ["ordinary numbers", 1, 6],
  ["large numbers, whose squares float32 has not", 1e30, 6],
  ["a divisor that makes them large", 1, 1e-30],
])("the norm that is told without clipping is the gradient's to 1e-6: %s", (_, factor, divisor) => {
  withSums(factor, (trainedSums) => {
    const by = Math.fround(divisor);
    const norm = Math.hypot(...[...trainedSums].map((sum) => sum / by));
    const found = step(32, inOrder(32), 0, null, by).gradientNorm;
    expect(Math.abs(found - norm)).toBeLessThan(1e-6 * norm);
    expect(step(128, inOrder(128).reverse(), 0, null, by).gradientNorm).toBe(found);
    expect(step(32, inOrder(32), 2, 2, by).gradientNorm / norm).toBeCloseTo(1, 6);
  });
});

test("a gradient of zeros has norm 0", () => {
  withSums(0, () => expect(step(32, inOrder(32), 0, null).gradientNorm).toBe(0));
});

test.each([null, 2])("a step whose quotients alone are infinite is not finite, clipped or not", (clipNorm) => {
  withSums(1e9, () =>
    expect(() => step(32, inOrder(32), 0, clipNorm, Math.fround(1e-37))).toThrow(/gradient of .* is NaN or infinite/),
  );
});

test.each([null, 2])("one NaN in the gradient stops the step and names its parameter, clipped or not", (clipNorm) => {
  const { offset } = trained.entries[1]!;
  const good = sums[offset]!;
  sums[offset] = Number.NaN;
  try {
    expect(() => step(32, inOrder(32), 0, clipNorm)).toThrow(/step 9: the gradient of b is NaN or infinite/);
  } finally {
    sums[offset] = good;
  }
});
