import type { Op } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { arithmetic, broadcasting, floats, sameAsInput } from "../type-rules.ts";
import { sumTo } from "./broadcast.ts";
import { constantScalar } from "./constants.ts";

/** The two operands, the result and its gradient, of a rule of a binary operator. */
function binary(
  rule: (a: Tensor, b: Tensor, y: Tensor, dy: Tensor, needs: readonly boolean[]) => readonly (Tensor | null)[],
): Op["gradient"] {
  return ({ inputs, outputs, dy, needs }) => {
    const [a, b] = [inputs[0]!, inputs[1]!];
    const [da, db] = rule(a, b, outputs[0]!, dy[0]!, needs);
    return [needs[0] && da ? sumTo(da, a.shape) : null, needs[1] && db ? sumTo(db, b.shape) : null];
  };
}

function unary(rule: (x: Tensor, y: Tensor, dy: Tensor) => Tensor): Op["gradient"] {
  return ({ inputs, outputs, dy }) => [rule(inputs[0]!, outputs[0]!, dy[0]!)];
}

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
  const zero = dy.graph.scalar(0, dy.dtype);
  return b.equal(0).where(zero, dy.mul(a.pow(b.sub(1)).mul(b)));
}

function powExponent(a: Tensor, b: Tensor, y: Tensor, dy: Tensor): Tensor {
  const zero = dy.graph.scalar(0, dy.dtype);
  return a
    .equal(0)
    .and(b.greaterOrEqual(0))
    .where(zero, dy.mul(y.mul(a.log())));
}

// dx = -dy
export const neg: Op = {
  type: "Neg",
  label: "neg",
  domain: "",
  arity: [1, 1],
  attributes: none,
  infer: sameAsInput(arithmetic),
  gradient: unary((_x, _y, dy) => dy.neg()),
};

// dx = dy·y
export const exp: Op = {
  type: "Exp",
  label: "exp",
  domain: "",
  arity: [1, 1],
  attributes: none,
  infer: sameAsInput(floats),
  gradient: unary((_x, y, dy) => dy.mul(y)),
};

// dx = dy/x
export const log: Op = {
  type: "Log",
  label: "log",
  domain: "",
  arity: [1, 1],
  attributes: none,
  infer: sameAsInput(floats),
  gradient: unary((x, _y, dy) => dy.div(x)),
};

// dx = dy/(2y)
export const sqrt: Op = {
  type: "Sqrt",
  label: "sqrt",
  domain: "",
  arity: [1, 1],
  attributes: none,
  infer: sameAsInput(floats),
  gradient: unary((_x, y, dy) => dy.div(y.mul(2))),
};

// dx = dy·sign x, so 0 at 0
export const abs: Op = {
  type: "Abs",
  label: "abs",
  domain: "",
  arity: [1, 1],
  attributes: none,
  infer: sameAsInput(arithmetic),
  gradient: unary((x, _y, dy) => dy.mul(x.sign())),
};

// Constant but at 0, where its derivative is taken as 0.
export const sign: Op = {
  type: "Sign",
  label: "sign",
  domain: "",
  arity: [1, 1],
  attributes: none,
  infer: sameAsInput(arithmetic),
  gradient: "zero",
};

// dx = y > 0 ? dy : 0. Selecting, not multiplying by 0 or 1: an infinite dy behind a closed gate must give 0, not NaN.
export const relu: Op = {
  type: "Relu",
  label: "relu",
  domain: "",
  arity: [1, 1],
  attributes: none,
  infer: sameAsInput(floats),
  gradient: unary((_x, y, dy) => y.lessOrEqual(0).where(dy.graph.scalar(0, dy.dtype), dy)),
};

// dx = dy·y·(1 - y); 1 - y is exact where y saturates, y - y² would not be
export const sigmoid: Op = {
  type: "Sigmoid",
  label: "sigmoid",
  domain: "",
  arity: [1, 1],
  attributes: none,
  infer: sameAsInput(floats),
  gradient: unary((_x, y, dy) => dy.mul(oneMinus(y).mul(y))),
};

// dx = dy·(1 - y²)
export const tanh: Op = {
  type: "Tanh",
  label: "tanh",
  domain: "",
  arity: [1, 1],
  attributes: none,
  infer: sameAsInput(floats),
  gradient: unary((_x, y, dy) => dy.mul(oneMinus(y.mul(y)))),
};

function oneMinus(y: Tensor): Tensor {
  return y.graph.scalar(1, y.dtype).sub(y);
}
