import { TuttiError } from "../errors/index.ts";
import type { Op } from "./op.ts";
import { where } from "./ops/index.ts";
import { sameShape, shapeToString } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/**
 * `value`, whose gradient is yours: it counts as a function of `x` alone, with d loss/d x = backward(d loss/d value).
 * `value` may come from operators without a gradient; nothing is passed through them. A straight-through estimator is
 * `customGradient(x, x.round(), (dy) => dy)`.
 *
 * @param value of the shape and dtype of `x`.
 * @param backward takes and returns a tensor of that shape; called when gradients are built, with sizes known. What it
 *   uses besides its argument must be made from it.
 * @throws TuttiError SHAPE_MISMATCH when shapes or dtypes differ.
 */
export function customGradient(x: Tensor, value: Tensor, backward: (dy: Tensor) => Tensor): Tensor {
  if (x.dtype !== value.dtype || !sameShape(x.shape, value.shape)) {
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `${x.graph.at("customGradient")}: the value is ${value.dtype}${shapeToString(value.shape)}, expected ${x.dtype}${shapeToString(x.shape)} as of x`,
    );
  }
  const { graph } = x;
  // A choice that always takes the value: in the file it is ONNX's Where, here it depends on x only.
  const chosen: Op = { ...where, label: "customGradient", gradient: ({ dy }) => [null, null, backward(dy[0]!)] };
  const always = graph.constant(Uint8Array.of(1), [], "bool");
  return graph.apply(chosen, [always, value, x])[0]!;
}
