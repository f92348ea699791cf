import { TuttiError } from "../../errors/index.ts";
import type { Attributes } from "../node.ts";
import type { GradientContext, Op } from "../op.ts";
import { isBatch, type Shape, sameDim, sameShape, shapeToString, staticShape, type TensorType } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { expectDType, floats, indexTypes, inputType, refuseBatchAxis, sharedDType } from "../type-rules.ts";
import { zeroLike } from "./elementwise-rules.ts";
import { scatterAlong } from "./scatter.ts";

const attributes = { ignore_index: "int", reduction: "string" } as const;

function reductionOf(values: Attributes): unknown {
  return values.reduction ?? "mean";
}

/** Type of the loss of scores [N,C,…], labels [N,…] and weights [C]: that of the labels, or a number when reduced. */
function lossType(inputs: readonly (TensorType | null)[], values: Attributes, at: string): TensorType {
  const [scores, labels, weights] = [inputType(inputs, 0, at), inputType(inputs, 1, at), inputs[2] ?? null];
  const dtype = sharedDType([scores, weights], at);
  expectDType(dtype, floats, at);
  expectDType(labels.dtype, indexTypes, at, "label");
  const classes = scores.shape[1];
  const expected: Shape = scores.shape.filter((_, axis) => axis !== 1);
  const fits =
    classes !== undefined &&
    !isBatch(classes) &&
    sameShape(labels.shape, expected) &&
    (weights === null || (weights.shape.length === 1 && sameDim(weights.shape[0]!, classes)));
  if (!fits) {
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `${at}: scores ${shapeToString(scores.shape)}, labels ${shapeToString(labels.shape)}${weights === null ? "" : `, weights ${shapeToString(weights.shape)}`}: expected [N,C,…], [N,…] and [C]`,
    );
  }
  const reduction = reductionOf(values);
  if (reduction === "none") return { dtype, shape: labels.shape };
  if (reduction !== "mean" && reduction !== "sum")
    throw new TuttiError("SHAPE_MISMATCH", `${at}: reduction ${String(reduction)}, expected none, mean or sum`);
  for (const axis of labels.shape.keys())
    refuseBatchAxis(labels.shape, axis, at, "reduces", 'use reduction "none": the mean over samples is taken outside');
  return { dtype, shape: [] };
}

interface LossGradients {
  /** By the log-probabilities. */
  readonly logs: Tensor;
  /** What a label's entry of the log-probabilities gets, negated, with an axis of size 1 for the classes: 0 where ignored. */
  readonly perLabel: Tensor;
  /** Whether an entry of the log-probabilities is its label's. */
  readonly isLabel: Tensor;
  readonly weights: Tensor | null;
}

/*
 * With p = log-probabilities, v_i = (label i is not ignored), w_i = weight of label i, W = Σ v·w, g = dy, broadcast:
 * none, sum:  L_i = -v_i·w_i·p_i:      dp_i = -g·v_i·w_i,     dw_c = Σ over labels c of -g·v_i·p_i
 * mean:       L = Σ L_i / W:           dp_i = -g·v_i·w_i/W,   dw_c = Σ over labels c of g·v_i·(-p_i - L)/W
 */
function lossGradients(context: GradientContext, logs: Tensor): LossGradients {
  const { inputs, outputs, attributes: values, dy, needs } = context;
  const [labels, weights, gradient] = [inputs[1]!, inputs[2] ?? null, dy[0]!];
  const ignored = values.ignore_index;
  const valid = typeof ignored === "number" ? labels.equal(ignored).not() : null;
  const safe = valid === null ? labels : valid.where(labels, zeroLike(labels));
  const keep = (tensor: Tensor): Tensor =>
    valid === null ? tensor : valid.where(tensor, zeroLike(tensor)).expand(labels.shape);
  const weightOf = weights?.gather(safe) ?? gradient.graph.scalar(1, gradient.dtype).expand(labels.shape);
  const mean = reductionOf(values) === "mean";
  const share = mean ? gradient.div(keep(weightOf).sum()) : gradient;
  const perLabel = keep(share.mul(weightOf)).unsqueeze(1);
  const classes = staticShape(logs.shape)[1]!;
  const isLabel = safe.cast("int64").unsqueeze(1).equal(classNumbers(logs, classes));
  const zero = zeroLike(logs);
  return {
    logs: isLabel.where(perLabel.neg(), zero),
    perLabel,
    isLabel,
    weights: weights !== null && needs[2] === true ? weightGradient() : null,
  };

  function weightGradient(): Tensor {
    const own = logs.gatherElements(safe.unsqueeze(1), 1).squeeze(1).neg();
    const excess = mean ? own.sub(outputs[0]!) : own;
    const count = labels.shape.reduce<number>((product, dim) => product * Number(dim), 1);
    return scatterAlong(keep(share.mul(excess)).reshape([count]), safe.reshape([count]), 0, classes);
  }
}

/** 0 … C-1 along axis 1. */
function classNumbers(like: Tensor, classes: number): Tensor {
  const values = BigInt64Array.from({ length: classes }, (_, i) => BigInt(i));
  return like.graph.constant(values, [classes, ...Array.from({ length: like.rank - 2 }, () => 1)], "int64");
}

export const negativeLogLikelihoodLoss: Op = {
  type: "NegativeLogLikelihoodLoss",
  label: "negativeLogLikelihoodLoss",
  domain: "",
  arity: [2, 3],
  attributes,
  infer: (inputs, values, at) => [lossType(inputs, values, at)],
  gradient(context) {
    const { logs, weights } = lossGradients(context, context.inputs[0]!);
    return [logs, null, weights];
  },
};

// Two outputs: the loss of p = log softmax(scores) over axis 1, and p. dscores = dp - exp(p)·Σ dp, dp from both
export const softmaxCrossEntropyLoss: Op = {
  type: "SoftmaxCrossEntropyLoss",
  label: "softmaxCrossEntropyLoss",
  requiredOutputs: 1,
  domain: "",
  arity: [2, 3],
  attributes,
  infer: (inputs, values, at) => [lossType(inputs, values, at), inputType(inputs, 0, at)],
  gradient(context) {
    const [logs, fromLoss, fromLogs] = [context.outputs[1]!, context.dy[0] ?? null, context.dy[1] ?? null];
    const backward = (dp: Tensor): Tensor => dp.sub(logs.exp().mul(dp.sum(1, true)));
    if (fromLoss === null) return [fromLogs && backward(fromLogs), null, null];
    const { perLabel, isLabel, weights } = lossGradients(context, logs);
    const probabilities = logs.exp();
    // (exp p - [is label])·what the label gets: Σ dp is known without a sum.
    const scores = perLabel.mul(isLabel.where(probabilities.sub(1), probabilities));
    return [fromLogs === null ? scores : scores.add(backward(fromLogs)), null, weights];
  },
};
