import { TuttiError } from "../../errors/index.ts";
import type { Attributes } from "../node.ts";
import type { GradientContext, Op } from "../op.ts";
import { type DType, isBatch, normalizeAxis, type Shape, shapeToString } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import {
  arithmetic,
  expectDType,
  floats,
  inputType,
  integerAttribute,
  integersAttribute,
  refuseBatchAxis,
} from "../type-rules.ts";
import { keepReduced } from "./broadcast.ts";

/** The reduced axes in order; all of them when none are named (ONNX, with noop_with_empty_axes at its default). */
function reducedAxes(shape: Shape, attributes: Attributes, at: string): readonly number[] {
  const axes = integersAttribute(attributes, "axes", at);
  if (axes === undefined || axes.length === 0) return shape.map((_, axis) => axis);
  const normal = [...new Set(axes.map((axis) => normalizeAxis(axis, shape.length, at)))].sort((a, b) => a - b);
  if (normal.length !== axes.length)
    throw new TuttiError("SHAPE_MISMATCH", `${at}: axes [${axes.join(",")}] name an axis twice`);
  return normal;
}

function reduce(axes: readonly number[], shape: Shape, keepDims: boolean): Shape {
  return keepDims
    ? shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim))
    : shape.filter((_, axis) => !axes.includes(axis));
}

const remedy =
  "reduce the other axes only (the mean over samples is taken outside of the step function: drop .mean() or .sum())";

function reduction(type: string, label: string, allowed: readonly DType[], gradient: Op["gradient"]): Op {
  return {
    type,
    label,
    domain: "",
    arity: [1, 1],
    attributes: { axes: "intsInput", keepdims: "int" },
    infer(inputs, attributes, at) {
      const { dtype, shape } = inputType(inputs, 0, at);
      expectDType(dtype, allowed, at);
      const axes = reducedAxes(shape, attributes, at);
      for (const axis of axes) refuseBatchAxis(shape, axis, at, "reduces", remedy);
      return [{ dtype, shape: reduce(axes, shape, integerAttribute(attributes, "keepdims", at, 1) === 1) }];
    },
    gradient,
  };
}

/** x, its gradient's shape with the reduced axes of size 1, and the number of entries that each result is made of. */
function undo({ inputs, attributes, dy }: GradientContext): {
  x: Tensor;
  axes: readonly number[];
  spread: Tensor;
  count: number;
} {
  const x = inputs[0]!;
  const axes = reducedAxes(x.shape, attributes, "gradient");
  const count = axes.reduce((product, axis) => {
    const dim = x.shape[axis]!;
    if (isBatch(dim))
      throw new TuttiError("INTERNAL", `gradient of a reduction of ${shapeToString(x.shape)} before N is known`);
    return product * dim;
  }, 1);
  return { x, axes, spread: keepReduced(dy[0]!, axes, x.shape), count };
}

// dx = dy, repeated along the reduced axes
export const reduceSum = reduction("ReduceSum", "sum", arithmetic, (context) => {
  const { x, spread } = undo(context);
  return [spread.expand(x.shape)];
});

// dx = dy/n, repeated along the reduced axes
export const reduceMean = reduction("ReduceMean", "mean", floats, (context) => {
  const { x, spread, count } = undo(context);
  return [spread.div(count).expand(x.shape)];
});

// dx = x is an extreme ? dy/(number of extremes) : 0 — evenly among ties, as PyTorch's amax and amin
function shareAmongTies(context: GradientContext): readonly Tensor[] {
  const { x, axes, spread } = undo(context);
  const extreme = keepReduced(context.outputs[0]!, axes, x.shape);
  const chosen = x.equal(extreme);
  const share = spread.div(chosen.cast(x.dtype).sum(axes, true));
  return [chosen.where(share, x.graph.scalar(0, x.dtype))];
}

export const reduceMax = reduction("ReduceMax", "max", arithmetic, shareAmongTies);
export const reduceMin = reduction("ReduceMin", "min", arithmetic, shareAmongTies);

// Integer result: no gradient.
export const argMax: Op = {
  type: "ArgMax",
  label: "argmax",
  domain: "",
  arity: [1, 1],
  attributes: { axis: "int", keepdims: "int", select_last_index: "int" },
  infer(inputs, attributes, at) {
    const { dtype, shape } = inputType(inputs, 0, at);
    expectDType(dtype, ["float32", "float64", "int32"], at);
    const axis = normalizeAxis(integerAttribute(attributes, "axis", at, 0), shape.length, at);
    refuseBatchAxis(shape, axis, at, "searches", "search another axis");
    return [{ dtype: "int64", shape: reduce([axis], shape, integerAttribute(attributes, "keepdims", at, 1) === 1) }];
  },
  gradient: "zero",
};
