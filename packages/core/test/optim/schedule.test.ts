import { compileOptimizer, optim } from "@tutti/core/optim";
import { expect, test } from "vitest";
import { ArenaOptimizer } from "./arena-optimizer.ts";

const layout = { totalFloats: 16, entries: [{ name: "p", shape: [16], offset: 0, length: 16 }] };

test("warm-up climbs linearly to the peak, then half a cosine falls to the final rate and stays there", () => {
  const lr = optim.schedule.warmupCosine({ peak: 0.2, warmupSteps: 10, totalSteps: 110, final: 0.02 });
  const { learningRate } = {
    learningRate: (step: number) => compileOptimizer(optim.sgd({ lr }), layout).learningRate(step),
  };
  for (let step = 1; step <= 10; step++) expect(learningRate(step)).toBe(Math.fround((0.2 * step) / 10));
  for (let step = 11; step < 110; step++) {
    const wanted = 0.02 + (0.18 * (1 + Math.cos((Math.PI * (step - 10)) / 100))) / 2;
    expect(Math.abs(learningRate(step) - wanted)).toBeLessThan(wanted * 6.1e-8);
  }
  for (const step of [110, 111, 1e9]) expect(learningRate(step)).toBe(Math.fround(0.02));
});

test("without warm-up the first update is already on the cosine, a constant schedule is a number", () => {
  const cosine = optim.schedule.warmupCosine({ peak: 1, warmupSteps: 0, totalSteps: 4 });
  const rates = (lr: Parameters<typeof optim.sgd>[0]["lr"]) =>
    [1, 2, 3, 4].map((step) => compileOptimizer(optim.sgd({ lr }), layout).learningRate(step));
  const wanted = [0.5 + Math.SQRT1_2 / 2, 0.5, 0.5 - Math.SQRT1_2 / 2, 0];
  for (const [index, rate] of rates(cosine).entries()) expect(rate).toBeCloseTo(wanted[index]!, 7);
  expect(rates(optim.schedule.constant(0.1))).toEqual(rates(0.1));
});

test("AdaGrad's decay of the rate multiplies a schedule", () => {
  const lr = optim.schedule.warmupCosine({ peak: 1, warmupSteps: 4, totalSteps: 8 });
  const { compiled } = new ArenaOptimizer(optim.adagrad({ lr, lrDecay: 0.5 }), [0]);
  expect(compiled.learningRate(3)).toBe(Math.fround(0.75 / 2));
});

test("the scheduled rate is the one that is applied", () => {
  const lr = optim.schedule.warmupCosine({ peak: 1, warmupSteps: 4, totalSteps: 8 });
  const optimizer = new ArenaOptimizer(optim.sgd({ lr }), [0]);
  const moved = [1, 2, 3, 4].map(() => {
    const before = optimizer.parameters[0]!;
    optimizer.update([1]);
    return before - optimizer.parameters[0]!;
  });
  expect(moved).toEqual([0.25, 0.5, 0.75, 1]);
});

test("a warm-up of n updates climbs by equal steps to the first rate of what follows", () => {
  const lr = optim.schedule.warmup({
    steps: 3,
    rate: optim.schedule.step({ initial: 0.8, everySteps: 2, factor: 0.5 }),
  });
  const compiled = compileOptimizer(optim.sgd({ lr }), layout);
  const rates = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((step) => compiled.learningRate(step));
  const wanted = [0.2, 0.4, 0.6, 0.8, 0.8, 0.4, 0.4, 0.2, 0.2];
  for (const [index, rate] of rates.entries()) expect(rate).toBeCloseTo(wanted[index]!, 7);
});

test("an exponential schedule over n updates falls to its factor in them, a scaled one is a multiple", () => {
  const halved = optim.schedule.exponential({ initial: 0.5, factor: 0.01, everySteps: 4 });
  const rates = (lr: typeof halved) =>
    [1, 3, 5, 9].map((step) => compileOptimizer(optim.sgd({ lr }), layout).learningRate(step));
  for (const [index, wanted] of [0.5, 0.05, 0.005, 0.00005].entries()) {
    expect(Math.abs(rates(halved)[index]! - wanted)).toBeLessThan(wanted * 6.1e-8);
  }
  expect(rates(optim.schedule.scaled(halved, 4))).toEqual(rates(halved).map((rate) => rate * 4));
});

test("schedules end at their last rate and stay there", () => {
  const { polynomial, cosine, oneCycle } = optim.schedule;
  const ends = [
    polynomial({ initial: 1, final: 0.25, totalSteps: 10, power: 2 }),
    cosine({ initial: 1, final: 0.25, totalSteps: 10 }),
    oneCycle({ peak: 1, totalSteps: 10, initialDivisor: 2, finalDivisor: 2 }),
  ];
  for (const lr of ends) {
    const compiled = compileOptimizer(optim.sgd({ lr }), layout);
    expect(compiled.learningRate(9)).toBeGreaterThan(0.25);
    for (const step of [11, 12, 1e9]) expect(compiled.learningRate(step)).toBe(0.25);
  }
});

const { schedule } = optim;
const refusals: [make: () => unknown, message: string][] = [
  [() => schedule.step({ initial: 1, everySteps: 0 }), "schedule.step: everySteps must be an integer of at least 1"],
  [
    () => schedule.multiStep({ initial: 1, milestones: [5, 5] }),
    "schedule.multiStep: milestones must be increasing integers of at least 1, found [5,5].",
  ],
  [() => schedule.multiStep({ initial: 1, milestones: [0] }), "schedule.multiStep: milestones must be increasing"],
  [() => schedule.exponential({ initial: 1, factor: 0 }), "schedule.exponential: factor must be a number above 0"],
  [
    () => schedule.oneCycle({ peak: 1, totalSteps: 10, warmupShare: 0.5, threePhase: true }),
    "schedule.oneCycle: warmupShare must be below a half with threePhase, found 0.5.",
  ],
  [
    () => schedule.oneCycle({ peak: 1, totalSteps: 3, warmupShare: 0.3 }),
    "schedule.oneCycle: warmupShare must be more than one update, found 0.3.",
  ],
  [
    () => schedule.warmup({ steps: 3, rate: JSON.parse('{"kind":"cosine"}') }),
    "schedule.warmup: rate: initial must be a number of at least 0, found undefined.",
  ],
  [
    () => schedule.sequence({ parts: [{ steps: 0, rate: 1 }], last: 1 }),
    "schedule.sequence: parts[0]: steps must be an integer of at least 1, found 0.",
  ],
  [
    () => schedule.cosineRestarts({ peak: 1, periodSteps: 5, periodFactor: 1.5 }),
    "schedule.cosineRestarts: periodFactor must be an integer of at least 1, found 1.5.",
  ],
];

test.each(refusals)("refuses a schedule that makes no sense: %s", (make, message) => {
  expect(make).toThrow(message);
});
