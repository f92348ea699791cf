import { onnx } from "@tutti/core/onnx";
import { expect, test } from "vitest";
import { type Attribute, modelBytes } from "./model-bytes.ts";
import { type Batch, runFile, runModule } from "./run-model.ts";
import "../graph/to-be-allclose.ts";

/** What older versions of ai.onnx said as attributes or meant otherwise; ONNX Runtime still runs the files as they are. */
interface Old {
  readonly type: string;
  readonly opset: number;
  readonly shape: readonly number[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
  /** Further inputs, float32. */
  readonly more?: readonly { readonly shape: readonly number[]; readonly values: readonly number[] }[];
  readonly outputs?: number;
}

const cases: readonly Old[] = [
  { type: "Softmax", opset: 11, shape: [2, 3, 4] },
  { type: "Softmax", opset: 12, shape: [2, 3, 4], attributes: { axis: 2 } },
  { type: "LogSoftmax", opset: 9, shape: [2, 3, 4], attributes: { axis: 1 } },
  { type: "Squeeze", opset: 12, shape: [2, 1, 3, 1], attributes: { axes: [1] } },
  { type: "Unsqueeze", opset: 11, shape: [2, 3], attributes: { axes: [1, 3] } },
  { type: "Split", opset: 12, shape: [2, 5], attributes: { axis: 1, split: [2, 3] }, outputs: 2 },
  { type: "Split", opset: 17, shape: [2, 6], attributes: { axis: 1 }, outputs: 3 },
  {
    type: "Slice",
    opset: 9,
    shape: [2, 5, 4],
    attributes: { axes: [1, 2], starts: [1, -3], ends: [3, 9_223_372_036_854] },
  },
  { type: "Pad", opset: 10, shape: [2, 3], attributes: { mode: "constant", pads: [0, 1, 0, 2], value: 0.5 } },
  { type: "Clip", opset: 10, shape: [2, 3], attributes: { min: -0.5, max: 0.75 } },
  { type: "TopK", opset: 9, shape: [2, 5], attributes: { axis: 1, k: 2 }, outputs: 2 },
  { type: "ReduceSum", opset: 12, shape: [2, 3, 4], attributes: { axes: [1], keepdims: 0 } },
  { type: "ReduceMean", opset: 17, shape: [2, 3, 4], attributes: { axes: [-1] } },
  { type: "ReduceLogSumExp", opset: 13, shape: [2, 3, 4], attributes: { axes: [1, 2], keepdims: 0 } },
  {
    type: "Resize",
    opset: 10,
    shape: [2, 1, 3, 3],
    attributes: { mode: "nearest" },
    more: [{ shape: [4], values: [1, 1, 2, 1.5] }],
  },
  {
    type: "Upsample",
    opset: 9,
    shape: [2, 1, 3, 3],
    attributes: { mode: "linear" },
    more: [{ shape: [4], values: [1, 1, 2, 2] }],
  },
  {
    type: "GroupNormalization",
    opset: 18,
    shape: [2, 4, 3],
    attributes: { num_groups: 2 },
    more: [
      { shape: [2], values: [0.5, 2] },
      { shape: [2], values: [1, -1] },
    ],
  },
  { type: "Dropout", opset: 11, shape: [2, 3], attributes: { ratio: 0.25 } },
];

test.each(cases)(
  "$type of version $opset ($attributes) is what ONNX Runtime makes of it",
  async ({ type, opset, shape, attributes = {}, more = [], outputs = 1 }) => {
    const names = Array.from({ length: outputs }, (_, i) => `y${i}`);
    const bytes = modelBytes({
      opset,
      nodes: [{ type, inputs: ["x", ...more.map((_, i) => `w${i}`)], outputs: names, attributes }],
      inputs: { x: ["N", ...shape.slice(1)] },
      outputs: [names[0]!],
      initializers: Object.fromEntries(
        more.map(({ shape: own, values }, i) => [`w${i}`, { shape: own, values: Float32Array.from(values) }]),
      ),
    });
    const count = shape.reduce((a, b) => a * b, 1);
    const batch: Batch = {
      dtype: "float32",
      shape,
      values: Float32Array.from({ length: count }, (_, i) => 4 * (((i + 1) * 0.618_033_988_749_894_9) % 1) - 2),
    };
    const { values } = await runModule(onnx.load(bytes).tensor("y0"), batch, false);
    expect(values).toBeAllclose(await runFile(bytes, batch, "x", "y0"), { rtol: 1e-6, atol: 1e-6 });
  },
);
