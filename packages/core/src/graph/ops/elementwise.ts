import type { Op } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { arithmetic, broadcasting, expectDType, floats, indexTypes } from "../type-rules.ts";
import { constantScalar } from "./constants.ts";
import { binary, oneMinus, pointwise, unary, zeroLike } from "./elementwise-rules.ts";

const none = {} as const;

// da = dy, db = dy
export const add: Op = {
  type: "Add",
  label: "add",
  domain: "",
  arity: [2, 2],
  attributes: none,
  infer: broadcasting(arithmetic),
  gradient: binary((_a, _b, _y, dy) => [dy, dy]),
};

// da = dy, db = -dy
export const sub: Op = {
  type: "Sub",
  label: "sub",
  domain: "",
  arity: [2, 2],
  attributes: none,
  infer: broadcasting(arithmetic),
  gradient: binary((_a, _b, _y, dy, needs) => [dy, needs[1] ? dy.neg() : null]),
};

// da = dy·b, db = dy·a
export const mul: Op = {
  type: "Mul",
  label: "mul",
  domain: "",
  arity: [2, 2],
  attributes: none,
  infer: broadcasting(arithmetic),
  gradient: binary((a, b, _y, dy, needs) => [needs[0] ? dy.mul(b) : null, needs[1] ? dy.mul(a) : null]),
};

// da = dy/b, db = -dy·(a/b)/b
export const div: Op = {
  type: "Div",
  label: "div",
  domain: "",
  arity: [2, 2],
  attributes: none,
  infer: broadcasting(arithmetic),
  gradient: binary((_a, b, y, dy, needs) => [needs[0] ? dy.div(b) : null, needs[1] ? dy.mul(y.div(b)).neg() : null]),
};

// da = dy·b·a^(b-1), and 0 where b = 0
// db = dy·y·log a, and 0 where a = 0 and b >= 0 (there y does not move to the right of b; PyTorch's choice)
export const pow: Op = {
  type: "Pow",
  label: "pow",
  domain: "",
  arity: [2, 2],
  attributes: none,
  infer: broadcasting(arithmetic),
  gradient: binary((a, b, y, dy, needs) => [
    needs[0] ? powBase(a, b, dy) : null,
    needs[1] ? powExponent(a, b, y, dy) : null,
  ]),
};

function powBase(a: Tensor, b: Tensor, dy: Tensor): Tensor {
  const exponent = constantScalar(b);
  if (exponent === 0) return dy.mul(0);
  if (exponent === 1) return dy;
  if (exponent === 2) return dy.mul(a.mul(2));
  if (exponent !== undefined) return dy.mul(a.pow(exponent - 1).mul(exponent));
  const zero = zeroLike(dy);
  return b.equal(0).where(zero, dy.mul(a.pow(b.sub(1)).mul(b)));
}

function powExponent(a: Tensor, b: Tensor, y: Tensor, dy: Tensor): Tensor {
  const zero = zeroLike(dy);
  return a
    .equal(0)
    .and(b.greaterOrEqual(0))
    .where(zero, dy.mul(y.mul(a.log())));
}

// dx = -dy
export const neg = pointwise(
  "Neg",
  "neg",
  arithmetic,
  unary((_x, _y, dy) => dy.neg()),
);

// dx = dy·y
export const exp = pointwise(
  "Exp",
  "exp",
  floats,
  unary((_x, y, dy) => dy.mul(y)),
);

// dx = dy/x
export const log = pointwise(
  "Log",
  "log",
  floats,
  unary((x, _y, dy) => dy.div(x)),
);

// dx = dy/(2y)
export const sqrt = pointwise(
  "Sqrt",
  "sqrt",
  floats,
  unary((_x, y, dy) => dy.div(y.mul(2))),
);

// dx = dy·sign x, so 0 at 0
export const abs = pointwise(
  "Abs",
  "abs",
  arithmetic,
  unary((x, _y, dy) => dy.mul(x.sign())),
);

// Constant but at 0, where its derivative is taken as 0.
export const sign = pointwise("Sign", "sign", arithmetic, "zero");

// dx = y > 0 ? dy : 0. Selecting, not multiplying by 0 or 1: an infinite dy behind a closed gate must give 0, not NaN.
export const relu = pointwise(
  "Relu",
  "relu",
  floats,
  unary((_x, y, dy) => y.lessOrEqual(0).where(zeroLike(dy), dy)),
);

// dx = dy·y·(1 - y); 1 - y is exact where y saturates, y - y² would not be
export const sigmoid = pointwise(
  "Sigmoid",
  "sigmoid",
  floats,
  unary((_x, y, dy) => dy.mul(oneMinus(y).mul(y))),
);

// dx = dy·(1 - y²)
export const tanh = pointwise(
  "Tanh",
  "tanh",
  floats,
  unary((_x, y, dy) => dy.mul(oneMinus(y.mul(y)))),
);

// dx = -dy·y², multiplied in an order that cannot make 0·∞ of a small gradient
export const reciprocal = pointwise(
  "Reciprocal",
  "reciprocal",
  floats,
  unary((_x, y, dy) => dy.mul(y).mul(y).neg()),
);

// Piecewise constant.
export const floor = pointwise("Floor", "floor", floats, "zero");
export const ceil = pointwise("Ceil", "ceil", floats, "zero");

/** To the nearest whole number, halves to the even one. */
export const round = pointwise("Round", "round", floats, "zero");

// y = a - b·q with whole q (q rounded down without `fmod`, towards zero with it): da = dy, db = -dy·q
export const mod: Op = {
  type: "Mod",
  label: "mod",
  domain: "",
  arity: [2, 2],
  attributes: { fmod: "int" },
  infer(inputs, attributes, at) {
    const [type] = broadcasting(arithmetic)(inputs, attributes, at);
    if (attributes.fmod !== 1) expectDType(type!.dtype, indexTypes, at, "operand without fmod");
    return [type!];
  },
  gradient: binary((a, b, y, dy, needs) => [dy, needs[1] ? dy.mul(a.sub(y).div(b).round()).neg() : null]),
};
