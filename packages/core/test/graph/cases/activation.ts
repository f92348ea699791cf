import type { Attributes } from "@tutti/core/graph";
import { type CaseTable, type GradientCase, of, type Reference } from "../gradient-case.ts";

const each =
  (formula: (x: number) => number): Reference =>
  ([x]) =>
    x!.map(formula);

function checked(formula: (x: number) => number, attributes: Attributes = {}, name = "matrix"): GradientCase {
  return { name, inputs: [of(3, 5)], attributes, oracle: each(formula) };
}

/** Its Taylor series, which converges to the last bit for |x| < 3. */
export function erf(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; n < 80; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

const within = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high);
const softplus = (x: number): number => Math.log1p(Math.exp(x));
const elu = (x: number, alpha: number): number => (x > 0 ? x : alpha * Math.expm1(x));
const geluTanh = (x: number): number => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
const prelu: Reference = ([x, slope]) =>
  x!.map((value, i) => (value > 0 ? value : value * slope![slope!.length === 1 ? 0 : i % slope!.length]!));

export const activation: CaseTable = {
  ":Erf": [checked(erf)],
  ":LeakyRelu": [
    checked((x) => (x > 0 ? x : 0.01 * x)),
    checked((x) => (x > 0 ? x : 0.3 * x), { alpha: 0.3 }, "alpha"),
  ],
  ":ThresholdedRelu": [checked((x) => (x > 1 ? x : 0)), checked((x) => (x > -0.5 ? x : 0), { alpha: -0.5 }, "alpha")],
  ":Elu": [checked((x) => elu(x, 1)), checked((x) => elu(x, 2.5), { alpha: 2.5 }, "alpha")],
  ":Celu": [
    checked((x) => elu(x, 1)),
    checked((x) => (x > 0 ? x : 2.5 * Math.expm1(x / 2.5)), { alpha: 2.5 }, "alpha"),
  ],
  ":Selu": [
    checked((x) => 1.0507010221481323 * elu(x, 1.6732631921768188)),
    checked((x) => 1.5 * elu(x, 0.5), { alpha: 0.5, gamma: 1.5 }, "alpha and gamma"),
  ],
  ":PRelu": [
    { name: "one slope", inputs: [of(3, 4), of(1)], oracle: prelu },
    { name: "a slope for each column", inputs: [of(3, 4), of(4)], oracle: prelu },
    { name: "equal shapes", inputs: [of(3, 4), of(3, 4)], oracle: prelu },
  ],
  ":Softplus": [checked(softplus)],
  ":Softsign": [checked((x) => x / (1 + Math.abs(x)))],
  ":HardSigmoid": [
    checked((x) => within(0.2 * x + 0.5, 0, 1)),
    checked((x) => within(0.75 * x + 0.25, 0, 1), { alpha: 0.75, beta: 0.25 }, "alpha and beta, both ends reached"),
  ],
  ":HardSwish": [
    {
      ...checked((x) => x * within(x / 6 + 0.5, 0, 1)),
      inputs: [{ shape: [7], values: [-4, -3.5, -2, 0.5, 2, 2.5, 4] }],
    },
  ],
  ":Gelu": [
    checked((x) => (x / 2) * (1 + erf(x / Math.SQRT2))),
    checked(geluTanh, { approximate: "tanh" }, "approximated by tanh"),
  ],
  ":Mish": [checked((x) => x * Math.tanh(softplus(x)))],
};
