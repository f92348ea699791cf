import { type CaseTable, type GradientCase, of } from "../gradient-case.ts";

const shapes: readonly GradientCase[] = [
  { name: "the last axis", inputs: [of(3, 4)], attributes: { axes: [1], keepdims: 0 } },
  { name: "the first axis, kept", inputs: [of(3, 4)], attributes: { axes: [0], keepdims: 1 } },
  { name: "outer and inner axes", inputs: [of(2, 3, 2)], attributes: { axes: [0, 2], keepdims: 0 } },
  { name: "a negative axis", inputs: [of(2, 3, 2)], attributes: { axes: [-2], keepdims: 0 } },
  { name: "all axes", inputs: [of(2, 3)], attributes: { keepdims: 0 } },
];

export const reduction: CaseTable = {
  ":ReduceSum": [
    ...shapes,
    ...shapes.map((item) => ({ ...item, name: `${item.name}, exactly`, oracle: "linear" as const })),
  ],
  ":ReduceMean": shapes,
  ":ReduceMax": shapes,
  ":ReduceMin": shapes,
  ":ArgMax": "zero gradient",
};
