import { type CaseTable, type GradientCase, of, positive, type Reference } from "../gradient-case.ts";

const shapes: readonly GradientCase[] = [
  { name: "the last axis", inputs: [of(3, 4)], attributes: { axes: [1], keepdims: 0 } },
  { name: "the first axis, kept", inputs: [of(3, 4)], attributes: { axes: [0], keepdims: 1 } },
  { name: "outer and inner axes", inputs: [of(2, 3, 2)], attributes: { axes: [0, 2], keepdims: 0 } },
  { name: "a negative axis", inputs: [of(2, 3, 2)], attributes: { axes: [-2], keepdims: 0 } },
  { name: "all axes", inputs: [of(2, 3)], attributes: { keepdims: 0 } },
];

const single = (formula: (row: readonly number[]) => number): readonly GradientCase[] =>
  shapes.map((item) => ({ ...item, oracle: reducer(item, formula) }));
const positives = shapes.map((item) => ({ ...item, inputs: item.inputs.map((input) => positive(...input!.shape)) }));

/** A formula applied to each group of entries that the attributes name. */
function reducer({ inputs, attributes }: GradientCase, formula: (row: readonly number[]) => number): Reference {
  const { shape } = inputs[0]!;
  const { axes } = attributes ?? {};
  const reduced =
    typeof axes === "object" ? axes.map((axis) => (Number(axis) + shape.length) % shape.length) : [...shape.keys()];
  return ([x]) => {
    const groups = new Map<string, number[]>();
    for (const [entry, value] of x!.entries()) {
      let rest = entry;
      const place = shape.map(() => 0);
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        if (!reduced.includes(axis)) place[axis] = rest % shape[axis]!;
        rest = Math.floor(rest / shape[axis]!);
      }
      const key = place.join();
      groups.set(key, [...(groups.get(key) ?? []), value]);
    }
    return Float64Array.from(groups.values(), formula); // met in row-major order
  };
}

const sumOf = (row: readonly number[]): number => row.reduce((sum, value) => sum + value, 0);
const productOf = (row: readonly number[]): number => row.reduce((product, value) => product * value, 1);
const withZeros = (name: string, values: readonly number[]): GradientCase => {
  const item: GradientCase = { name, inputs: [{ shape: [2, 3], values }], attributes: { axes: [1], keepdims: 0 } };
  return { ...item, oracle: reducer(item, productOf) };
};

export const reduction: CaseTable = {
  ":ReduceSum": [
    ...shapes,
    ...shapes.map((item) => ({ ...item, name: `${item.name}, exactly`, oracle: "linear" as const })),
  ],
  ":ReduceMean": shapes,
  ":ReduceMax": shapes,
  ":ReduceMin": shapes,
  ":ReduceProd": [
    ...single(productOf),
    withZeros("a zero in a row", [1, 0, 3, 2, 0.5, 1.5]),
    withZeros("zeros in a row", [0, 0, 3, 2, 0, 1.5]),
  ],
  ":ReduceL1": single((row) => sumOf(row.map(Math.abs))),
  ":ReduceL2": single((row) => Math.sqrt(sumOf(row.map((value) => value * value)))),
  ":ReduceSumSquare": shapes,
  ":ReduceLogSum": positives.map((item) => ({ ...item, oracle: reducer(item, (row) => Math.log(sumOf(row))) })),
  ":ReduceLogSumExp": shapes,
  ":ArgMin": "zero gradient",
  ":ArgMax": "zero gradient",
};
