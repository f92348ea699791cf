// Convolutions, pooling and resizing for bench/ops.mjs: shapes, how PyTorch says it, and other ways to write the gradients.
import { operators } from "../../packages/core/dist/graph/index.js";

const conv = (name, image, weight, options = {}) => ({
  name,
  inputs: [image, weight, [weight[0]]],
  build: (x, w, b) => x.conv(w, { ...options, bias: b }),
  torch: `lambda x, w, b: F.conv${image.length - 2}d(x, w, b, ${options.strides?.[0] ?? 1}, ${options.pads?.[0] ?? 0}, ${options.dilations?.[0] ?? 1}, ${options.groups ?? 1})`,
  ways: {
    "weights by swapped axes": (x, w, _b, _y, dy) => [swappedWeights(x, dy, w, options)],
    "weights by samples as channels": (x, w, _b, _y, dy) => [weightsOverSamples(x, dy, w, options)],
    ...(options.strides === undefined && {
      "images by the transposed convolution": (_x, w, _b, _y, dy) => [dy.convTranspose(w, options)],
    }),
  },
});

/** The textbook weight gradient: samples as channels, channels as samples. */
function swappedWeights(x, dy, w, { strides, dilations, pads, groups = 1 }) {
  if (groups !== 1) return undefined;
  const swap = (t) => t.transpose([1, 0, ...t.shape.slice(2).map((_, i) => i + 2)]);
  const made = swap(x).conv(swap(dy), { strides: dilations, dilations: strides, pads });
  return swap(w.shape.slice(2).reduce((t, size, i) => t.slice(i + 2, 0, size), made));
}

/** Channels-last, samples as channels to sum over; at stride 1. */
function weightsOverSamples(x, dy, w, { strides, dilations, pads = [0, 0, 0, 0], groups = 1 }) {
  if (groups !== 1 || x.shape.length !== 4 || strides !== undefined || dilations !== undefined) return undefined;
  const [samples, inner, height, width] = x.shape;
  const [out, , high, wide] = w.shape;
  const image = x.transpose([0, 2, 3, 1]).reshape([1, samples, height, width * inner]);
  const over = { dilations: [1, inner], pads: pads.map((pad, i) => (i % 2 === 1 ? pad * inner : pad)) };
  const made = image.conv(dy.transpose([1, 0, 2, 3]), over);
  return made.reshape([out, high, wide, inner]).transpose([0, 3, 1, 2]);
}

export const convolutionCases = [
  conv("conv 32→64, 3x3, 26x26, batch 32", [32, 32, 26, 26], [64, 32, 3, 3]),
  conv("conv 1→8, 5x5, 28x28, batch 32", [32, 1, 28, 28], [8, 1, 5, 5], { pads: [2, 2, 2, 2] }),
  conv("conv 8→16, 5x5, 14x14, batch 32", [32, 8, 14, 14], [16, 8, 5, 5], { pads: [2, 2, 2, 2] }),
  conv("conv 32→64, 3x3, 28x28, batch 16", [16, 32, 28, 28], [64, 32, 3, 3], { pads: [1, 1, 1, 1] }),
  conv("conv 64→128, 3x3, stride 2, 28x28, batch 16", [16, 64, 28, 28], [128, 64, 3, 3], {
    pads: [1, 1, 1, 1],
    strides: [2, 2],
  }),
  conv("conv 64→128, 1x1, 14x14, batch 16", [16, 64, 14, 14], [128, 64, 1, 1]),
  conv("conv 64→128, 1x1, stride 2, 28x28, batch 16", [16, 64, 28, 28], [128, 64, 1, 1], { strides: [2, 2] }),
  conv("conv 32→32, 3x3, dilated by 2, 28x28, batch 16", [16, 32, 28, 28], [32, 32, 3, 3], {
    pads: [2, 2, 2, 2],
    dilations: [2, 2],
  }),
  conv("conv 64→64, 3x3, each channel, 28x28, batch 16", [16, 64, 28, 28], [64, 1, 3, 3], {
    pads: [1, 1, 1, 1],
    groups: 64,
  }),
  conv("conv 64→64, 3, length 256, batch 32", [32, 64, 256], [64, 64, 3], { pads: [1, 1] }),
  {
    name: "convTranspose 64→32, 4x4, stride 2, 14x14, batch 16",
    inputs: [
      [16, 64, 14, 14],
      [64, 32, 4, 4],
    ],
    build: (x, w) => x.convTranspose(w, { strides: [2, 2], pads: [1, 1, 1, 1] }),
    torch: "lambda x, w: F.conv_transpose2d(x, w, None, 2, 1)",
  },
  {
    name: "maxPool 2x2, 32 channels, 28x28, batch 32",
    inputs: [[32, 32, 28, 28]],
    build: (x) => x.maxPool([2, 2]),
    torch: "lambda x: F.max_pool2d(x, 2)",
    ways: { scattered: (x, _y, dy) => [scattered(x, dy, { kernel_shape: [2, 2], strides: [2, 2] })] },
  },
  {
    name: "maxPool 3x3, stride 2, 32 channels, 28x28, batch 32",
    inputs: [[32, 32, 28, 28]],
    build: (x) => x.maxPool([3, 3], { strides: [2, 2], pads: [1, 1, 1, 1] }),
    torch: "lambda x: F.max_pool2d(x, 3, 2, 1)",
  },
  {
    name: "averagePool 2x2, 32 channels, 28x28, batch 32",
    inputs: [[32, 32, 28, 28]],
    build: (x) => x.averagePool([2, 2]),
    torch: "lambda x: F.avg_pool2d(x, 2)",
  },
  {
    name: "averagePool 3x3, stride 2, 32 channels, 28x28, batch 32",
    inputs: [[32, 32, 28, 28]],
    build: (x) => x.averagePool([3, 3], { strides: [2, 2], pads: [1, 1, 1, 1] }),
    torch: "lambda x: F.avg_pool2d(x, 3, 2, 1)",
  },
  {
    name: "resize, nearest, doubled, 32 channels, 14x14, batch 16",
    inputs: [[16, 32, 14, 14]],
    build: (x) => x.resize({ mode: "nearest", scales: [2, 2] }),
    torch: "lambda x: F.interpolate(x, scale_factor=2)",
  },
  {
    name: "resize, bilinear, doubled, 32 channels, 14x14, batch 16",
    inputs: [[16, 32, 14, 14]],
    build: (x) => x.resize({ mode: "linear", scales: [2, 2] }),
    torch: "lambda x: F.interpolate(x, scale_factor=2, mode='bilinear')",
  },
];

function scattered(x, dy, attributes) {
  const places = x.graph.apply(operators.get(":MaxPool"), [x], attributes)[1];
  const count = (t) => t.shape.reduce((product, size) => product * size, 1);
  const zeros = x.graph.scalar(0, "float32").expand([count(x)]);
  return x.graph.apply(
    operators.get(":ScatterElements"),
    [zeros, places.reshape([count(dy)]), dy.reshape([count(dy)])],
    {
      axis: 0,
      reduction: "add",
    },
  )[0];
}
