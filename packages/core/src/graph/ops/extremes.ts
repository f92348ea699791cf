import { TuttiError } from "../../errors/index.ts";
import type { GradientContext, Op } from "../op.ts";
import { type DType, shapeToString } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { arithmetic, broadcasting, expectDType, floats, inputType, sharedDType } from "../type-rules.ts";
import { sumTo } from "./broadcast.ts";
import { zeroLike } from "./elementwise-rules.ts";

/** An operator of any number of broadcast operands. */
function variadic(type: string, label: string, allowed: readonly DType[], gradient: Op["gradient"]): Op {
  const arity = [1, Number.MAX_SAFE_INTEGER] as const;
  return { type, label, domain: "", arity, attributes: {}, infer: broadcasting(allowed), gradient };
}

// dx_i = dy
export const sum = variadic("Sum", "sum", floats, ({ inputs, dy, needs }) =>
  inputs.map((x, i) => (needs[i] ? sumTo(dy[0]!, x!.shape) : null)),
);

// dx_i = dy/n
export const mean = variadic("Mean", "mean", ["float32"], ({ inputs, dy, needs }) => {
  const share = dy[0]!.div(inputs.length);
  return inputs.map((x, i) => (needs[i] ? sumTo(share, x!.shape) : null));
});

// dx_i = x_i is an extreme ? dy/(number of extremes) : 0 — evenly among ties, as PyTorch's maximum and amax
function shareAmongTies(
  loses: (x: Tensor, y: Tensor) => Tensor,
): (context: GradientContext) => readonly (Tensor | null)[] {
  return ({ inputs, outputs, dy, needs }) => {
    const gradient = dy[0]!;
    const [a, b] = [inputs[0]!, inputs[1]];
    if (b === null || b === undefined) return [gradient];
    const zero = zeroLike(gradient);
    const part = (lost: Tensor, share: Tensor, i: number): Tensor | null =>
      needs[i] ? sumTo(lost.where(zero, share), inputs[i]!.shape) : null;
    if (inputs.length === 2) {
      const share = a.equal(b).where(gradient.mul(0.5), gradient);
      return [part(loses(a, b), share, 0), part(loses(b, a), share, 1)];
    }
    const lost = inputs.map((x) => loses(x!, outputs[0]!));
    const winners = lost.map((each) => each.not().cast(gradient.dtype)).reduce((total, each) => total.add(each));
    const share = gradient.div(winners);
    return lost.map((each, i) => part(each, share, i));
  };
}

export const maximum = variadic(
  "Max",
  "maximum",
  arithmetic,
  shareAmongTies((x, y) => x.less(y)),
);

export const minimum = variadic(
  "Min",
  "minimum",
  arithmetic,
  shareAmongTies((x, y) => x.greater(y)),
);

// y = min(max(x, low), high): dx = low <= x <= high ? dy : 0
// dlow = Σ (x < low and low < high ? dy : 0), dhigh = Σ (x > high or high < low ? dy : 0) — as PyTorch's clamp
export const clip: Op = {
  type: "Clip",
  label: "clip",
  domain: "",
  arity: [1, 3],
  attributes: {},
  infer(inputs, _attributes, at) {
    const dtype = sharedDType(inputs, at);
    expectDType(dtype, arithmetic, at);
    for (const bound of inputs.slice(1)) {
      if (bound !== null && bound.shape.length > 0) {
        throw new TuttiError("SHAPE_MISMATCH", `${at}: a bound has shape ${shapeToString(bound.shape)}, expected []`);
      }
    }
    return [{ dtype, shape: inputType(inputs, 0, at).shape }];
  },
  gradient({ inputs, dy, needs }) {
    const [x, low, high] = [inputs[0]!, inputs[1] ?? null, inputs[2] ?? null];
    const gradient = dy[0]!;
    const zero = zeroLike(gradient);
    const inside = both(low && x.greaterOrEqual(low), high && x.lessOrEqual(high));
    const below = low && both(x.less(low), high && low.less(high));
    const above = high && (low === null ? x.greater(high) : x.greater(high).or(high.less(low)));
    return [
      needs[0] ? (inside?.where(gradient, zero) ?? gradient) : null,
      needs[1] ? (below?.where(gradient, zero).sum() ?? null) : null,
      needs[2] ? (above?.where(gradient, zero).sum() ?? null) : null,
    ];
  },
};

function both(a: Tensor | null, b: Tensor | null): Tensor | null {
  return a === null ? b : b === null ? a : a.and(b);
}
