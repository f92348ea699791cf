import { type CaseTable, of, positive } from "../gradient-case.ts";

const pairs = [
  { name: "equal shapes", inputs: [of(2, 3), of(2, 3)] },
  { name: "right broadcast along the rows", inputs: [of(4, 3), of(3)] },
  { name: "left broadcast along inner and outer axes", inputs: [of(3, 1), of(2, 3, 4)] },
  { name: "both broadcast", inputs: [of(3, 1), of(2, 1, 4)] },
  { name: "a scalar", inputs: [of(2, 3), of()] },
];
const exact = pairs.map((pair) => ({ ...pair, oracle: "linear" as const }));
const single = [
  { name: "matrix", inputs: [of(3, 4)] },
  { name: "rank 0", inputs: [of()] },
];
const singlePositive = [{ name: "matrix", inputs: [positive(3, 4)] }];

export const elementwise: CaseTable = {
  ":Add": [...pairs, ...exact],
  ":Sub": [...pairs, ...exact],
  ":Mul": [...pairs, ...exact],
  ":Div": pairs,
  ":Pow": [
    { name: "positive bases", inputs: [positive(2, 3), of(2, 3)] },
    { name: "exponents broadcast", inputs: [positive(2, 3), of(3)] },
    { name: "bases broadcast", inputs: [positive(3, 1), of(2, 3, 2)] },
    {
      name: "whole exponents of negative bases",
      inputs: [of(2, 3), { shape: [2, 3], values: [2, 3, 1, 0, -1, -2], fixed: true }],
    },
    ...[0, 1, 2, 3, -1, -2].map((exponent) => ({
      name: `constant exponent ${exponent}`,
      inputs: [of(2, 3), { shape: [], values: [exponent], constant: true }],
    })),
    { name: "constant exponent 0.5", inputs: [positive(2, 3), { shape: [], values: [0.5], constant: true }] },
  ],
  ":Neg": [...single, { name: "exactly", inputs: [of(5)], oracle: "linear" }],
  ":Exp": single,
  ":Log": singlePositive,
  ":Sqrt": singlePositive,
  ":Abs": single,
  ":Sign": "zero gradient",
  ":Reciprocal": single,
  ":Floor": "zero gradient",
  ":Ceil": "zero gradient",
  ":Round": "zero gradient",
  ":Mod": [
    { name: "fmod", inputs: [of(3, 4), of(3, 4)], attributes: { fmod: 1 } },
    { name: "fmod, broadcast", inputs: [of(3, 1), of(4)], attributes: { fmod: 1 } },
  ],
  ":Relu": single,
  ":Sigmoid": [
    ...single,
    { name: "float32", inputs: [of(3, 4)], oracle: ([x]) => x!.map((v) => 1 / (1 + Math.exp(-v))) },
  ],
  ":Tanh": [...single, { name: "float32", inputs: [of(3, 4)], oracle: ([x]) => x!.map(Math.tanh) }],
};
