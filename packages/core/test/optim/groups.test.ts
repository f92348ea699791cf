import { compileOptimizer, type OptimizerDefinition, optim } from "@tutti/core/optim";
import { flatLayout } from "@tutti/core/step";
import fc from "fast-check";
import { expect, test } from "vitest";
import { matchesPattern } from "../../src/optim/name-pattern.ts";
import { ArenaOptimizer } from "./arena-optimizer.ts";

const shapes = {
  "encoder.0.weight": [6, 5],
  "encoder.0.bias": [6],
  "norm.weight": [33],
  "head.weight": [40, 3],
  "head.bias": [40],
};
const total = 30 + 6 + 33 + 120 + 40;
const values = (seed: number) =>
  Array.from({ length: total }, (_, i) => Math.fround(((i * 7919 + seed * 31) % 97) / 48 - 1));

function piece(vector: Float32Array, name: keyof typeof shapes): number[] {
  let at = 0;
  for (const [other, shape] of Object.entries(shapes)) {
    const length = shape.reduce((product, dim) => product * dim, 1);
    if (other === name) return [...vector.subarray(at, at + length)];
    at += length;
  }
  throw new Error(name);
}

function trained(definition: OptimizerDefinition, cuts: readonly number[] = []): ArenaOptimizer {
  const optimizer = new ArenaOptimizer(definition, values(0), shapes);
  for (let step = 1; step <= 5; step++) optimizer.update(values(step), 3, cuts);
  return optimizer;
}

test("a parameter goes as the whole run would with the options of its first group", () => {
  const lr = optim.schedule.step({ initial: 0.1, everySteps: 2 });
  const weights = { beta1: 0.5, epsilon: 1e-3, decay: "decoupled" } as const;
  const groups = [
    { match: ["*.bias", "norm.*"], weightDecay: 0, lrScale: 3 },
    { match: "head.*", ...weights },
    { match: "*.weight", lr: 0.02, l1: 0.01, maximize: true },
  ];
  const found = trained(optim.adam({ lr, weightDecay: 0.1, groups })).parameters;
  const first = trained(optim.adam({ lr: optim.schedule.scaled(lr, 3) })).parameters;
  const second = trained(optim.adam({ lr, weightDecay: 0.1, ...weights })).parameters;
  const third = trained(optim.adam({ lr: 0.02, weightDecay: 0.1, l1: 0.01, maximize: true })).parameters;
  const wanted = {
    ...{ "encoder.0.bias": first, "norm.weight": first, "head.bias": first },
    ...{ "head.weight": second, "encoder.0.weight": third },
  };
  for (const [name, vector] of Object.entries(wanted)) {
    expect(piece(found, name as keyof typeof shapes), name).toEqual(piece(vector, name as keyof typeof shapes));
  }
  for (const [one, other] of [
    [first, second],
    [second, third],
    [first, third],
  ] as const) {
    expect([...one]).not.toEqual([...other]);
  }
});

test("the rate of a run is the one of parameters without a group", () => {
  const definition = optim.sgd({ lr: 0.1, groups: [{ match: "*", lr: 0.5 }] });
  expect(compileOptimizer(definition, flatLayout([{ name: "p", shape: [3] }])).learningRate(1)).toBe(Math.fround(0.1));
});

test("a definition with groups, average and limits is plain data that survives JSON", () => {
  const definition = optim.adam({
    groups: [{ match: "head.*", lrScale: 0.1, maxNorm: 2 }],
    ema: { decay: 0.99 },
    reduceOnPlateau: optim.reduceOnPlateau({ metric: "accuracy", mode: "max" }),
    lr: optim.schedule.warmup({ steps: 9, rate: optim.schedule.cosineRestarts({ peak: 1, periodSteps: 5 }) }),
  });
  expect(definition.ema).toEqual({ decay: 0.99, warmUp: false });
  expect(JSON.parse(JSON.stringify(definition))).toEqual(definition);
  expect(() =>
    compileOptimizer(JSON.parse(JSON.stringify(definition)), flatLayout([{ name: "head.w", shape: [2, 2] }])),
  ).not.toThrow();
});

const refusals: [groups: unknown, message: string][] = [
  [{}, "optim.sgd: groups must be a list of groups, found {}."],
  [[{ lr: 1 }], 'optim.sgd: groups[0] must be an object such as { match: "*.bias", weightDecay: 0 }, found {"lr":1}.'],
  [
    [{ match: [] }],
    'optim.sgd: groups[0]: match must be a pattern of parameter names such as "*.bias", or a list of them, found [].',
  ],
  [[{ match: "a" }, { match: "b", lr: -1 }], "optim.sgd: groups[1]: lr must be a number of at least 0, found -1."],
  [[{ match: "a", lr: 1, lrScale: 2 }], "optim.sgd: groups[0]: lrScale must be left out where lr is given, found 2."],
  [[{ match: "a", clipNorm: 1 }], "optim.sgd: groups[0] has no option clipNorm; its options are lr,"],
  [[{ match: "a", nesterov: true }], "optim.sgd: groups[0]: momentum must be above 0 with nesterov, found 0."],
];

test.each(refusals)("refuses groups %j", (groups, message) => {
  expect(() => optim.sgd({ lr: 1, groups: groups as [] })).toThrow(message);
});

test("patterns without a parameter, and groups with other state, are refused by name", () => {
  const layout = flatLayout(Object.entries(shapes).map(([name, shape]) => ({ name, shape })));
  const compile = (...groups: { match: string | string[]; momentum?: number; lr?: number }[]) =>
    compileOptimizer(optim.sgd({ lr: 1, groups }), layout);
  expect(() => compile({ match: ["*.bias", "*.biases"] })).toThrow(
    'optimizer: groups[0]: match must name trained parameters, found "*.biases", which matches none of encoder.0.weight, encoder.0.bias, norm.weight, head.weight, head.bias',
  );
  expect(() => compile({ match: "*" }, { match: "head.*" })).toThrow(
    'optimizer: groups[1]: match must name trained parameters that no earlier group has, found "head.*", which matches none of 0 parameters',
  );
  expect(() => compile({ match: "*", momentum: 0.9 })).toThrow(
    "optimizer: groups[0] must keep the same state as the other parameters, none, found momentum from 0;",
  );
});

test("a pattern matches what the regular expression with .* and . does", () => {
  const letter = fc.constantFrom("a", "b", ".", "[");
  const pattern = fc.array(fc.oneof(letter, fc.constantFrom("*", "?")), { maxLength: 8 });
  let matches = 0;
  fc.assert(
    fc.property(pattern, fc.array(letter, { maxLength: 8 }), (parts, letters) => {
      const source = parts.map((part) =>
        part === "*" ? ".*" : part === "?" ? "." : `[${part === "[" ? "\\[" : part}]`,
      );
      const wanted = new RegExp(`^${source.join("")}$`).test(letters.join(""));
      if (wanted) matches++;
      expect(matchesPattern(parts.join(""), letters.join(""))).toBe(wanted);
    }),
    { seed: 8, numRuns: 5000 },
  );
  expect(matches).toBeGreaterThan(300);
});

const longCuts = [16, 32, 48, 80, 96, 112, 128, 160, 176, 192, 208, 240];

const limited = optim.adam({
  lr: 0.1,
  ema: { decay: 0.9, warmUp: true },
  groups: [
    { match: "head.weight", maxNorm: 0.4, weightDecay: 0.1 },
    { match: "*.bias", lrScale: 2 },
    { match: "encoder.*", maxNorm: 0.7 },
  ],
});

test("limits, averages and groups have the same bits however the layout is cut and in whatever order", () => {
  const whole = trained(limited);
  expect(whole.compiled.needsGlobalNorm).toBe(true);
  fc.assert(
    fc.property(fc.subarray(longCuts), (cuts) => {
      expect(trained(limited, cuts).state).toEqual(whole.state);
      expect(trained(limited, cuts.toReversed()).state).toEqual(whole.state);
    }),
    { seed: 9, numRuns: 60 },
  );
  const head = piece(whole.parameters, "head.weight");
  const norms = Array.from({ length: 40 }, (_, row) => Math.hypot(...head.slice(row * 3, row * 3 + 3)));
  expect(Math.max(...norms)).toBeLessThanOrEqual(0.4 * (1 + 1e-6));
  expect(norms.filter((norm) => norm > 0.4 * (1 - 1e-6)).length).toBeGreaterThan(5);
  expect(Math.min(...norms)).toBeLessThan(0.39);
  for (const vector of whole.state) {
    for (const i of [30, 31, 38, 47, 81, 95, 216, 223, 264, 271]) expect(vector[i]).toBe(0);
  }
});

test("a range is final as soon as its own update has been called", () => {
  const optimizer = trained(limited);
  const before = trained(limited);
  optimizer.update(values(6), 3);
  for (let begin = 0; begin < optimizer.totalFloats; begin += 16) {
    for (const end of [begin + 16, begin + 48, begin + 80].filter((end) => end <= optimizer.totalFloats)) {
      const found = before.updatedRange(values(6), 3, begin, end);
      expect(found, `[${begin}, ${end})`).toEqual(optimizer.state.map((vector) => vector.slice(begin, end)));
    }
  }
});

test("a limit is refused where no parameter has rows", () => {
  const layout = flatLayout([{ name: "bias", shape: [3] }]);
  expect(() => compileOptimizer(optim.sgd({ lr: 1, maxNorm: 2 }), layout)).toThrow(
    "optimizer: maxNorm limits the rows of parameters of rank 2 or more, found none among bias",
  );
});

test("the average begins at the first update's weights and then follows its formula bit for bit", () => {
  const f = Math.fround;
  for (const warmUp of [false, true]) {
    const start = values(0).slice(0, 20);
    const optimizer = new ArenaOptimizer(optim.sgd({ lr: 0.1, momentum: 0.9, ema: { decay: 0.7, warmUp } }), start);
    expect(optimizer.compiled.slots.map(({ name }) => name)).toEqual(["momentum", "average"]);
    expect(optimizer.compiled.averageSlot).toBe(1);
    let average = start;
    for (let step = 1; step <= 30; step++) {
      optimizer.update(values(step).slice(0, 20));
      const decay = step === 1 ? 0 : warmUp ? Math.min(0.7, (1 + step) / (10 + step)) : 0.7;
      average = average.map((old, i) => f(f(f(decay) * old) + f(f(1 - decay) * optimizer.parameters[i]!)));
      expect([...optimizer.slot(1)]).toEqual(average);
    }
  }
  expect(() => optim.sgd({ lr: 1, ema: { decay: 1 } })).toThrow(
    "optim.sgd: ema: decay must be a number of at least 0 and below 1",
  );
});
