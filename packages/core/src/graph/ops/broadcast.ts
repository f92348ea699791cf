import { type Shape, sameShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

/**
 * The adjoint of broadcasting: sums `gradient` over the axes along which an operand of shape `shape` was repeated.
 * Known sizes only.
 */
export function sumTo(gradient: Tensor, shape: Shape): Tensor {
  if (sameShape(gradient.shape, shape)) return gradient;
  const extra = gradient.rank - shape.length;
  const axes: number[] = [];
  for (const [axis, dim] of gradient.shape.entries()) {
    if (axis < extra || (shape[axis - extra] === 1 && dim !== 1)) axes.push(axis);
  }
  const onlyLeading = axes.length === extra;
  return onlyLeading ? gradient.sum(axes) : gradient.sum(axes, true).reshape(shape);
}

/** Puts the axes back that a reduction dropped, with size 1. */
export function keepReduced(tensor: Tensor, axes: readonly number[], shape: Shape): Tensor {
  const kept = shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
  return sameShape(tensor.shape, kept) ? tensor : tensor.reshape(kept);
}
