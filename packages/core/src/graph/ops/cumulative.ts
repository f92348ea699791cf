import type { Op } from "../op.ts";
import { normalizeAxis } from "../shape.ts";
import { arithmetic, expectDType, inputType, integerAttribute, refuseBatchAxis } from "../type-rules.ts";

// y_i = Σ x_j over j <= i (j < i when exclusive; from the other end in reverse): dx = the same sums of dy from the other end
export const cumSum: Op = {
  type: "CumSum",
  label: "cumsum",
  domain: "",
  arity: [1, 1],
  attributes: { exclusive: "int", reverse: "int", axis: "intInput" },
  infer(inputs, attributes, at) {
    const type = inputType(inputs, 0, at);
    expectDType(type.dtype, arithmetic, at);
    const axis = normalizeAxis(integerAttribute(attributes, "axis", at), type.shape.length, at);
    refuseBatchAxis(type.shape, axis, at, "adds up along", "add up along another axis");
    return [type];
  },
  gradient: ({ attributes, dy }) => [
    dy[0]!.graph.apply(cumSum, [dy[0]!], { ...attributes, reverse: attributes.reverse === 1 ? 0 : 1 })[0]!,
  ],
};
