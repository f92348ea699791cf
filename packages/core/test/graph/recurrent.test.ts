import { Graph, operators } from "@tutti/core/graph";
import { expect, test } from "vitest";
import { spread } from "./gradient-case.ts";
import { runGraph, toNumbers } from "./run-graph.ts";
import "./to-be-allclose.ts";

const [time, samples, features, hidden] = [4, 2, 3, 2] as const;
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** One step by the formulas of the ONNX operators, for one sample: W and R hold a row per gate and unit. */
type Step = (x: readonly number[], h: readonly number[], c: number[]) => number[];

interface Weights {
  readonly w: readonly number[];
  readonly r: readonly number[];
  readonly b: readonly number[];
}

/** x·Wᵀ + Wb and h·Rᵀ + Rb of a gate and unit. */
function parts({ w, r, b }: Weights, gates: number, x: readonly number[], h: readonly number[]) {
  const input = (gate: number, unit: number): number => {
    const row = gate * hidden + unit;
    return x.reduce((sum, value, i) => sum + value * w[row * features + i]!, b[row]!);
  };
  const state = (gate: number, unit: number, from = h): number => {
    const row = gate * hidden + unit;
    return from.reduce((sum, value, i) => sum + value * r[row * hidden + i]!, b[gates * hidden + row]!);
  };
  return { input, state };
}

const units = Array.from({ length: hidden }, (_, unit) => unit);

const steps: Record<string, { gates: number; attributes: Record<string, number>; make: (weights: Weights) => Step }> = {
  ":RNN": {
    gates: 1,
    attributes: {},
    make: (weights) => (x, h) => {
      const { input, state } = parts(weights, 1, x, h);
      return units.map((unit) => Math.tanh(input(0, unit) + state(0, unit)));
    },
  },
  ":GRU": {
    gates: 3,
    attributes: {},
    make: (weights) => (x, h) => {
      const { input, state } = parts(weights, 3, x, h);
      const reset = units.map((unit) => sigmoid(input(1, unit) + state(1, unit)) * h[unit]!);
      return units.map((unit) => {
        const update = sigmoid(input(0, unit) + state(0, unit));
        return (1 - update) * Math.tanh(input(2, unit) + state(2, unit, reset)) + update * h[unit]!;
      });
    },
  },
  ":GRU, linear before reset": {
    gates: 3,
    attributes: { linear_before_reset: 1 },
    make: (weights) => (x, h) => {
      const { input, state } = parts(weights, 3, x, h);
      return units.map((unit) => {
        const update = sigmoid(input(0, unit) + state(0, unit));
        const reset = sigmoid(input(1, unit) + state(1, unit));
        return (1 - update) * Math.tanh(input(2, unit) + reset * state(2, unit)) + update * h[unit]!;
      });
    },
  },
  ":LSTM": {
    gates: 4,
    attributes: {},
    make: (weights) => (x, h, c) => {
      const { input, state } = parts(weights, 4, x, h);
      const gate = (number: number, unit: number): number => input(number, unit) + state(number, unit);
      return units.map((unit) => {
        c[unit] = sigmoid(gate(2, unit)) * c[unit]! + sigmoid(gate(0, unit)) * Math.tanh(gate(3, unit));
        return sigmoid(gate(1, unit)) * Math.tanh(c[unit]!);
      });
    },
  },
};

for (const [name, { gates, attributes, make }] of Object.entries(steps)) {
  for (const direction of ["forward", "reverse"]) {
    test(`${name} ${direction} computes ONNX's formulas, written in float64`, async () => {
      const graph = new Graph();
      const shapes = {
        x: [time, samples, features],
        w: [1, gates * hidden, features],
        r: [1, gates * hidden, hidden],
        b: [1, 2 * gates * hidden],
      };
      const numbers = Object.fromEntries(
        Object.entries(shapes).map(([key, shape], i) => [
          key,
          spread(
            shape.reduce((n, size) => n * size, 1),
            i * 0.37,
          ),
        ]),
      );
      const inputs = Object.entries(shapes).map(([key, shape]) =>
        graph.input("parameter", key, { dtype: "float32", shape }),
      );
      const operator = operators.get(name.split(",")[0]!)!;
      const [y, last] = graph.apply(operator, inputs, { hidden_size: hidden, direction, ...attributes });
      const feeds = Object.fromEntries(
        Object.entries(numbers).map(([key, values]) => [key, Float32Array.from(values)]),
      );
      const found = await runGraph(graph, { y: y!, last: last! }, feeds);

      const step = make({ w: numbers.w!, r: numbers.r!, b: numbers.b! });
      const expected = Array.from({ length: time * samples * hidden }, () => 0);
      const final: number[] = [];
      for (let sample = 0; sample < samples; sample++) {
        let h = units.map(() => 0);
        const c = units.map(() => 0);
        for (let i = 0; i < time; i++) {
          const t = direction === "forward" ? i : time - 1 - i;
          const from = (t * samples + sample) * features;
          h = step(numbers.x!.slice(from, from + features), h, c);
          for (const unit of units) expected[(t * samples + sample) * hidden + unit] = h[unit]!;
        }
        final.push(...h);
      }
      expect(toNumbers(found.y!.values)).toBeAllclose(expected, { rtol: 1e-5, atol: 1e-6 });
      expect(toNumbers(found.last!.values)).toBeAllclose(final, { rtol: 1e-5, atol: 1e-6 });
    });
  }
}
