import { type DType, isBatch, normalizeAxis, shapeToString, type Tensor } from "../graph/index.ts";
import { unsupported } from "./errors.ts";
import { typed } from "./known.ts";
import type { NodeView } from "./node-view.ts";

/** Operators that are others put together, by their definitions in ONNX's Operators.md. */
export const compositions: ReadonlyMap<string, (view: NodeView) => Tensor> = new Map([
  ["CastLike", (view: NodeView) => view.tensor(0).cast(view.value(1).dtype)],
  ["EyeLike", eyeLike],
  ["Hardmax", hardmax],
  ["MeanVarianceNormalization", meanVarianceNormalization],
  ["Shrink", shrink],
]);

/** 1 at the first largest entry along the axis, else 0. */
function hardmax(view: NodeView): Tensor {
  const x = view.tensor(0);
  const axis = normalizeAxis(view.number("axis", -1), x.rank, view.at);
  const depth = x.shape[axis]!;
  if (isBatch(depth))
    throw unsupported(view.node, `looks along the samples of ${shapeToString(x.shape)}`, "look along another axis");
  const hot = x.argmax(axis).oneHot(depth, x.dtype);
  const last = x.rank - 1;
  return axis === last ? hot : hot.transpose(x.shape.map((_, i) => (i === axis ? last : i < axis ? i : i - 1)));
}

/** (x − mean)/√variance over `axes`, with ONNX's 1e-9 below. */
function meanVarianceNormalization(view: NodeView): Tensor {
  const x = view.tensor(0);
  const axes = view.ints("axes") ?? [0, 2, 3];
  const centred = x.sub(x.mean(axes, true));
  const variance = x.mul(x).mean(axes, true).sub(x.mean(axes, true).pow(2));
  return centred.div(variance.sqrt().add(1e-9));
}

/** x + bias below −lambd, x − bias above lambd, 0 between. */
function shrink(view: NodeView): Tensor {
  const x = view.tensor(0);
  const [bias, threshold] = [view.number("bias", 0), view.number("lambd", 0.5)];
  const zero = x.graph.scalar(0, x.dtype);
  return x.less(-threshold).where(x.add(bias), x.greater(threshold).where(x.sub(bias), zero));
}

function eyeLike(view: NodeView): Tensor {
  const { dtype, shape } = view.value(0);
  const [rows, columns] = shape;
  if (shape.length !== 2 || typeof rows !== "number" || typeof columns !== "number") {
    throw unsupported(view.node, `makes a diagonal of ${shapeToString(shape)}`, "expected a matrix of known size");
  }
  const offset = view.number("k", 0);
  const result: DType = view.dtype("dtype", dtype);
  const ones = Array.from({ length: rows * columns }, (_, i) =>
    (i % columns) - Math.floor(i / columns) === offset ? 1 : 0,
  );
  return view.graph.constant(typed(result, ones), [rows, columns], result);
}
