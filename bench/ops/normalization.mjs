// Normalisations for bench/ops.mjs: shapes, how PyTorch says it, and other ways to write them.
import { gradients, operators } from "../../packages/core/dist/graph/index.js";

const ones = (x, shape) => x.graph.scalar(1, "float32").expand(shape);

/** Rows brought to mean 0 and variance 1, and 1/√(variance + ε). */
function standardised(rows) {
  const scale = ones(rows, [rows.shape[1]]);
  const [xhat, , inverse] = rows.graph.apply(operators.get(":LayerNormalization"), [rows, scale], {
    axis: 1,
    epsilon: 1e-5,
  });
  return { xhat, inverse };
}

/** The means of the gradient by products with the scale as a column. */
function layerNormByProducts(x, scale, _bias, _y, dy) {
  const width = x.shape[1];
  const { xhat, inverse } = standardised(x);
  const along = dy.mul(xhat);
  const column = scale.mul(1 / width).reshape([width, 1]);
  const dx = dy
    .mul(scale)
    .sub(dy.matmul(column))
    .sub(xhat.mul(along.matmul(column)))
    .mul(inverse);
  return [dx, along.sum(0), dy.sum(0)];
}

/** Mean and deviation are those that the forward operator gives. */
function layerNormByOutputs(x, scale, bias, _y, dy) {
  const norm = operators.get(":LayerNormalization");
  const [, mean, inverse] = x.graph.apply(norm, [x, scale, bias], { axis: 1, epsilon: 1e-5 });
  const xhat = x.sub(mean).mul(inverse);
  const dxhat = dy.mul(scale);
  const dx = dxhat
    .sub(dxhat.mean(1, true))
    .sub(xhat.mul(dxhat.mul(xhat).mean(1, true)))
    .mul(inverse);
  return [dx, dy.mul(xhat).sum(0), dy.sum(0)];
}

/** As layer normalisation, a product and a sum, each with its own gradient. */
function groupNormOfParts(groups) {
  return (x, scale, bias, _y, dy) => {
    const [samples, channels, ...sizes] = x.shape;
    const places = sizes.reduce((a, b) => a * b, 1);
    const rows = x.reshape([samples * groups, (channels / groups) * places]);
    const perChannel = (t) => t.reshape([channels, ...sizes.map(() => 1)]);
    const y = rows.layerNorm(1).reshape(x.shape).mul(perChannel(scale)).add(perChannel(bias));
    return gradients(y.mul(dy), [x, scale, bias]);
  };
}

export const normalizationCases = [
  {
    name: "layerNorm 2048x128",
    inputs: [[2048, 128], [128], [128]],
    build: (x, scale, bias) => x.layerNorm(-1, { scale, bias }),
    torch: "lambda x, w, b: F.layer_norm(x, (128,), w, b)",
    ways: { "means by products": layerNormByProducts, "the operator's own statistics": layerNormByOutputs },
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
    ways: { "of its parts": groupNormOfParts(8) },
  },
];
