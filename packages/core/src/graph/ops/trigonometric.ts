import { oneMinus, pointwise, unary } from "./elementwise-rules.ts";

const single = ["float32"] as const;

// dx = dy·cos x
export const sin = pointwise(
  "Sin",
  "sin",
  single,
  unary((x, _y, dy) => dy.mul(x.cos())),
);

// dx = -dy·sin x
export const cos = pointwise(
  "Cos",
  "cos",
  single,
  unary((x, _y, dy) => dy.mul(x.sin()).neg()),
);

// dx = dy·(1 + y²)
export const tan = pointwise(
  "Tan",
  "tan",
  single,
  unary((_x, y, dy) => dy.mul(y.mul(y).add(1))),
);

// dx = dy/√(1 - x²), as (1 - x)(1 + x) for the sake of x near 1
export const asin = pointwise(
  "Asin",
  "asin",
  single,
  unary((x, _y, dy) => dy.div(oneMinus(x).mul(x.add(1)).sqrt())),
);

// dx = -dy/√(1 - x²)
export const acos = pointwise(
  "Acos",
  "acos",
  single,
  unary((x, _y, dy) => dy.div(oneMinus(x).mul(x.add(1)).sqrt()).neg()),
);

// dx = dy/(1 + x²)
export const atan = pointwise(
  "Atan",
  "atan",
  single,
  unary((x, _y, dy) => dy.div(x.mul(x).add(1))),
);

// dx = dy·cosh x
export const sinh = pointwise(
  "Sinh",
  "sinh",
  single,
  unary((x, _y, dy) => dy.mul(x.graph.apply(cosh, [x])[0]!)),
);

// dx = dy·sinh x
export const cosh = pointwise(
  "Cosh",
  "cosh",
  single,
  unary((x, _y, dy) => dy.mul(x.graph.apply(sinh, [x])[0]!)),
);

// dx = dy/√(x² + 1)
export const asinh = pointwise(
  "Asinh",
  "asinh",
  single,
  unary((x, _y, dy) => dy.div(x.mul(x).add(1).sqrt())),
);

// dx = dy/√(x² - 1), as √(x - 1)·√(x + 1)
export const acosh = pointwise(
  "Acosh",
  "acosh",
  single,
  unary((x, _y, dy) => dy.div(x.sub(1).sqrt().mul(x.add(1).sqrt()))),
);

// dx = dy/(1 - x²)
export const atanh = pointwise(
  "Atanh",
  "atanh",
  single,
  unary((x, _y, dy) => dy.div(oneMinus(x).mul(x.add(1)))),
);
