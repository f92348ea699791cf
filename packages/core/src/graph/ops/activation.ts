import { TuttiError } from "../../errors/index.ts";
import type { Attributes } from "../node.ts";
import type { Op } from "../op.ts";
import { broadcastShapes, sameShape, shapeToString } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { expectDType, inputType, numberAttribute, sameAsInput, sharedDType } from "../type-rules.ts";
import { sumTo } from "./broadcast.ts";
import { oneMinus, pointwise, unary, zeroLike } from "./elementwise-rules.ts";

const single = ["float32"] as const;
const alphaOnly = { alpha: "float" } as const;

function alphaOf(attributes: Attributes, fallback: number): number {
  return numberAttribute(attributes, "alpha", fallback);
}

// dx = dy·2/√π·exp(-x²)
export const erf = pointwise(
  "Erf",
  "erf",
  single,
  unary((x, _y, dy) => dy.mul(gaussian(x, -1).mul(2 / Math.sqrt(Math.PI)))),
);

/** exp(rate·x²) */
function gaussian(x: Tensor, rate: number): Tensor {
  return x.mul(x).mul(rate).exp();
}

// dx = x > 0 ? dy : α·dy
export const leakyRelu = pointwise(
  "LeakyRelu",
  "leakyRelu",
  single,
  unary((x, _y, dy, attributes) => x.greater(0).where(dy, dy.mul(alphaOf(attributes, 0.01)))),
  alphaOnly,
);

// dx = x > α ? dy : 0
export const thresholdedRelu = pointwise(
  "ThresholdedRelu",
  "thresholdedRelu",
  single,
  unary((x, _y, dy, attributes) => x.lessOrEqual(alphaOf(attributes, 1)).where(zeroLike(dy), dy)),
  alphaOnly,
);

/** x <= 0 ? dy·below·exp(rate·x) : above·dy — exp(x) anew, since y + α loses what is small; selected, so it may overflow. */
function exponentialBelow(x: Tensor, dy: Tensor, below: number, rate: number, above: number): Tensor {
  const inside = rate === 1 ? x : x.mul(rate);
  const slope = below === 1 ? inside.exp() : inside.exp().mul(below);
  return x.lessOrEqual(0).where(dy.mul(slope), above === 1 ? dy : dy.mul(above));
}

// y = x > 0 ? x : α(eˣ - 1): dx = x <= 0 ? dy·α·eˣ : dy
export const elu = pointwise(
  "Elu",
  "elu",
  single,
  unary((x, _y, dy, attributes) => exponentialBelow(x, dy, alphaOf(attributes, 1), 1, 1)),
  alphaOnly,
);

// y = x > 0 ? x : α(exp(x/α) - 1): dx = x <= 0 ? dy·exp(x/α) : dy
export const celu = pointwise(
  "Celu",
  "celu",
  single,
  unary((x, _y, dy, attributes) => exponentialBelow(x, dy, 1, 1 / alphaOf(attributes, 1), 1)),
  alphaOnly,
);

// y = γ(x > 0 ? x : α(eˣ - 1)): dx = x <= 0 ? dy·γα·eˣ : γ·dy
export const selu = pointwise(
  "Selu",
  "selu",
  single,
  unary((x, _y, dy, attributes) => {
    const alpha = alphaOf(attributes, 1.6732631921768188);
    const gamma = numberAttribute(attributes, "gamma", 1.0507010221481323);
    return exponentialBelow(x, dy, alpha * gamma, 1, gamma);
  }),
  { alpha: "float", gamma: "float" },
);

// y = x < 0 ? slope·x : x, the slope broadcast: dx = x > 0 ? dy : slope·dy, dslope = x > 0 ? 0 : x·dy
export const prelu: Op = {
  type: "PRelu",
  label: "prelu",
  domain: "",
  arity: [2, 2],
  attributes: {},
  infer(inputs, _attributes, at) {
    const dtype = sharedDType(inputs, at);
    expectDType(dtype, single, at, "operand");
    const [x, slope] = [inputType(inputs, 0, at).shape, inputType(inputs, 1, at).shape];
    if (!sameShape(broadcastShapes([x, slope], at), x)) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `${at}: the slope ${shapeToString(slope)} does not broadcast to ${shapeToString(x)}`,
      );
    }
    return [{ dtype, shape: x }];
  },
  gradient({ inputs, dy, needs }) {
    const [x, slope, gradient] = [inputs[0]!, inputs[1]!, dy[0]!];
    const above = x.greater(0);
    return [
      needs[0] ? above.where(gradient, gradient.mul(slope)) : null,
      needs[1] ? sumTo(above.where(zeroLike(gradient), gradient.mul(x)), slope.shape) : null,
    ];
  },
};

// y = log(1 + eˣ): dx = dy/(1 + e⁻ˣ), written out: the engine's sigmoid is only right to 1e-8 far below 0
export const softplus = pointwise(
  "Softplus",
  "softplus",
  single,
  unary((x, _y, dy) => dy.div(x.neg().exp().add(1))),
);

// y = x/(1 + |x|): dx = dy/(1 + |x|)²
export const softsign = pointwise(
  "Softsign",
  "softsign",
  single,
  unary((x, _y, dy) => {
    const size = x.abs().add(1);
    return dy.div(size).div(size);
  }),
);

// y = αx + β within [0, 1]: dx = 0 < y < 1 ? α·dy : 0
export const hardSigmoid = pointwise(
  "HardSigmoid",
  "hardSigmoid",
  single,
  unary((_x, y, dy, attributes) =>
    y
      .greater(0)
      .and(y.less(1))
      .where(dy.mul(alphaOf(attributes, 0.2)), zeroLike(dy)),
  ),
  { alpha: "float", beta: "float" },
);

// y = x·(x/6 + 1/2 within [0, 1]): dx = x < -3 ? 0 : x <= 3 ? dy·(x/3 + 1/2) : dy
export const hardSwish = pointwise(
  "HardSwish",
  "hardSwish",
  single,
  unary((x, _y, dy) => {
    const inside = dy.mul(x.div(3).add(0.5));
    return x.less(-3).where(zeroLike(dy), x.lessOrEqual(3).where(inside, dy));
  }),
);

// y = x·Φ(x): dx = dy·(Φ(x) + x·φ(x)), Φ(x) = (1 + erf(x/√2))/2, φ(x) = exp(-x²/2)/√(2π)
// with approximate "tanh": y = x·(1 + t)/2, t = tanh u, u = √(2/π)·(x + c·x³), c = 0.044715:
//   dx = dy·((1 + t)/2 + x·(1 - t²)/2·√(2/π)·(1 + 3c·x²))
export const gelu: Op = {
  type: "Gelu",
  label: "gelu",
  since: 20,
  domain: "",
  arity: [1, 1],
  attributes: { approximate: "string" },
  infer(inputs, attributes, at) {
    const approximate = attributes.approximate ?? "none";
    if (approximate !== "none" && approximate !== "tanh") {
      throw new TuttiError("SHAPE_MISMATCH", `${at}: approximate is ${String(approximate)}, expected none or tanh`);
    }
    return sameAsInput(single)(inputs, attributes, at);
  },
  lower([x], attributes) {
    const half = x!.mul(0.5);
    return [half.mul((attributes.approximate === "tanh" ? geluTanh(x!) : x!.mul(Math.SQRT1_2).erf()).add(1))];
  },
  gradient: unary((x, _y, dy, attributes) =>
    dy.mul(attributes.approximate === "tanh" ? geluTanhSlope(x) : geluErfSlope(x)),
  ),
};

function geluErfSlope(x: Tensor): Tensor {
  const below = x.mul(Math.SQRT1_2).erf().add(1).mul(0.5);
  return below.add(x.mul(gaussian(x, -0.5)).mul(1 / Math.sqrt(2 * Math.PI)));
}

const cubic = 0.044715;
const geluScale = Math.sqrt(2 / Math.PI);

function geluTanh(x: Tensor): Tensor {
  return x
    .mul(x)
    .mul(cubic * geluScale)
    .add(geluScale)
    .mul(x)
    .tanh();
}

function geluTanhSlope(x: Tensor): Tensor {
  const t = geluTanh(x);
  const slope = x
    .mul(x)
    .mul(3 * cubic * geluScale)
    .add(geluScale);
  const rest = oneMinus(t.mul(t)).mul(x).mul(slope);
  return t.add(1).add(rest).mul(0.5);
}

// y = x·t, t = tanh(softplus x): dx = dy·(t + x·sigmoid x·(1 - t²)). With w = eˣ, n = w(w + 2), d = n + 2: t = n/d and
// dx = dy·(n·d + 4x·w(w + 1))/d², which cancels nowhere; from x = 20 on it is 1 in float32, before w overflows.
export const mish = pointwise(
  "Mish",
  "mish",
  single,
  unary((x, _y, dy) => {
    const inside = x.clip(null, 20);
    const w = inside.exp();
    const n = w.mul(w.add(2));
    const d = n.add(2);
    const top = n.mul(d).add(w.mul(w.add(1)).mul(inside).mul(4));
    return dy.mul(top.div(d.mul(d)));
  }),
);
