import { createKernels } from "@tutti/core/kernels";
import { Arena } from "@tutti/core/memory";
import { compileOptimizer, type OptimizerDefinition, optim, type SgdOptions } from "@tutti/core/optim";
import { expect, test } from "vitest";

const layout = { totalFloats: 32, entries: [{ name: "p", shape: [20], offset: 0, length: 20 }] };

test("a definition is plain data with PyTorch's defaults, and survives JSON", () => {
  const definitions = [
    optim.sgd({ lr: 0.1 }),
    optim.adagrad(),
    optim.rmsprop({ lr: optim.schedule.warmupCosine({ peak: 1e-3, warmupSteps: 100, totalSteps: 1000 }) }),
  ];
  const shared = {
    ...{ weightDecay: 0, decay: "coupled", l1: 0, l2: 0, maximize: false, clipValue: null, maxNorm: null },
    ...{ clipNorm: null, ema: null, reduceOnPlateau: null, groups: [] },
  };
  const velocity = { momentum: 0, velocity: "gradient" };
  expect(definitions).toEqual([
    { kind: "sgd", lr: 0.1, ...shared, ...velocity, dampening: 0, nesterov: false },
    {
      ...{ kind: "adagrad", lr: 0.01, ...shared },
      lrDecay: 0,
      initialAccumulator: 0,
      epsilon: 1e-10,
      epsilonPlacement: "outside",
    },
    {
      ...{ kind: "rmsprop", ...shared, ...velocity, alpha: 0.99, epsilon: 1e-8, epsilonPlacement: "outside" },
      centered: false,
      lr: { kind: "warmupCosine", peak: 1e-3, warmupSteps: 100, totalSteps: 1000, final: 0 },
    },
  ]);
  expect(JSON.parse(JSON.stringify(definitions))).toEqual(definitions);
});

test("the state of each optimizer is named, with what it starts from", () => {
  const slots = (definition: OptimizerDefinition) =>
    compileOptimizer(definition, layout).slots.map(({ name, initialValue }) => [name, initialValue]);
  expect(slots(optim.sgd({ lr: 1 }))).toEqual([]);
  expect(slots(optim.sgd({ lr: 1, momentum: 0.9 }))).toEqual([["momentum", 0]]);
  expect(slots(optim.adagrad({ initialAccumulator: 0.1 }))).toEqual([["squareSum", Math.fround(0.1)]]);
  expect(slots(optim.rmsprop({ centered: true, momentum: 0.5 }))).toEqual([
    ["squareAverage", 0],
    ["gradientAverage", 0],
    ["momentum", 0],
  ]);
});

const refusals: [options: object, message: string][] = [
  [{ lr: -0.1 }, "optim.sgd: lr must be a number of at least 0, found -0.1."],
  [{ lr: "0.1" }, 'optim.sgd: lr must be a number of at least 0, found "0.1".'],
  [{ lr: 1e39 }, "optim.sgd: lr must be a number of at least 0, found 1e+39."],
  [{ lr: Number.NaN }, "optim.sgd: lr must be a number of at least 0, found NaN."],
  [{}, "optim.sgd: lr must be a number of at least 0, found undefined."],
  [{ lr: 1, momentum: 1.5 }, "optim.sgd: momentum must be a number of 0 to 1, found 1.5."],
  [{ lr: 1, nesterov: true }, "optim.sgd: momentum must be above 0 with nesterov, found 0."],
  [
    { lr: 1, nesterov: true, momentum: 0.9, dampening: 0.1 },
    "optim.sgd: dampening must be 0 with nesterov, found 0.1.",
  ],
  [{ lr: 1, velocity: "step", dampening: 0.1 }, 'optim.sgd: dampening must be 0 with velocity "step", found 0.1.'],
  [{ lr: 1, velocity: "keras" }, 'optim.sgd: velocity must be "gradient" or "step", found "keras".'],
  [{ lr: 1, maximize: 1 }, "optim.sgd: maximize must be true or false, found 1."],
  [{ lr: 1, clipNorm: 0 }, "optim.sgd: clipNorm must be a number above 0 (as a float32), or null for none, found 0."],
  [{ lr: 1, weight_decay: 0.1 }, "optim.sgd has no option weight_decay; its options are lr,"],
  [{ lr: { kind: "steps" } }, "optim.sgd: lr must be a schedule made by optim.schedule (constant, warmupCosine, step,"],
  [{ lr: { kind: "step", initial: 1 } }, "optim.sgd: lr: everySteps must be an integer of at least 1"],
  [{ lr: { kind: "constant", value: -1 } }, "optim.sgd: lr: value must be a number of at least 0, found -1."],
];

test.each(refusals)("refuses %o in a run file and in a compiled definition", (options, message) => {
  expect(() => optim.sgd(options as SgdOptions)).toThrow(message);
  const edited = Object.assign(optim.sgd({ lr: 1 }), { lr: undefined }, options);
  expect(() => compileOptimizer(edited, layout)).toThrow(message.replace("optim.sgd", "optimizer"));
});

test("epsilon must be positive as a float32, schedules need a warm-up shorter than the whole", () => {
  for (const epsilon of [0, 1e-46, -1, null]) {
    expect(() => optim.rmsprop({ epsilon: epsilon as number })).toThrow(
      `optim.rmsprop: epsilon must be a number above 0 (as a float32), found ${epsilon}.`,
    );
  }
  expect(() => optim.schedule.warmupCosine({ peak: 1, warmupSteps: 10, totalSteps: 10 })).toThrow(
    "optim.schedule.warmupCosine: warmupSteps must be less than totalSteps, 10, found 10.",
  );
  expect(() => compileOptimizer(JSON.parse('{"kind":"adamax"}'), layout)).toThrow(
    'optimizer must be made by optim.sgd, adagrad, rmsprop, adadelta, adam, adamW, nadam or lion, found {"kind":"adamax"}.',
  );
});

test("the clip scale is PyTorch's coefficient, and 1 without clipping", () => {
  const clipped = compileOptimizer(optim.sgd({ lr: 1, clipNorm: 2 }), layout);
  expect([clipped.needsGlobalNorm, clipped.clipScale(8)]).toEqual([true, Math.fround(2 / (8 + 1e-6))]);
  expect([clipped.clipScale(0), clipped.clipScale(1.9)]).toEqual([1, 1]);
  expect(() => clipped.clipScale(Number.NaN)).toThrow(/norm must be finite to clip by it, found NaN/);
  const free = compileOptimizer(optim.sgd({ lr: 1, clipValue: 2 }), layout);
  expect([free.needsGlobalNorm, free.clipScale(8)]).toEqual([false, 1]);
});

test("an update outside the layout, off 16 floats, unnumbered or with missing slots is refused", () => {
  const arena = new Arena();
  const kernels = createKernels(arena.memory);
  const optimizer = compileOptimizer(optim.sgd({ lr: 1, momentum: 0.9 }), layout);
  const at = () => arena.allocate(128);
  const generation = () => ({ parameters: at(), slots: [at()] });
  const range = {
    begin: 0,
    end: 32,
    step: 1,
    divisor: 1,
    clipScale: 1,
    from: generation(),
    to: generation(),
    gradientSum: at(),
  };
  optimizer.update(kernels, range);
  for (const bad of [{ end: 48 }, { end: 20 }, { begin: 8 }, { begin: 32, end: 16 }, { begin: -16 }]) {
    expect(() => optimizer.update(kernels, { ...range, ...bad })).toThrow(/within 32 floats in multiples of 16/);
  }
  expect(() => optimizer.update(kernels, { ...range, step: 0 })).toThrow(/numbered from 1, found 0/);
  expect(() => optimizer.update(kernels, { ...range, to: { parameters: 64, slots: [] } })).toThrow(
    /1 slots, found 1 and 0/,
  );
  expect(() => optimizer.update(kernels, { ...range, gradientSum: 100 })).toThrow(/address on 64 bytes, found 100/);
});
