import { type CaseTable, type GradientCase, type Operand, of } from "../gradient-case.ts";

const inside: Operand = { shape: [2, 3], values: [-0.9, -0.4, 0.1, 0.3, 0.6, 0.95] };

function reference(formula: (x: number) => number, operand: Operand = of(3, 4)): readonly GradientCase[] {
  return [{ name: "matrix", inputs: [operand], oracle: ([x]) => x!.map(formula) }];
}

export const trigonometric: CaseTable = {
  ":Sin": reference(Math.sin),
  ":Cos": reference(Math.cos),
  ":Tan": reference(Math.tan, inside),
  ":Asin": reference(Math.asin, inside),
  ":Acos": reference(Math.acos, inside),
  ":Atan": reference(Math.atan),
  ":Sinh": reference(Math.sinh),
  ":Cosh": reference(Math.cosh),
  ":Asinh": reference(Math.asinh),
  ":Acosh": reference(Math.acosh, { shape: [4], values: [1.25, 1.5, 2, 4] }),
  ":Atanh": reference(Math.atanh, { shape: [4], values: [-0.75, -0.25, 0.125, 0.5] }),
};
