import type { AttributeKind, GradientContext, Op } from "../op.ts";
import type { DType } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { sameAsInput } from "../type-rules.ts";
import { sumTo } from "./broadcast.ts";

/** The gradient of an operator of two broadcast operands, from the operands, the result and its gradient. */
export function binary(
  rule: (a: Tensor, b: Tensor, y: Tensor, dy: Tensor, needs: readonly boolean[]) => readonly (Tensor | null)[],
): Op["gradient"] {
  return ({ inputs, outputs, dy, needs }) => {
    const [a, b] = [inputs[0]!, inputs[1]!];
    const [da, db] = rule(a, b, outputs[0]!, dy[0]!, needs);
    return [needs[0] && da ? sumTo(da, a.shape) : null, needs[1] && db ? sumTo(db, b.shape) : null];
  };
}

/** The gradient of an operator of one operand. */
export function unary(
  rule: (x: Tensor, y: Tensor, dy: Tensor, attributes: GradientContext["attributes"]) => Tensor,
): Op["gradient"] {
  return ({ inputs, outputs, dy, attributes }) => [rule(inputs[0]!, outputs[0]!, dy[0]!, attributes)];
}

/** A function of one number, applied to each entry. */
export function pointwise(
  type: string,
  label: string,
  allowed: readonly DType[],
  gradient: Op["gradient"],
  attributes: Readonly<Record<string, AttributeKind>> = {},
): Op {
  return { type, label, domain: "", arity: [1, 1], attributes, infer: sameAsInput(allowed), gradient };
}

export function zeroLike(tensor: Tensor): Tensor {
  return tensor.graph.scalar(0, tensor.dtype);
}

export function oneMinus(tensor: Tensor): Tensor {
  return tensor.graph.scalar(1, tensor.dtype).sub(tensor);
}
