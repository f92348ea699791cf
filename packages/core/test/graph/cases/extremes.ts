import { type CaseTable, of } from "../gradient-case.ts";

const lists = [
  { name: "one", inputs: [of(2, 3)] },
  { name: "two", inputs: [of(2, 3), of(2, 3)] },
  { name: "three", inputs: [of(2, 3), of(2, 3), of(2, 3)] },
  { name: "broadcast", inputs: [of(3, 1), of(4), of()] },
];
const scalar = (value: number) => ({ shape: [], values: [value] });

export const extremes: CaseTable = {
  ":Sum": lists,
  ":Mean": lists.map((item) => ({ ...item, oracle: meanOf(item.inputs.map(({ shape }) => shape)) })),
  ":Max": lists,
  ":Min": lists,
  ":Clip": [
    { name: "both bounds", inputs: [of(3, 5), scalar(-0.75), scalar(1)] },
    { name: "a lower bound", inputs: [of(3, 5), scalar(-0.75)] },
    { name: "an upper bound", inputs: [of(3, 5), null, scalar(0.5)] },
    { name: "no bound", inputs: [of(5)] },
    { name: "bounds that cross", inputs: [of(5), scalar(0.5), scalar(-0.5)] },
  ],
};

/** The mean of operands that broadcast to [3, 4] or have one shape. */
function meanOf(shapes: readonly (readonly number[])[]) {
  return (inputs: readonly Float64Array[]): Float64Array => {
    const same = shapes.every((shape) => String(shape) === String(shapes[0]));
    if (same) return inputs[0]!.map((_, i) => inputs.reduce((sum, x) => sum + x[i]!, 0) / inputs.length);
    const [column, row, number] = inputs as [Float64Array, Float64Array, Float64Array];
    return Float64Array.from({ length: 12 }, (_, i) => (column[Math.floor(i / 4)]! + row[i % 4]! + number[0]!) / 3);
  };
}
