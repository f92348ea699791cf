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
