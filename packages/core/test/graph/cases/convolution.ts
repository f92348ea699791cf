import { type CaseTable, type GradientCase, type Operand, of } from "../gradient-case.ts";

// The engine has no float64 kernels; the operators are linear in each operand, so that steps of 1 are exact.
const exactly = (cases: readonly GradientCase[]): readonly GradientCase[] =>
  cases.map((item) => ({ ...item, oracle: "linear" as const }));

/** An image whose gradient other cases check: with many entries it would take long. */
const fixed = (...shape: number[]): Operand => ({ shape, fixed: true });

const conv: readonly GradientCase[] = [
  { name: "1d", inputs: [of(2, 3, 6), of(4, 3, 3)] },
  {
    name: "1d with a bias, padding and stride",
    inputs: [of(2, 2, 7), of(3, 2, 3), of(3)],
    attributes: { pads: [1, 1], strides: [2] },
  },
  { name: "1d, dilated", inputs: [of(1, 2, 9), of(2, 2, 3)], attributes: { dilations: [3], pads: [1, 2] } },
  { name: "2d with a bias", inputs: [of(2, 3, 5, 4), of(4, 3, 3, 2), of(4)] },
  { name: "2d, same size", inputs: [of(2, 2, 4, 5), of(3, 2, 3, 3)], attributes: { pads: [1, 1, 1, 1] } },
  { name: "asymmetric padding", inputs: [of(1, 2, 4, 5), of(2, 2, 3, 2)], attributes: { pads: [2, 0, 1, 1] } },
  {
    name: "more padding than the kernel covers",
    inputs: [of(2, 2, 3, 3), of(2, 2, 1, 2)],
    attributes: { pads: [1, 0, 1, 2] },
  },
  { name: "stride 2, all entries read", inputs: [of(2, 2, 5, 7), of(3, 2, 3, 3)], attributes: { strides: [2, 2] } },
  {
    name: "stride 2, the last entries not read",
    inputs: [of(2, 2, 6, 8), of(3, 2, 3, 3)],
    attributes: { strides: [2, 2] },
  },
  {
    name: "stride 2 with padding",
    inputs: [of(1, 2, 6, 6), of(2, 2, 3, 3)],
    attributes: { strides: [2, 2], pads: [1, 1, 1, 1] },
  },
  { name: "kernel 1, stride 2", inputs: [of(2, 3, 4, 6), of(2, 3, 1, 1)], attributes: { strides: [2, 2] } },
  {
    name: "stride 3 over a kernel of 2",
    inputs: [of(1, 2, 8, 7), of(2, 2, 2, 2)],
    attributes: { strides: [3, 3], pads: [0, 1, 0, 0] },
  },
  {
    name: "different strides",
    inputs: [of(1, 1, 6, 5), of(2, 1, 2, 3)],
    attributes: { strides: [2, 1], pads: [0, 1, 1, 1] },
  },
  {
    name: "dilated along the first axis",
    inputs: [of(1, 2, 7, 4), of(2, 2, 3, 2)],
    attributes: { dilations: [2, 1], pads: [1, 0, 0, 1] },
  },
  {
    name: "dilated along both",
    inputs: [of(2, 2, 6, 7), of(2, 2, 2, 3)],
    attributes: { dilations: [2, 2], pads: [1, 1, 1, 1] },
  },
  {
    name: "dilated at places that do not divide by the dilation",
    inputs: [of(2, 2, 4, 9), of(2, 2, 2, 3)],
    attributes: { dilations: [1, 3], pads: [0, 1, 1, 2], strides: [2, 1] },
  },
  {
    name: "kernel 1 at stride 1",
    inputs: [of(2, 3, 4, 3), of(2, 3, 1, 1), of(2)],
  },
  {
    name: "kernel 1, some entries not read, in groups",
    inputs: [of(2, 4, 4, 6), of(2, 2, 1, 1)],
    attributes: { strides: [2, 3], group: 2 },
  },
  {
    name: "many channels",
    inputs: [of(1, 16, 3, 3), of(2, 16, 2, 2)],
    attributes: { pads: [1, 0, 0, 1] },
  },
  {
    name: "many channels, dilated",
    inputs: [of(1, 16, 4, 3), of(2, 16, 2, 2)],
    attributes: { pads: [1, 0, 0, 1], dilations: [2, 1] },
  },
  {
    name: "dilated with stride",
    inputs: [of(1, 2, 8, 8), of(2, 2, 2, 2)],
    attributes: { dilations: [3, 2], strides: [2, 3], pads: [0, 1, 2, 0] },
  },
  { name: "two groups", inputs: [of(2, 4, 4, 4), of(6, 2, 3, 3), of(6)], attributes: { group: 2, pads: [1, 1, 1, 1] } },
  {
    name: "two groups with stride",
    inputs: [of(2, 4, 5, 6), of(2, 2, 2, 2)],
    attributes: { group: 2, strides: [2, 2] },
  },
  {
    name: "two groups, dilated",
    inputs: [of(1, 4, 5, 5), of(4, 2, 2, 2)],
    attributes: { group: 2, dilations: [2, 2] },
  },
  {
    name: "each channel by itself",
    inputs: [of(2, 3, 4, 4), of(3, 1, 3, 3)],
    attributes: { group: 3, pads: [1, 1, 1, 1] },
  },
  {
    name: "each of 16 channels by itself",
    inputs: [of(2, 16, 4, 3), of(16, 1, 3, 2)],
    attributes: { group: 16, pads: [1, 0, 1, 1] },
  },
  { name: "each channel by itself, twice", inputs: [of(1, 2, 4, 4), of(4, 1, 2, 2)], attributes: { group: 2 } },
  {
    name: "so many places that each sample is a product of its own",
    inputs: [fixed(2, 2, 92, 92), of(2, 2, 2, 2)],
    attributes: { pads: [0, 1, 1, 0] },
  },
  {
    name: "so many places, two groups with stride",
    inputs: [fixed(3, 4, 150, 151), of(2, 2, 2, 2)],
    attributes: { group: 2, strides: [2, 2] },
  },
  {
    name: "3d",
    inputs: [of(1, 2, 3, 4, 3), of(2, 2, 2, 2, 2)],
    attributes: { pads: [0, 1, 0, 1, 0, 0], strides: [1, 2, 1] },
  },
];

const transposed: readonly GradientCase[] = [
  { name: "1d", inputs: [of(2, 3, 4), of(3, 2, 3), of(2)] },
  {
    name: "1d, stride and output padding",
    inputs: [of(1, 2, 4), of(2, 2, 3)],
    attributes: { strides: [3], output_padding: [2], pads: [1, 0] },
  },
  { name: "2d with a bias", inputs: [of(2, 3, 3, 4), of(3, 2, 2, 3), of(2)] },
  { name: "stride 2", inputs: [of(2, 2, 3, 4), of(2, 3, 2, 2)], attributes: { strides: [2, 2] } },
  {
    name: "stride 2, padding and output padding",
    inputs: [of(1, 2, 3, 3), of(2, 2, 3, 3)],
    attributes: { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] },
  },
  {
    name: "output padding of one axis",
    inputs: [of(1, 2, 3, 3), of(2, 1, 2, 2)],
    attributes: { strides: [3, 2], output_padding: [2, 0] },
  },
  {
    name: "dilated, with output padding",
    inputs: [of(1, 2, 3, 3), of(2, 2, 2, 2)],
    attributes: { dilations: [3, 2], strides: [2, 3], output_padding: [1, 2] },
  },
  { name: "asymmetric padding", inputs: [of(1, 2, 4, 3), of(2, 2, 3, 3)], attributes: { pads: [2, 0, 1, 1] } },
  { name: "two groups", inputs: [of(2, 4, 3, 3), of(4, 3, 2, 2), of(6)], attributes: { group: 2, strides: [2, 1] } },
  {
    name: "each channel by itself",
    inputs: [of(1, 3, 3, 3), of(3, 1, 3, 3)],
    attributes: { group: 3, strides: [2, 2], pads: [1, 1, 1, 1] },
  },
];

export const convolution: CaseTable = { ":Conv": exactly(conv), ":ConvTranspose": exactly(transposed) };
