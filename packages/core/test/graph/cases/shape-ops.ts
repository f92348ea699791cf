import { type CaseTable, type GradientCase, of } from "../gradient-case.ts";

const twice = (cases: readonly GradientCase[]): readonly GradientCase[] =>
  cases.flatMap((item) => [item, { ...item, name: `${item.name}, exactly`, oracle: "linear" as const }]);

export const shapeOps: CaseTable = {
  ":Identity": twice([{ name: "matrix", inputs: [of(2, 3)] }]),
  ":Cast": [
    { name: "float64 to float32 and on", inputs: [of(2, 3)], attributes: { to: "float64" } },
    { name: "from float32", inputs: [of(2, 3)], attributes: { to: "float32" }, oracle: "linear" },
  ],
  ":Reshape": twice([
    { name: "an inferred size", inputs: [of(2, 6)], attributes: { shape: [3, -1] } },
    { name: "a copied size", inputs: [of(2, 3, 2)], attributes: { shape: [0, 6] } },
    { name: "to rank 0", inputs: [of(1, 1)], attributes: { shape: [] } },
  ]),
  ":Expand": twice([
    { name: "a row", inputs: [of(3)], attributes: { shape: [2, 3] } },
    { name: "a column, the shape broadcasting too", inputs: [of(3, 1)], attributes: { shape: [2, 1, 4] } },
    { name: "a scalar", inputs: [of()], attributes: { shape: [2, 2] } },
  ]),
  ":Transpose": twice([
    { name: "by default", inputs: [of(2, 3)] },
    { name: "a cycle of axes", inputs: [of(2, 3, 4)], attributes: { perm: [1, 2, 0] } },
  ]),
  ":Tile": twice([
    { name: "some axes", inputs: [of(2, 3, 2)], attributes: { repeats: [2, 1, 3] } },
    { name: "once", inputs: [of(2, 3)], attributes: { repeats: [1, 1] } },
  ]),
  ":Trilu": twice([
    { name: "upper by default", inputs: [of(3, 4)], attributes: {} },
    { name: "lower, above the diagonal", inputs: [of(2, 3, 3)], attributes: { upper: 0, k: 1 } },
    { name: "upper, below the diagonal", inputs: [of(4, 3)], attributes: { upper: 1, k: -1 } },
  ]),
  ":Shape": "zero gradient",
  ":Size": "zero gradient",
  ":Squeeze": twice([
    { name: "a named axis", inputs: [of(1, 3, 1)], attributes: { axes: [-1] } },
    { name: "all of size 1", inputs: [of(1, 3, 1)] },
  ]),
  ":Unsqueeze": twice([{ name: "outside and inside", inputs: [of(2, 3)], attributes: { axes: [0, -2] } }]),
};
