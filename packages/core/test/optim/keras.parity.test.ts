import { type OptimizerDefinition, optim } from "@tutti/core/optim";
import { randomStream } from "@tutti/core/random";
import { expect, test } from "vitest";
import { ParitySection } from "../parity-section.ts";
import { ArenaOptimizer } from "./arena-optimizer.ts";

const section = new ParitySection("Keras's formulas and Lion");

// Keras 3's update rules (keras.optimizers: SGD, Adagrad, RMSprop, Adam, Nadam, Adadelta, Lion, with their options) in float64.
type State = Record<string, number>;
type Rule = (theta: number, g: number, state: State) => number;

function kerasSgd(lr: number, momentum: number, nesterov: boolean): Rule {
  return (theta, g, state) => {
    const m = momentum * (state.m ?? 0) - lr * g;
    state.m = m;
    return theta + (nesterov ? momentum * m - lr * g : m);
  };
}

function kerasAdagrad(lr: number, initial: number, epsilon: number): Rule {
  return (theta, g, state) => {
    state.a = (state.a ?? initial) + g * g;
    return theta - (lr * g) / Math.sqrt(state.a + epsilon);
  };
}

function kerasRmsprop(lr: number, rho: number, momentum: number, centered: boolean, epsilon: number): Rule {
  return (theta, g, state) => {
    state.v = rho * (state.v ?? 0) + (1 - rho) * g * g;
    if (centered) state.g = rho * (state.g ?? 0) + (1 - rho) * g;
    const increment = (lr * g) / Math.sqrt(state.v - (centered ? state.g! ** 2 : 0) + epsilon);
    state.m = momentum * (state.m ?? 0) + increment;
    return theta - (momentum > 0 ? state.m : increment);
  };
}

function kerasAdam(lr: number, beta1: number, beta2: number, amsgrad: boolean, epsilon: number): Rule {
  return (theta, g, state) => {
    state.t = (state.t ?? 0) + 1;
    state.m = (state.m ?? 0) + (g - (state.m ?? 0)) * (1 - beta1);
    state.v = (state.v ?? 0) + (g * g - (state.v ?? 0)) * (1 - beta2);
    state.x = amsgrad ? Math.max(state.x ?? 0, state.v) : state.v;
    const alpha = (lr * Math.sqrt(1 - beta2 ** state.t)) / (1 - beta1 ** state.t);
    return theta - (state.m * alpha) / (Math.sqrt(state.x) + epsilon);
  };
}

function kerasNadam(lr: number, beta1: number, beta2: number, epsilon: number): Rule {
  return (theta, g, state) => {
    state.t = (state.t ?? 0) + 1;
    const u = beta1 * (1 - 0.5 * 0.96 ** state.t);
    const uNext = beta1 * (1 - 0.5 * 0.96 ** (state.t + 1));
    state.product = (state.product ?? 1) * u;
    state.m = (state.m ?? 0) + (g - (state.m ?? 0)) * (1 - beta1);
    state.v = (state.v ?? 0) + (g * g - (state.v ?? 0)) * (1 - beta2);
    const mHat = (uNext * state.m) / (1 - state.product * uNext) + ((1 - u) * g) / (1 - state.product);
    const vHat = state.v / (1 - beta2 ** state.t);
    return theta - (mHat * lr) / (Math.sqrt(vHat) + epsilon);
  };
}

function kerasAdadelta(lr: number, rho: number, epsilon: number): Rule {
  return (theta, g, state) => {
    state.v = rho * (state.v ?? 0) + (1 - rho) * g * g;
    const delta = (Math.sqrt((state.d ?? 0) + epsilon) * g) / Math.sqrt(state.v + epsilon);
    state.d = rho * (state.d ?? 0) + (1 - rho) * delta * delta;
    return theta - lr * delta;
  };
}

/** Chen et al. 2023, algorithm 2; the same in Keras. */
function lion(lr: number, beta1: number, beta2: number): Rule {
  return (theta, g, state) => {
    const m = state.m ?? 0;
    state.m = beta2 * m + (1 - beta2) * g;
    return theta - lr * Math.sign(beta1 * m + (1 - beta1) * g);
  };
}

const keras = { velocity: "step", decay: "decoupled" } as const;
const inside = { epsilon: 1e-7, epsilonPlacement: "inside" } as const;
const cases: { name: string; definition: OptimizerDefinition; rule: Rule; decay?: number }[] = [];
for (const nesterov of [false, true]) {
  const definition = optim.sgd({ lr: 0.05, momentum: 0.9, nesterov, ...keras });
  cases.push({ name: `SGD, nesterov ${nesterov}`, definition, rule: kerasSgd(0.05, 0.9, nesterov) });
}
cases.push({
  name: "Adagrad",
  definition: optim.adagrad({ lr: 0.1, initialAccumulator: 0.1, ...inside }),
  rule: kerasAdagrad(0.1, 0.1, 1e-7),
});
for (const centered of [false, true]) {
  for (const momentum of [0, 0.9]) {
    cases.push({
      name: `RMSprop, centered ${centered}, momentum ${momentum}`,
      definition: optim.rmsprop({ lr: 0.01, alpha: 0.9, momentum, centered, ...inside, ...keras }),
      rule: kerasRmsprop(0.01, 0.9, momentum, centered, 1e-7),
    });
  }
}
const keras3 = { decay: "decoupled", epsilon: 1e-7 } as const;
for (const amsgrad of [false, true]) {
  const definition = optim.adam({ lr: 0.01, amsgrad, correction: "rate", ...keras3 });
  cases.push({ name: `Adam, amsgrad ${amsgrad}`, definition, rule: kerasAdam(0.01, 0.9, 0.999, amsgrad, 1e-7) });
}
cases.push({
  name: "Nadam",
  definition: optim.nadam({ lr: 0.01, momentumDecay: 1, ...keras3 }),
  rule: kerasNadam(0.01, 0.9, 0.999, 1e-7),
});
cases.push({
  name: "Adadelta",
  definition: optim.adadelta({ lr: 0.5, rho: 0.95, ...keras3 }),
  rule: kerasAdadelta(0.5, 0.95, 1e-7),
});
cases.push({
  name: "Lion",
  definition: optim.lion({ lr: 0.01, beta1: 0.9, beta2: 0.99 }),
  rule: lion(0.01, 0.9, 0.99),
});
for (const { name, definition, rule } of [...cases]) {
  cases.push({
    name: `${name}, weight decay`,
    definition: { ...definition, decay: "decoupled", weightDecay: 0.02 },
    rule,
    decay: 0.02,
  });
}

const width = 32;

test.each(cases)("$name follows Keras's formulas over 50 steps", ({ name, definition, rule, decay = 0 }) => {
  const values = new Float32Array(51 * width);
  randomStream(9, "keras").fillNormal(values, 0.2, 1);
  const start = [...values.slice(0, width)];
  const optimizer = new ArenaOptimizer(definition, start);
  const lr = definition.lr as number;
  const theta = [...start];
  const states: State[] = theta.map(() => ({}));
  for (let step = 1; step <= 50; step++) {
    const gradient = values.subarray(step * width, (step + 1) * width);
    optimizer.update(
      gradient.map((one) => one * 8),
      8,
    );
    for (let i = 0; i < width; i++) theta[i] = rule(theta[i]! - lr * decay * theta[i]!, gradient[i]!, states[i]!);
    for (let i = 0; i < width; i++) {
      const error = Math.abs(optimizer.parameters[i]! - theta[i]!) / Math.max(1, Math.abs(theta[i]!));
      // Decay multiplies by 1 − lr·λ rounded to float32, as PyTorch: up to 3e-8 a step, always to the same side.
      section.compare(name, "parameters", error, decay === 0 ? 2e-6 : 3e-6);
    }
  }
});

test("the textbook's placement adds epsilon on both sides of the root", () => {
  const definition = optim.adagrad({ lr: 1, epsilon: 0.25, epsilonPlacement: "both" });
  const optimizer = new ArenaOptimizer(definition, [0]);
  optimizer.update([2]);
  expect(optimizer.parameters[0]).toBeCloseTo(-2 / (Math.sqrt(4.25) + 0.25), 6);
});

test("docs/parity.md lists what was compared here", () => section.expectListed());
