import { type OptimizerDefinition, optim } from "@tutti/core/optim";
import fc from "fast-check";
import { expect, test } from "vitest";
import { ArenaOptimizer } from "./arena-optimizer.ts";
import { referenceUpdate } from "./float32-reference.ts";

const awkward = [0, -0, 1e-45, -1e-45, 1e-38, -1e-39, 1e-22, 1, -1, 3e18, 3.4e38, -3.4e38].map(Math.fround);
const value = fc.oneof(
  fc.constantFrom(...awkward),
  fc.float({ min: -10, max: 10, noNaN: true }),
  fc.float({ noNaN: true, noDefaultInfinity: true }),
);

const common = {
  lr: fc.constantFrom(0, 1e-3, 0.1, 3),
  weightDecay: fc.constantFrom(0, 1e-4, 0.5),
  decay: fc.constantFrom("coupled" as const, "decoupled" as const),
  l1: fc.constantFrom(0, 0, 1e-3, 0.5),
  l2: fc.constantFrom(0, 0, 1e-2),
  maximize: fc.boolean(),
  clipNorm: fc.constantFrom(null, 0.5, 1e4),
  clipValue: fc.constantFrom(null, 1e-3, 2),
};
const velocity = { momentum: fc.constantFrom(0, 0.5, 0.9, 1), velocity: fc.constantFrom("gradient", "step") };
const epsilon = {
  epsilon: fc.constantFrom(1e-10, 1e-8, 1e-3, 1),
  epsilonPlacement: fc.constantFrom("outside", "inside", "both"),
};

const sgd = fc
  .record({ ...common, ...velocity, dampening: fc.constantFrom(0, 0.1, 1), nesterov: fc.boolean() })
  .filter((options) => !options.nesterov || (options.momentum > 0 && options.dampening === 0))
  .filter((options) => options.velocity === "gradient" || options.dampening === 0)
  .map((options) => optim.sgd(options as Parameters<typeof optim.sgd>[0]));
const adagrad = fc
  .record({ ...common, ...epsilon, lrDecay: fc.constantFrom(0, 0.3), initialAccumulator: fc.constantFrom(0, 0.1) })
  .map((options) => optim.adagrad(options as Parameters<typeof optim.adagrad>[0]));
const rmsprop = fc
  .record({ ...common, ...velocity, ...epsilon, alpha: fc.constantFrom(0, 0.9, 0.99, 1), centered: fc.boolean() })
  .map((options) => optim.rmsprop(options as Parameters<typeof optim.rmsprop>[0]));

const adadelta = fc
  .record({ ...common, rho: fc.constantFrom(0, 0.9, 0.99), epsilon: fc.constantFrom(1e-10, 1e-6, 1) })
  .map((options) => optim.adadelta(options));
const moments = { beta1: fc.constantFrom(0, 0.5, 0.9), beta2: fc.constantFrom(0, 0.9, 0.999) };
const adam = fc
  .record({
    ...{ ...common, ...moments, epsilon: fc.constantFrom(1e-10, 1e-8, 1) },
    ...{ correction: fc.constantFrom("averages" as const, "rate" as const), amsgrad: fc.boolean() },
  })
  .map((options) => optim.adam(options));
const nadam = fc
  .record({
    ...{ ...common, ...moments, epsilon: fc.constantFrom(1e-8, 1) },
    momentumDecay: fc.constantFrom(0, 0.004, 1),
  })
  .map((options) => optim.nadam(options));
const lion = fc.record({ ...common, ...moments }).map((options) => optim.lion(options));

const vector = fc.array(value, { minLength: 37, maxLength: 37 });
const gradients = fc.array(vector, { minLength: 1, maxLength: 4 });
const divisor = fc.constantFrom(1, 64, 2 ** 100, 2 ** -100, 3, 0.7);

/** As the bits of float32, with every NaN the same. */
function bits(values: Iterable<number>): number[] {
  const floats = Float32Array.from(values);
  return [...new Uint32Array(floats.buffer)].map((word, index) => (Number.isNaN(floats[index]) ? -1 : word));
}

function rateOf(definition: OptimizerDefinition, step: number): number {
  const lr = definition.lr as number;
  return definition.kind === "adagrad" ? lr / (1 + (step - 1) * definition.lrDecay) : lr;
}

for (const [kind, definitions, numRuns] of [
  ["SGD", sgd, 400],
  ["AdaGrad", adagrad, 400],
  ["RMSprop", rmsprop, 800],
  ["Adadelta", adadelta, 400],
  ["Adam", adam, 800],
  ["NAdam", nadam, 400],
  ["Lion", lion, 400],
] as const) {
  test(`${kind} equals the scalar float32 formulas bit for bit, for all options and values`, () => {
    fc.assert(
      fc.property(
        definitions as fc.Arbitrary<OptimizerDefinition>,
        vector,
        gradients,
        divisor,
        (definition, start, sums, by) => {
          const optimizer = new ArenaOptimizer(definition, start);
          const { slots } = optimizer.compiled;
          const theta = [...start];
          const states = theta.map(() =>
            Object.fromEntries(slots.map(({ name, initialValue }) => [name, initialValue])),
          );
          for (const [index, sum] of sums.entries()) {
            const step = index + 1;
            const norm = globalNorm(sum, by);
            const clipScale = definition.clipNorm === null ? 1 : Math.min(1, definition.clipNorm / (norm + 1e-6));
            if (!Number.isFinite(norm) && definition.clipNorm !== null) return;
            const update = { step, rate: rateOf(definition, step), divisor: by, clipScale };
            if (!theta.every(Number.isFinite)) return; // 0·∞: what an infinite parameter becomes is not defined
            for (let i = 0; i < theta.length; i++) {
              theta[i] = referenceUpdate(definition, theta[i]!, sum[i]!, states[i]!, update);
            }
            optimizer.update(sum, by);
            const [parameters, ...vectors] = optimizer.state;
            expect(bits(parameters!.slice(0, theta.length))).toEqual(bits(theta));
            for (const [slot, { name }] of slots.entries()) {
              const found = vectors[slot]!.slice(0, theta.length);
              expect(bits(found), name).toEqual(bits(states.map((state) => state[name]!)));
            }
          }
        },
      ),
      { seed: 4, numRuns },
    );
  });
}

/** In the kernel's order, so that the clip scale has the same bits; the sum itself is tested with the kernels. */
function globalNorm(sum: readonly number[], by: number): number {
  const lanes = new Float64Array(8);
  for (const [index, one] of sum.entries()) lanes[index % 8]! += Math.fround(one / Math.fround(by)) ** 2;
  const [a, b, c, d, e, g, h, i] = [...lanes] as [number, number, number, number, number, number, number, number];
  return Math.sqrt(a + c + (e + h) + (b + d + (g + i)));
}

const anyDefinition = fc.oneof(sgd, adagrad, rmsprop, adadelta, adam, nadam, lion) as fc.Arbitrary<OptimizerDefinition>;
const longVector = fc.array(value, { minLength: 150, maxLength: 150 });

test("ranges cut anywhere on 16 floats give the bits of one pass", () => {
  const cuts = fc.subarray([16, 32, 48, 64, 80, 96, 112, 128, 144]);
  fc.assert(
    fc.property(anyDefinition, longVector, longVector, cuts, (definition, start, sum, someCuts) => {
      const small = sum.map((one) => Math.fround(one / 1e30)); // keeps the norm finite
      const whole = new ArenaOptimizer(definition, start);
      const pieces = new ArenaOptimizer(definition, start);
      for (let step = 0; step < 2; step++) {
        whole.update(small, 8);
        pieces.update(small, 8, someCuts);
      }
      expect(pieces.state.map(bits)).toEqual(whole.state.map(bits));
    }),
    { seed: 5, numRuns: 200 },
  );
});

test("padding stays zero bit for bit in the parameters, and the same everywhere in the slots", () => {
  fc.assert(
    fc.property(
      anyDefinition,
      fc.array(fc.float({ min: -5, max: 5, noNaN: true }), { minLength: 3, maxLength: 3 }),
      (definition, start) => {
        const optimizer = new ArenaOptimizer(definition, start);
        for (let step = 0; step < 3; step++) optimizer.update(start, 3);
        const [parameters, ...slots] = optimizer.state;
        expect(bits(parameters!.slice(3))).toEqual(new Array(13).fill(0));
        for (const [slot, { initialValue }] of optimizer.compiled.slots.entries()) {
          expect(bits(slots[slot]!.slice(3))).toEqual(bits(new Array(13).fill(initialValue)));
        }
      },
    ),
    { seed: 6, numRuns: 300 },
  );
});

test("the variance of an almost constant gradient, which rounds below zero, counts as zero", () => {
  const definition = optim.rmsprop({ centered: true, alpha: 0.7, epsilon: 1e-10 });
  const gradient = Array.from({ length: 64 }, (_, index) => Math.fround(1 + index / 77));
  const optimizer = new ArenaOptimizer(definition, gradient);
  const theta = [...gradient];
  const states = gradient.map(() => ({ squareAverage: 0, gradientAverage: 0 }));
  let belowZero = 0;
  for (let step = 1; step <= 100; step++) {
    optimizer.update(gradient);
    for (const [i, g] of gradient.entries()) {
      const update = { step, rate: 0.01, divisor: 1, clipScale: 1 };
      theta[i] = referenceUpdate(definition, theta[i]!, g, states[i]!, update);
      const { squareAverage, gradientAverage } = states[i]!;
      if (squareAverage < Math.fround(gradientAverage * gradientAverage)) belowZero++;
    }
  }
  expect(belowZero).toBeGreaterThan(100);
  expect(theta.every(Number.isFinite)).toBe(true);
  expect(bits(optimizer.parameters)).toEqual(bits(theta));
});

test("resuming from the state continues bit for bit, also between the first and the second update", () => {
  fc.assert(
    fc.property(anyDefinition, vector, fc.integer({ min: 1, max: 3 }), (definition, start, resumeAfter) => {
      const gradient = (step: number) => start.map((one, index) => Math.fround((one / 1e30 + index) * (step - 2.5)));
      const whole = new ArenaOptimizer(definition, start);
      const first = new ArenaOptimizer(definition, start);
      for (let step = 1; step <= resumeAfter; step++) first.update(gradient(step), 2);
      const resumed = new ArenaOptimizer(definition, start);
      resumed.restore(first.state, first.step);
      for (let step = 1; step <= 4; step++) whole.update(gradient(step), 2);
      for (let step = resumeAfter + 1; step <= 4; step++) resumed.update(gradient(step), 2);
      expect(resumed.state.map(bits)).toEqual(whole.state.map(bits));
    }),
    { seed: 7, numRuns: 200 },
  );
});
