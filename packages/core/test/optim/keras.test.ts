import { type OptimizerDefinition, optim } from "@tutti/core/optim";
import { randomStream } from "@tutti/core/random";
import { expect, test } from "vitest";
import { ArenaOptimizer } from "./arena-optimizer.ts";

// Keras 3's update rules (keras.optimizers.SGD, Adagrad, RMSprop: weight_decay, momentum, nesterov, centered) in float64.
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
for (const { name, definition, rule } of [...cases]) {
  cases.push({
    name: `${name}, weight decay`,
    definition: { ...definition, decay: "decoupled", weightDecay: 0.02 },
    rule,
    decay: 0.02,
  });
}

const width = 32;

test.each(cases)("$name follows Keras's formulas over 50 steps", ({ definition, rule, decay = 0 }) => {
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
      expect(error, `step ${step}`).toBeLessThanOrEqual(2e-6);
    }
  }
});

test("the textbook's placement adds epsilon on both sides of the root", () => {
  const definition = optim.adagrad({ lr: 1, epsilon: 0.25, epsilonPlacement: "both" });
  const optimizer = new ArenaOptimizer(definition, [0]);
  optimizer.update([2]);
  expect(optimizer.parameters[0]).toBeCloseTo(-2 / (Math.sqrt(4.25) + 0.25), 6);
});
