import { TuttiError } from "../errors/index.ts";
import { isBatch, sameDim, sameShape, type Tensor } from "../graph/index.ts";
import { expectSame, mismatch, perSample } from "./losses.ts";

export interface NllOptions {
  /** A weight for each class, at least 0; the mean over samples divides by the sum of the labels' weights, as in PyTorch. */
  readonly weight?: readonly number[];
  /** Labels of this value do not count. */
  readonly ignoreIndex?: number;
}

export interface CrossEntropyOptions extends NllOptions {
  /** ε: the target becomes (1 − ε)·label + ε/C; 0 by default (Szegedy et al. 2015). */
  readonly labelSmoothing?: number;
}

/**
 * Cross-entropy −log softmax(logits)[label] of each sample or token, PyTorch's cross_entropy. With class weights or
 * ignoreIndex the result carries them as its loss weight, so that the run's mean is PyTorch's. Right for large logits and for
 * −∞ in classes that are not the label (without label smoothing).
 *
 * @param logits float32 [k·N, C, …], the classes on axis 1.
 * @param labels integers [k·N, …] in [0, C); a column's are checked when the batch is read (DATA_INVALID); computed
 *   ones outside are refused by the engine.
 * @returns float32 [k·N, …].
 * @throws TuttiError SHAPE_MISMATCH, BAD_OPTION.
 */
export function crossEntropy(logits: Tensor, labels: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const classes = expectLabels("crossEntropy", logits, labels);
  const { labelSmoothing = 0 } = options;
  if (!(labelSmoothing >= 0 && labelSmoothing < 1)) {
    throw new TuttiError(
      "BAD_OPTION",
      `nn.crossEntropy: labelSmoothing: expected 0 up to below 1, found ${labelSmoothing}`,
    );
  }
  const logs = logits.logSoftmax(1);
  const picked = pick("crossEntropy", logs, labels, classes, options);
  if (labelSmoothing === 0) return picked.finish(picked.loss);
  return picked.finish(
    picked.loss.mul(1 - labelSmoothing).add(smoothing(logs, picked, options, labelSmoothing / classes)),
  );
}

/**
 * −logProbabilities[label] of each sample or token, PyTorch's nll_loss; arguments, result and errors as for `crossEntropy`.
 */
export function nll(logProbabilities: Tensor, labels: Tensor, options: NllOptions = {}): Tensor {
  const classes = expectLabels("nll", logProbabilities, labels);
  const picked = pick("nll", logProbabilities, labels, classes, options);
  return picked.finish(picked.loss);
}

/**
 * Binary cross-entropy of logits, averaged over all axes but the first, as torch's binary_cross_entropy_with_logits:
 * −p·y·log σ(x) − (1 − y)·log(1 − σ(x)), right for large |x|.
 *
 * @param logits float32 [k·N, …]. @param targets float32 of the same shape, from 0 to 1.
 * @param options posWeight: p, a number or one for each entry of the last axis.
 */
export function bceWithLogits(
  logits: Tensor,
  targets: Tensor,
  options: { readonly posWeight?: number | readonly number[] } = {},
): Tensor {
  expectSame("bceWithLogits", logits, targets);
  const { posWeight = 1 } = options;
  const list = typeof posWeight === "number" ? [posWeight] : posWeight;
  if ((list.length !== 1 && list.length !== logits.shape.at(-1)) || list.some((value) => !(value >= 0))) {
    throw new TuttiError(
      "BAD_OPTION",
      `nn.bceWithLogits: posWeight: expected a number of at least 0, or one for each entry of the last axis, found ${JSON.stringify(posWeight)}`,
    );
  }
  const { graph } = logits;
  const penalty = logits.neg().softplus();
  const wrong = logits.mul(targets.neg().add(1));
  if (posWeight === 1) return perSample(wrong.add(penalty));
  const extra = graph.constant(
    Float32Array.from(list, (value) => value - 1),
    list.length === 1 ? [] : [list.length],
    "float32",
  );
  return perSample(wrong.add(targets.mul(extra).add(1).mul(penalty)));
}

interface Picked {
  /** −log-probability of the label; of class 0 for ignored labels. */
  readonly loss: Tensor;
  /** Weight of the label's class and whether it counts; null if all weigh 1. */
  readonly weight: Tensor | null;
  /** Zeroes what is ignored and attaches the weight. */
  finish(loss: Tensor): Tensor;
}

function pick(
  name: string,
  logs: Tensor,
  labels: Tensor,
  classes: number,
  { weight, ignoreIndex }: NllOptions,
): Picked {
  const { graph } = logs;
  const indices = labels.cast("int64");
  const ignored = ignoreIndex === undefined ? null : indices.equal(integer(name, ignoreIndex));
  const counted = ignored === null ? indices : ignored.where(graph.scalar(0, "int64"), indices);
  // Negative indices would count from the end.
  const inRange = counted.less(0).where(graph.scalar(classes, "int64"), counted);
  const loss = logs.gatherElements(inRange.unsqueeze(1), 1).squeeze(1).neg();
  const zero = graph.scalar(0, "float32");
  const ofClass = weight === undefined ? null : classWeights(name, logs, weight, classes).gather(inRange);
  const ones = graph.scalar(1, "float32");
  const total = ignored === null ? ofClass : ignored.where(zero, ofClass ?? ones);
  return {
    loss,
    weight: ofClass,
    finish: (value) => {
      const kept = ignored === null ? value : ignored.where(zero, value);
      return total === null ? kept : kept.withLossWeight(total);
    },
  };
}

/** (ε/C)·Σ_c w_c·(−log p_c), divided by the label's weight, which the mean multiplies by again. */
function smoothing(logs: Tensor, { weight }: Picked, options: NllOptions, share: number): Tensor {
  if (weight === null || options.weight === undefined) return logs.sum(1).mul(-share);
  if (options.weight.some((value) => value === 0)) {
    throw new TuttiError("BAD_OPTION", "nn.crossEntropy: weight: label smoothing needs class weights above 0");
  }
  const classes = options.weight.length;
  const perClass = classWeights("crossEntropy", logs, options.weight, classes).reshape([
    classes,
    ...logs.shape.slice(2).map(() => 1),
  ]);
  return logs.mul(perClass).sum(1).mul(-share).div(weight);
}

function classWeights(name: string, logs: Tensor, weight: readonly number[], classes: number): Tensor {
  if (weight.length !== classes || weight.some((value) => !(value >= 0 && value < Number.POSITIVE_INFINITY))) {
    throw new TuttiError(
      "BAD_OPTION",
      `nn.${name}: weight: expected ${classes} numbers of at least 0, found ${JSON.stringify(weight)}`,
    );
  }
  return logs.graph.constant(Float32Array.from(weight), [classes], "float32");
}

function integer(name: string, value: number): number {
  if (Number.isSafeInteger(value)) return value;
  throw new TuttiError("BAD_OPTION", `nn.${name}: ignoreIndex: expected an integer, found ${value}`);
}

/** C. Throws SHAPE_MISMATCH unless scores are [k·N, C, …] and labels integers [k·N, …]. */
function expectLabels(name: string, scores: Tensor, labels: Tensor): number {
  const classes = scores.shape[1];
  const rest = scores.shape.filter((_, axis) => axis !== 1);
  if (scores.dtype !== "float32" || classes === undefined || isBatch(classes) || !sameShape(rest, labels.shape)) {
    throw mismatch(name, "logits float32[N,C,…] and labels [N,…]", [scores, labels], labelHint(scores, labels));
  }
  if (!/^u?int/.test(labels.dtype)) {
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `${scores.graph.at(`nn.${name}`)}: expected integer labels, found ${labels.dtype}; declare the column as an integer`,
    );
  }
  return classes;
}

function labelHint(logits: Tensor, labels: Tensor): string {
  const trailing = labels.shape[1];
  if (labels.rank === 2 && logits.rank === 2 && trailing === 1)
    return "; use labels.flatten(0) or a column without that axis";
  if (logits.rank === 3 && labels.rank === 2 && trailing !== undefined && sameDim(trailing, logits.shape[1]!)) {
    return "; the classes are axis 1: flatten tokens into the first axis, or transpose";
  }
  return "";
}
