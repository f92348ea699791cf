import type { Op } from "../op.ts";
import { normalizeAxis } from "../shape.ts";
import { expectDType, floats, inputType, integerAttribute, refuseBatchAxis } from "../type-rules.ts";

const infer: Op["infer"] = (inputs, attributes, at) => {
  const type = inputType(inputs, 0, at);
  expectDType(type.dtype, floats, at);
  const axis = normalizeAxis(integerAttribute(attributes, "axis", at, -1), type.shape.length, at);
  refuseBatchAxis(type.shape, axis, at, "normalises over", "normalise over another axis");
  return [type];
};

// dx = y·(dy - Σ dy·y)
export const softmax: Op = {
  type: "Softmax",
  label: "softmax",
  domain: "",
  arity: [1, 1],
  attributes: { axis: "int" },
  infer,
  gradient({ outputs, attributes, dy }) {
    const [y, gradient] = [outputs[0]!, dy[0]!];
    const axis = integerAttribute(attributes, "axis", "gradient", -1);
    return [y.mul(gradient.sub(gradient.mul(y).sum(axis, true)))];
  },
};

// dx = dy - exp(y)·Σ dy
export const logSoftmax: Op = {
  type: "LogSoftmax",
  label: "logSoftmax",
  domain: "",
  arity: [1, 1],
  attributes: { axis: "int" },
  infer,
  gradient({ outputs, attributes, dy }) {
    const [y, gradient] = [outputs[0]!, dy[0]!];
    const axis = integerAttribute(attributes, "axis", "gradient", -1);
    return [gradient.sub(y.exp().mul(gradient.sum(axis, true)))];
  },
};
