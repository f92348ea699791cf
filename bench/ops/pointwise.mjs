// Activations, attention, embeddings and losses for bench/ops.mjs: shapes, how PyTorch says it, other ways to write the gradients.
import { operators } from "../../packages/core/dist/graph/index.js";

const hardSigmoid = operators.get(":HardSigmoid");

/** Φ(x) from the forward result, x·Φ(x), instead of the error function. */
function geluBySlope(x, y, dy) {
  const below = y.add(5e-31).div(x.add(1e-30));
  const density = x.mul(x).mul(-0.5).exp();
  return [dy.mul(below.add(x.mul(density).mul(1 / Math.sqrt(2 * Math.PI))))];
}

export const pointwiseCases = [
  {
    name: "relu 1M",
    inputs: [[1024, 1024]],
    build: (x) => x.relu(),
    torch: "lambda x: F.relu(x)",
    ways: {
      "times a hard sigmoid": (x, _y, dy) => [dy.mul(x.graph.apply(hardSigmoid, [x], { alpha: 1e38, beta: 0 })[0])],
      "where greater": (x, _y, dy) => [x.greater(0).where(dy, x.graph.scalar(0, "float32"))],
    },
  },
  {
    name: "gelu 1024x512",
    inputs: [[1024, 512]],
    build: (x) => x.gelu(),
    torch: "lambda x: F.gelu(x)",
    ways: { "from the result": geluBySlope },
  },
  {
    name: "softmax attention, 16x4 heads, 64 places of 32",
    inputs: [
      [16, 4, 64, 32],
      [16, 4, 64, 32],
      [16, 4, 64, 32],
    ],
    build: (q, k, v) =>
      q
        .matmul(k.transpose([0, 1, 3, 2]))
        .softmax(-1)
        .matmul(v),
    torch: "lambda q, k, v: F.softmax(q @ k.transpose(-2, -1), dim=-1) @ v",
    ways: {
      // Σ dy·y of the softmax over a row is Σ of the result times its gradient.
      "row sums of the result": (q, k, v, y, dy) => {
        const weights = q.matmul(k.transpose([0, 1, 3, 2])).softmax(-1);
        const dweights = dy.matmul(v.transpose([0, 1, 3, 2]));
        const dscores = weights.mul(dweights.sub(dy.mul(y).sum(-1, true)));
        const swap = [0, 1, 3, 2];
        return [dscores.matmul(k), dscores.transpose(swap).matmul(q), weights.transpose(swap).matmul(dy)];
      },
    },
  },
  {
    name: "embedding of 1024 in 65 symbols of 128",
    inputs: [[65, 128]],
    indices: { shape: [1024], below: 65 },
    build: (weight, indices) => weight.gather(indices, 0),
    torch: "lambda w, i: F.embedding(i, w)",
    ways: {
      "one-hot and product": (weight, indices, _y, dy) => [
        indices.oneHot(weight.shape[0]).cast("float32").gemm(dy, { transA: true }),
      ],
    },
  },
  {
    name: "embedding of 1024 in 20,000 symbols of 128",
    inputs: [[20_000, 128]],
    indices: { shape: [1024], below: 20_000 },
    build: (weight, indices) => weight.gather(indices, 0),
    torch: "lambda w, i: F.embedding(i, w)",
  },
  {
    name: "linear 1024x128 to 512",
    inputs: [[1024, 128], [512, 128], [512]],
    build: (x, w, b) => x.gemm(w, { transB: true, addend: b }),
    torch: "lambda x, w, b: F.linear(x, w, b)",
    ways: {
      "weights by a transpose of their own": (x, w, _b, _y, dy) => [
        dy.gemm(w),
        dy.reshape([1, 1024, 512]).transpose([0, 2, 1]).reshape([512, 1024]).gemm(x),
        dy.sum(0),
      ],
    },
  },
];
