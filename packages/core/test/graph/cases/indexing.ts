import { type CaseTable, type GradientCase, integers, of } from "../gradient-case.ts";

const twice = (cases: readonly GradientCase[]): readonly GradientCase[] =>
  cases.flatMap((item) => [item, { ...item, name: `${item.name}, exactly`, oracle: "linear" as const }]);

export const indexing: CaseTable = {
  ":Gather": twice([
    {
      name: "repeated and negative rows",
      inputs: [of(4, 3), integers([5], [1, -1, 1, 0, 3])],
      attributes: { axis: 0 },
    },
    {
      name: "a matrix of indices along an inner axis",
      inputs: [of(2, 4, 3), integers([2, 2], [0, -4, 2, 0])],
      attributes: { axis: 1 },
    },
    { name: "one index of rank 0", inputs: [of(3, 2), integers([], [-1])], attributes: { axis: 1 } },
    { name: "int32 indices", inputs: [of(4), integers([3], [2, 2, -2], "int32")], attributes: { axis: 0 } },
  ]),
  ":GatherElements": twice([
    { name: "one of each row", inputs: [of(3, 4), integers([3, 1], [2, 0, -1])], attributes: { axis: 1 } },
    {
      name: "repeated and negative",
      inputs: [of(3, 2), integers([4, 2], [0, 1, 0, -1, 2, 1, -3, 0])],
      attributes: { axis: 0 },
    },
    {
      name: "fewer rows than there are",
      inputs: [of(3, 4), integers([2, 2], [0, 3, 3, 3], "int32")],
      attributes: { axis: 1 },
    },
  ]),
  ":GatherND": twice([
    { name: "repeated and negative rows", inputs: [of(3, 2), integers([4, 1], [2, 0, 2, -1])] },
    { name: "pairs", inputs: [of(2, 3, 2), integers([2, 2, 2], [0, 1, 1, -1, 0, 1, -1, -3])] },
    { name: "one entry", inputs: [of(2, 3), integers([2], [1, -1])] },
    {
      name: "a shared axis",
      inputs: [of(2, 3, 2), integers([2, 2, 1], [0, -1, 1, 1])],
      attributes: { batch_dims: 1 },
    },
    {
      name: "two shared axes",
      inputs: [of(2, 2, 3), integers([2, 2, 3, 1], [0, 1, 1, 2, 2, 2, -1, 0, 0, 1, 2, 0])],
      attributes: { batch_dims: 2 },
    },
  ]),
  ":OneHot": "zero gradient",
};
