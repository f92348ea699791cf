import { type CaseTable, type GradientCase, integers, of } from "../gradient-case.ts";

const twice = (cases: readonly GradientCase[]): readonly GradientCase[] =>
  cases.flatMap((item) => [item, { ...item, name: `${item.name}, exactly`, oracle: "linear" as const }]);

/** Repeated and negative places; row 0 column 1 is hit three times, most of them not at all. */
const elements = [of(4, 3), integers([3, 3], [0, 0, -1, 1, -4, 2, 0, 0, 1]), of(3, 3)];
const rows = [of(4, 2), integers([4, 1], [2, 0, 2, -1]), of(4, 2)];
const entries = [of(2, 3, 2), integers([2, 2, 2], [0, 1, 1, -1, 0, 1, -1, -3]), of(2, 2, 2)];

const zeros = (count: number, ...places: number[]): readonly number[] =>
  Array.from({ length: count }, (_, i) => (places.includes(i) ? 0 : (i % 5) - 2.5));

export const scatter: CaseTable = {
  ":ScatterElements": [
    ...twice([
      {
        name: "none, distinct",
        inputs: [of(3, 2), integers([2, 2], [0, -1, 2, 0]), of(2, 2)],
        attributes: { axis: 0 },
      },
      { name: "none, repeated and negative", inputs: elements, attributes: { axis: 0, reduction: "none" } },
      { name: "add, repeated and negative", inputs: elements, attributes: { axis: 0, reduction: "add" } },
      {
        name: "add along the last axis",
        inputs: [of(2, 4), integers([2, 2], [0, -1, 2, 2], "int32"), of(2, 2)],
        attributes: { axis: -1, reduction: "add" },
      },
    ]),
    { name: "mul, repeated and negative", inputs: elements, attributes: { axis: 0, reduction: "mul" } },
    {
      name: "mul with zeros among the factors",
      inputs: [
        of(2, 3),
        integers([3, 3], [0, 0, 1, 0, 0, 1, 1, 0, -1]),
        { shape: [3, 3], values: zeros(9, 0, 1, 4, 5) },
      ],
      attributes: { axis: 0, reduction: "mul" },
    },
    { name: "max, repeated and negative", inputs: elements, attributes: { axis: 0, reduction: "max" } },
    { name: "min, repeated and negative", inputs: elements, attributes: { axis: 0, reduction: "min" } },
  ],
  ":ScatterND": [
    ...twice([
      { name: "none, distinct rows", inputs: [of(3, 2), integers([2, 1], [-1, 0]), of(2, 2)] },
      { name: "none, repeated and negative rows", inputs: rows, attributes: { reduction: "none" } },
      { name: "none, repeated and negative pairs", inputs: entries, attributes: { reduction: "none" } },
      { name: "add, repeated and negative rows", inputs: rows, attributes: { reduction: "add" } },
      { name: "add, pairs", inputs: entries, attributes: { reduction: "add" } },
      {
        name: "add, whole tuples",
        inputs: [of(2, 2), integers([3, 2], [0, 1, -1, 0, 0, 1]), of(3)],
        attributes: { reduction: "add" },
      },
    ]),
    { name: "mul, repeated and negative rows", inputs: rows, attributes: { reduction: "mul" } },
    {
      name: "mul with zeros among the factors",
      inputs: [of(2), integers([5, 1], [0, 1, -2, 1, -1]), { shape: [5], values: [0, 2, 3, 0, 0] }],
      attributes: { reduction: "mul" },
    },
    { name: "max, pairs", inputs: entries, attributes: { reduction: "max" } },
    { name: "min, rows", inputs: rows, attributes: { reduction: "min" } },
  ],
};
