import { type CaseTable, type GradientCase, integers, of, type Reference } from "../gradient-case.ts";
import { largest, mean, meanWithPads, pooling as pooled } from "../window-reference.ts";

interface Pool {
  readonly name: string;
  readonly shape: readonly number[];
  readonly kernel: readonly number[];
  readonly strides?: readonly number[];
  readonly pads?: readonly number[];
  readonly dilations?: readonly number[];
  readonly ceil?: boolean;
}

const pools: readonly Pool[] = [
  { name: "side by side", shape: [2, 3, 4, 6], kernel: [2, 2], strides: [2, 2] },
  { name: "side by side, the last entries in no window", shape: [2, 2, 5, 5], kernel: [2, 2], strides: [2, 2] },
  { name: "apart", shape: [1, 2, 7, 7], kernel: [2, 2], strides: [3, 3] },
  { name: "side by side with padding", shape: [1, 2, 5, 4], kernel: [2, 2], strides: [2, 2], pads: [1, 0, 0, 0] },
  { name: "overlapping at stride 1", shape: [2, 2, 4, 5], kernel: [3, 2], strides: [1, 1] },
  {
    name: "overlapping at stride 1 with padding",
    shape: [1, 2, 4, 4],
    kernel: [3, 3],
    strides: [1, 1],
    pads: [1, 1, 1, 1],
  },
  {
    name: "overlapping at stride 2 with padding",
    shape: [1, 2, 6, 7],
    kernel: [3, 3],
    strides: [2, 2],
    pads: [1, 1, 1, 1],
  },
  { name: "asymmetric padding", shape: [1, 2, 6, 6], kernel: [3, 3], strides: [2, 2], pads: [0, 1, 1, 0] },
  { name: "ceil, a last incomplete window", shape: [1, 2, 5, 6], kernel: [2, 3], strides: [2, 2], ceil: true },
  {
    name: "ceil, beyond the padding",
    shape: [1, 2, 6, 5],
    kernel: [3, 3],
    strides: [2, 2],
    pads: [1, 1, 1, 1],
    ceil: true,
  },
  {
    name: "ceil, no window starts behind the end",
    shape: [1, 1, 4, 4],
    kernel: [2, 2],
    strides: [3, 3],
    pads: [1, 1, 1, 1],
    ceil: true,
  },
  { name: "1d", shape: [2, 3, 7], kernel: [3], strides: [2] },
  { name: "1d side by side", shape: [2, 3, 6], kernel: [2], strides: [2] },
  { name: "3d", shape: [1, 1, 4, 4, 3], kernel: [2, 2, 1], strides: [2, 1, 1] },
];

const dilated: readonly Pool[] = [
  { name: "dilated", shape: [1, 2, 6, 6], kernel: [2, 3], strides: [1, 1], dilations: [3, 2] },
  {
    name: "dilated with stride and padding",
    shape: [1, 2, 7, 6],
    kernel: [2, 2],
    strides: [2, 2],
    dilations: [2, 2],
    pads: [1, 1, 1, 1],
  },
];

function attributesOf({ kernel, strides, pads, dilations, ceil = false }: Pool): GradientCase["attributes"] & object {
  return { kernel_shape: kernel, strides, pads, dilations, ceil_mode: ceil ? 1 : 0 };
}

const cell = (shape: readonly number[]): GradientCase["inputs"] => [of(...shape)];
const overAll = (shape: readonly number[]): Omit<Pool, "name"> => ({ shape, kernel: shape.slice(2) });

export const pooling: CaseTable = {
  ":MaxPool": [...pools, ...dilated].flatMap((pool) => {
    const item = { name: pool.name, inputs: cell(pool.shape), attributes: attributesOf(pool) };
    return [item, { ...item, oracle: pooled(pool, largest) }];
  }),
  ":MaxUnpool": [
    {
      name: "to a given shape",
      inputs: [of(1, 2, 2, 2), integers([1, 2, 2, 2], [5, 2, 8, 11, 16, 19, 28, 31])],
      attributes: { kernel_shape: [2, 2], strides: [2, 2], output_shape: [1, 2, 4, 4] },
      oracle: "linear",
    },
  ],
  ":AveragePool": pools.flatMap((pool) => {
    const item = (count_include_pad: number, oracle: Reference): GradientCase => ({
      name: `${pool.name}, ${count_include_pad === 1 ? "with" : "without"} the padding`,
      inputs: cell(pool.shape),
      attributes: { ...attributesOf(pool), count_include_pad },
      oracle,
    });
    return [item(0, pooled(pool, mean)), item(1, pooled(pool, meanWithPads))];
  }),
  ":GlobalAveragePool": [
    [2, 3, 4, 5],
    [2, 3, 4],
  ].map((shape) => ({
    name: `[${shape.join(",")}]`,
    inputs: cell(shape),
    oracle: pooled(overAll(shape), mean),
  })),
  ":GlobalMaxPool": [
    [2, 3, 4, 5],
    [2, 3, 4],
  ].map((shape) => ({
    name: `[${shape.join(",")}]`,
    inputs: cell(shape),
    oracle: pooled(overAll(shape), largest),
  })),
};
