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
import { zeroLike } from "./elementwise-rules.ts";

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
  "reduce the other axes only (the mean over samples is taken outside of the step function: drop .mean() or .sum()), or wrap what may see the whole shard in nn.perShard";

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

/** Spreads a result of the forward pass like its gradient. */
function kept(context: GradientContext): Tensor {
  const { x, axes } = undo(context);
  return keepReduced(context.outputs[0]!, axes, x.shape);
}

// dx = dy·(product of the others): y/x without zeros; with a single one, the others' product there and 0 elsewhere
export const reduceProd = reduction("ReduceProd", "prod", ["float32", "int32", "int64"], (context) => {
  const { x, axes, spread } = undo(context);
  const isZero = x.equal(0);
  const [zero, one] = [zeroLike(x), x.graph.scalar(1, x.dtype)];
  const factors = isZero.where(one, x);
  const product = factors.prod(axes, true);
  const zeros = isZero.cast(x.dtype).sum(axes, true);
  const whereZero = isZero.where(zeros.equal(1).where(product, zero), zero);
  return [spread.mul(zeros.equal(0).where(product.div(factors), whereZero))];
});

// dx = dy·sign x
export const reduceL1 = reduction("ReduceL1", "l1", ["float32", "int32"], (context) => {
  const { x, spread } = undo(context);
  return [spread.mul(x.sign())];
});

// dx = dy·x/y, and 0 where y = 0
export const reduceL2 = reduction("ReduceL2", "l2", ["float32"], (context) => {
  const { x, spread } = undo(context);
  const y = kept(context);
  const slope = y.equal(0).where(zeroLike(y), spread.div(y));
  return [x.mul(slope)];
});

// dx = 2·dy·x
export const reduceSumSquare = reduction("ReduceSumSquare", "sumSquare", arithmetic, (context) => {
  const { x, spread } = undo(context);
  return [spread.mul(2).mul(x)];
});

// y = log Σ x: dx = dy/Σ x, repeated along the reduced axes
export const reduceLogSum = reduction("ReduceLogSum", "logSum", ["float32"], (context) => {
  const { x, axes, spread } = undo(context);
  return [spread.div(x.sum(axes, true)).expand(x.shape)];
});

// y = log Σ exp x: dx = dy·exp(x - y)
export const reduceLogSumExp = reduction("ReduceLogSumExp", "logSumExp", floats, (context) => {
  const { x, spread } = undo(context);
  return [spread.mul(x.sub(kept(context)).exp())];
});

export const reduceMax = reduction("ReduceMax", "max", arithmetic, shareAmongTies);
export const reduceMin = reduction("ReduceMin", "min", arithmetic, shareAmongTies);

// Integer result: no gradient.
function search(type: string, label: string): Op {
  return {
    type,
    label,
    domain: "",
    arity: [1, 1],
    attributes: { axis: "int", keepdims: "int", select_last_index: "int" },
    infer(inputs, attributes, at) {
      const { dtype, shape } = inputType(inputs, 0, at);
      expectDType(dtype, arithmetic, at);
      const axis = normalizeAxis(integerAttribute(attributes, "axis", at, 0), shape.length, at);
      refuseBatchAxis(shape, axis, at, "searches", "search another axis");
      return [{ dtype: "int64", shape: reduce([axis], shape, integerAttribute(attributes, "keepdims", at, 1) === 1) }];
    },
    gradient: "zero",
  };
}

export const argMax = search("ArgMax", "argmax");
export const argMin = search("ArgMin", "argmin");
