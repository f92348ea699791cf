import { TuttiError } from "../errors/index.ts";
import { isBatch, sameDim, sameShape, shapeToString, type Tensor } from "../graph/index.ts";
import { requirePositive } from "./sizes.ts";

// No loss reduces over samples: that is done once, over the global batch.

/**
 * Mean squared error of each sample: (prediction − target)², averaged over all axes but the first.
 *
 * @param prediction float32 [k·N, …].
 * @param target of the same dtype and shape.
 * @returns float32 [k·N].
 * @throws TuttiError SHAPE_MISMATCH.
 */
export function mse(prediction: Tensor, target: Tensor): Tensor {
  const difference = differenceOf("mse", prediction, target);
  return perSample(difference.mul(difference));
}

/** Mean absolute error of each sample; arguments, result and errors as for `mse`. The gradient at 0 is 0. */
export function l1(prediction: Tensor, target: Tensor): Tensor {
  return perSample(differenceOf("l1", prediction, target).abs());
}

/**
 * Huber's loss (1964) of each sample, averaged as in `mse`: ½d² while |d| < δ, else δ(|d| − ½δ), as torch's huber_loss.
 * Throws BAD_OPTION unless delta > 0.
 */
export function huber(prediction: Tensor, target: Tensor, options: { readonly delta?: number } = {}): Tensor {
  const { delta = 1 } = options;
  requirePositive("nn.huber: delta", delta);
  const distance = differenceOf("huber", prediction, target).abs();
  const near = distance.minimum(delta);
  return perSample(near.mul(distance.sub(near.mul(0.5))));
}

/** ½d²/β while |d| < β, else |d| − ½β, as torch's smooth_l1_loss: `huber` with delta β, divided by β. */
export function smoothL1(prediction: Tensor, target: Tensor, options: { readonly beta?: number } = {}): Tensor {
  const { beta = 1 } = options;
  requirePositive("nn.smoothL1: beta", beta);
  return huber(prediction, target, { delta: beta }).div(beta);
}

/**
 * Kullback-Leibler divergence Σ target·(log target − input) of each sample, summed over all axes but the first (torch's
 * kl_div with reduction "batchmean" once averaged); 0 where the target is 0.
 *
 * @param input log-probabilities, float32 [k·N, …]. @param target probabilities of the same shape, or their logarithms.
 */
export function klDiv(input: Tensor, target: Tensor, options: { readonly logTarget?: boolean } = {}): Tensor {
  expectSame("klDiv", input, target);
  if (options.logTarget === true) return rowSum(target.exp().mul(target.sub(input)));
  const { graph } = input;
  const [zero, one] = [graph.scalar(0, "float32"), graph.scalar(1, "float32")];
  const isPositive = target.greater(0);
  return rowSum(target.mul(isPositive.where(isPositive.where(target, one).log().sub(input), zero)));
}

/**
 * max(0, margin − target·score) of each sample, averaged as in `mse`. @param target −1 or 1, float32.
 * The gradient is 0 at the margin.
 */
export function hinge(score: Tensor, target: Tensor, options: { readonly margin?: number } = {}): Tensor {
  expectSame("hinge", score, target);
  const { margin = 1 } = options;
  return perSample(score.mul(target).neg().add(margin).relu());
}

/**
 * Loss of pairs by the cosine of their angle, as torch's cosine_embedding_loss: 1 − cos for target 1, max(0, cos − margin)
 * for target −1. @param a @param b float32 [k·N, n]. @param target float32 [k·N]. @returns float32 [k·N].
 */
export function cosineEmbedding(
  a: Tensor,
  b: Tensor,
  target: Tensor,
  options: { readonly margin?: number } = {},
): Tensor {
  expectSame("cosineEmbedding", a, b);
  const { margin = 0 } = options;
  if (a.rank !== 2 || target.rank !== 1 || !sameDim(a.shape[0]!, target.shape[0]!) || target.dtype !== "float32") {
    throw mismatch("cosineEmbedding", "float32[N,n] twice and a target float32[N]", [a, b, target]);
  }
  const squares = (x: Tensor): Tensor => x.mul(x).sum(1).add(1e-12); // PyTorch's
  const cosine = a
    .mul(b)
    .sum(1)
    .div(squares(a).mul(squares(b)).sqrt());
  return target.greater(0).where(cosine.neg().add(1), cosine.sub(margin).relu());
}

function differenceOf(name: string, prediction: Tensor, target: Tensor): Tensor {
  expectSame(name, prediction, target);
  return prediction.sub(target);
}

/** Throws SHAPE_MISMATCH unless both are float32 of one shape. */
export function expectSame(name: string, a: Tensor, b: Tensor): void {
  if (a.dtype === "float32" && b.dtype === "float32" && sameShape(a.shape, b.shape)) return;
  throw mismatch(name, "prediction and target as float32 of one shape", [a, b], "; use .reshape or .cast");
}

export function mismatch(name: string, expected: string, found: readonly Tensor[], hint = ""): TuttiError {
  const shapes = found.map((tensor) => `${tensor.dtype}${shapeToString(tensor.shape)}`);
  return new TuttiError(
    "SHAPE_MISMATCH",
    `${found[0]!.graph.at(`nn.${name}`)}: expected ${expected}, found ${shapes.join(" and ")}${hint}`,
  );
}

/** [k·N, …] → [k·N], the mean over the other axes. */
export function perSample(values: Tensor): Tensor {
  return values.rank <= 1 ? values : values.mean(behindSamples(values));
}

function rowSum(values: Tensor): Tensor {
  return values.rank <= 1 ? values : values.sum(behindSamples(values));
}

function behindSamples({ shape }: Tensor): readonly number[] {
  return shape.flatMap((dim, axis) => (axis === 0 || isBatch(dim) ? [] : [axis]));
}
