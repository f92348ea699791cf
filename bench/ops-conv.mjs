// Layers forward and backward on one thread: the gradients that the operator table writes, other ways to write them, and
// PyTorch where it is installed (python3 with torch; OPENBLAS_CORETYPE is passed on).
// node bench/ops-conv.mjs [--seconds 1] (after the build); one JSON object per line, milliseconds that a quarter
// of the calls stay below (others use the machine too).
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { parseArgs } from "node:util";
import { Graph, gradients, operators, simplify, writeOnnx } from "../packages/core/dist/graph/index.js";

const { InferenceSession, Tensor } = createRequire(new URL("../packages/core/package.json", import.meta.url))(
  "onnxruntime-node",
);
const { values } = parseArgs({
  options: { seconds: { type: "string", default: "1" }, only: { type: "string", default: "" } },
});
const secondsEach = Number(values.seconds);

const conv = (name, image, weight, options = {}) => ({
  name,
  inputs: [image, weight, [weight[0]]],
  build: (x, w, b) => x.conv(w, { ...options, bias: b }),
  torch: `lambda x, w, b: F.conv${image.length - 2}d(x, w, b, ${options.strides?.[0] ?? 1}, ${options.pads?.[0] ?? 0}, ${options.dilations?.[0] ?? 1}, ${options.groups ?? 1})`,
  ways: {
    "weights by swapped axes": (x, w, _b, _y, dy) => [swappedWeights(x, dy, w, options)],
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

const cases = [
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
    name: "layerNorm 2048x128",
    inputs: [[2048, 128], [128], [128]],
    build: (x, scale, bias) => x.layerNorm(-1, { scale, bias }),
    torch: "lambda x, w, b: F.layer_norm(x, (128,), w, b)",
  },
  {
    name: "rmsNorm 2048x128",
    inputs: [[2048, 128], [128]],
    build: (x, scale) => x.rmsNorm(-1, { scale }),
    torch: "lambda x, w: x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * w",
  },
  {
    name: "groupNorm 8 of 64 channels, 14x14, batch 32",
    inputs: [[32, 64, 14, 14], [64], [64]],
    build: (x, scale, bias) => x.groupNorm(8, { scale, bias }),
    torch: "lambda x, w, b: F.group_norm(x, 8, w, b)",
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
].filter(({ name }) => name.includes(values.only));

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

function numbers(shape) {
  const count = shape.reduce((product, size) => product * size, 1);
  return Float32Array.from({ length: count }, (_, i) => (((i * 7919) % 1009) - 504) / 504);
}

/** Milliseconds that a quarter of the calls stay below. */
async function timed(call) {
  const times = [];
  for (const end = performance.now() + secondsEach * 1000; performance.now() < end || times.length < 5; ) {
    const start = performance.now();
    await call();
    times.push(performance.now() - start);
  }
  return Number(times.sort((a, b) => a - b)[times.length >> 2].toFixed(3));
}

/** The result and what `backward` makes of (inputs, y, dy), in one session; handed over as sums, since images stay inside. */
async function measure({ inputs, build }, backward) {
  const graph = new Graph();
  const tensors = inputs.map((shape, i) => graph.input("parameter", `x${i}`, { dtype: "float32", shape }));
  const y = build(...tensors);
  const dy = graph.input("column", "dy", { dtype: "float32", shape: y.shape });
  const made = backward(tensors, y, dy);
  if (made.includes(undefined)) return undefined;
  const simple = simplify(graph, [y, ...made]);
  const outputs = Object.fromEntries([y, ...made].map((tensor, i) => [`y${i}`, simple.map[tensor.id].sum()]));
  const session = await InferenceSession.create(writeOnnx(simple.graph, { outputs, opset: 23, name: "bench" }), {
    graphOptimizationLevel: "all",
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  const shapes = Object.fromEntries([...inputs.map((shape, i) => [`x${i}`, shape]), ["dy", y.shape]]);
  const feeds = Object.fromEntries(
    session.inputNames.map((name) => [name, new Tensor("float32", numbers(shapes[name]), shapes[name])]),
  );
  return timed(() => session.run(feeds));
}

/** PyTorch's times by case name; nothing where it is not installed. */
function torchTimes() {
  const script = `
import json, time
import torch, torch.nn.functional as F
torch.set_num_threads(1)
def timed(call):
    times = []
    end = time.perf_counter() + ${secondsEach}
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return round(sorted(times)[len(times) // 4] * 1e3, 3)
result = {}
for name, shapes, function in [${cases.map(({ name, inputs, torch }) => `(${JSON.stringify(name)}, ${JSON.stringify(inputs)}, ${torch})`).join(", ")}]:
    inputs = [torch.rand(shape).mul(2).sub(1).requires_grad_(True) for shape in shapes]
    dy = torch.rand_like(function(*inputs))
    result[name] = timed(lambda: torch.autograd.grad(function(*inputs), inputs, dy))
print(json.dumps(result))
`;
  const { status, stdout } = spawnSync("/usr/bin/python3", ["-c", script], { encoding: "utf8" });
  return status === 0 ? JSON.parse(stdout) : {};
}

const peers = torchTimes();
for (const item of cases) {
  const all = await measure(item, (inputs, y, dy) => gradients(y.mul(dy), inputs));
  const forward = await measure(item, () => []);
  const torch = peers[item.name];
  console.log(
    JSON.stringify({
      case: item.name,
      forward,
      all,
      ...(torch !== undefined && { torch, ratio: Number((all / torch).toFixed(2)) }),
    }),
  );
  for (const [i, shape] of item.inputs.entries()) {
    const own = await measure(item, (inputs, y, dy) => [gradients(y.mul(dy), [inputs[i]])[0]]);
    console.log(JSON.stringify({ case: item.name, way: `forward and the gradient of [${shape.join(",")}]`, ms: own }));
  }
  for (const [way, build] of Object.entries(item.ways ?? {})) {
    const ms = await measure(item, (inputs, y, dy) => build(...inputs, y, dy));
    if (ms !== undefined) console.log(JSON.stringify({ case: item.name, way: `forward and ${way}`, ms }));
  }
}
