import { type CaseTable, type GradientCase, of } from "../gradient-case.ts";

const twice = (cases: readonly GradientCase[]): readonly GradientCase[] =>
  cases.flatMap((item) => [item, { ...item, name: `${item.name}, exactly`, oracle: "linear" as const }]);

export const slicing: CaseTable = {
  ":Concat": twice([
    { name: "three along the first axis", inputs: [of(1, 2), of(3, 2), of(2, 2)], attributes: { axis: 0 } },
    { name: "two along the last axis", inputs: [of(2, 1, 3), of(2, 1, 2)], attributes: { axis: -1 } },
  ]),
  ":Split": twice([
    { name: "parts of given sizes", inputs: [of(2, 5)], attributes: { axis: 1, split: [2, 0, 3] } },
    { name: "equal parts", inputs: [of(4, 2)], attributes: { num_outputs: 2 } },
    { name: "the last part is smaller", inputs: [of(2, 5)], attributes: { axis: -1, num_outputs: 3 } },
  ]),
  ":Slice": twice([
    { name: "a middle part", inputs: [of(5, 3)], attributes: { starts: [1], ends: [4], axes: [0] } },
    {
      name: "from the end, beyond the end",
      inputs: [of(4, 5)],
      attributes: { starts: [-3, 1], ends: [100, -1], axes: [1, 0] },
    },
    { name: "every second", inputs: [of(2, 5)], attributes: { starts: [0], ends: [5], axes: [1], steps: [2] } },
    { name: "backwards", inputs: [of(5, 2)], attributes: { starts: [-1], ends: [-100], axes: [0], steps: [-2] } },
    {
      name: "a part of one axis, backwards along another",
      inputs: [of(4, 3)],
      attributes: { starts: [1, 2], ends: [3, -5], axes: [0, 1], steps: [1, -1] },
    },
    { name: "all, axes not named", inputs: [of(2, 3)], attributes: { starts: [0, 0], ends: [2, 3] } },
  ]),
};
