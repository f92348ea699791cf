import type { Op } from "../op.ts";
import { broadcastShapes, type DType } from "../shape.ts";
import { arithmetic, broadcasting, expectDType, floats, inputType, sameAsInput, sharedDType } from "../type-rules.ts";
import { sumTo } from "./broadcast.ts";

/** A comparison: piecewise constant, its derivative is 0 wherever it has one. */
function comparison(type: string, label: string, allowed: readonly DType[]): Op {
  return {
    type,
    label,
    domain: "",
    arity: [2, 2],
    attributes: {},
    infer: broadcasting(allowed, "bool"),
    gradient: "zero",
  };
}

export const equal = comparison("Equal", "equal", [...arithmetic, "bool"]);
export const greater = comparison("Greater", "greater", arithmetic);
export const less = comparison("Less", "less", arithmetic);
export const greaterOrEqual = comparison("GreaterOrEqual", "greaterOrEqual", arithmetic);
export const lessOrEqual = comparison("LessOrEqual", "lessOrEqual", arithmetic);
export const and = comparison("And", "and", ["bool"]);
export const or = comparison("Or", "or", ["bool"]);

export const xor = comparison("Xor", "xor", ["bool"]);

/** A question about each entry. */
function predicate(type: string, label: string, allowed: readonly DType[], attributes: Op["attributes"]): Op {
  return {
    type,
    label,
    domain: "",
    arity: [1, 1],
    attributes,
    infer(inputs, _attributes, at) {
      const { dtype, shape } = inputType(inputs, 0, at);
      expectDType(dtype, allowed, at);
      return [{ dtype: "bool", shape }];
    },
    gradient: "zero",
  };
}

export const notANumber = predicate("IsNaN", "isNaN", floats, {});
export const infinite = predicate("IsInf", "isInf", floats, { detect_negative: "int", detect_positive: "int" });

export const not: Op = {
  type: "Not",
  label: "not",
  domain: "",
  arity: [1, 1],
  attributes: {},
  infer: sameAsInput(["bool"]),
  gradient: "zero",
};

// y = c ? a : b; da = c ? dy : 0, db = c ? 0 : dy. Selected, not multiplied: 0·∞ must not come into being.
export const where: Op = {
  type: "Where",
  label: "where",
  domain: "",
  arity: [3, 3],
  attributes: {},
  infer(inputs, _attributes, at) {
    const condition = inputType(inputs, 0, at);
    expectDType(condition.dtype, ["bool"], at, "condition");
    const dtype = sharedDType(inputs.slice(1), at);
    expectDType(dtype, [...arithmetic, "uint8"], at, "choice");
    const shapes = [condition.shape, inputType(inputs, 1, at).shape, inputType(inputs, 2, at).shape];
    return [{ dtype, shape: broadcastShapes(shapes, at) }];
  },
  gradient({ inputs, dy, needs }) {
    const [condition, a, b] = [inputs[0]!, inputs[1]!, inputs[2]!];
    const gradient = dy[0]!;
    const zero = gradient.graph.scalar(0, gradient.dtype);
    return [
      null,
      needs[1] ? sumTo(condition.where(gradient, zero), a.shape) : null,
      needs[2] ? sumTo(condition.where(zero, gradient), b.shape) : null,
    ];
  },
};
