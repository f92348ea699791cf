import { TuttiError } from "../errors/index.ts";
import { isBatch, sameDim, sameShape, shapeToString, type Tensor } from "../graph/index.ts";

/**
 * Mean squared error of each sample: (prediction − target)², averaged over all axes but the first. Not reduced over
 * samples: that is done once, over the global batch.
 *
 * @param prediction float32 [k·N, …].
 * @param target of the same dtype and shape.
 * @returns float32 [k·N].
 * @throws TuttiError SHAPE_MISMATCH.
 */
export function mse(prediction: Tensor, target: Tensor): Tensor {
  const at = prediction.graph.at("nn.mse");
  if (prediction.dtype !== "float32" || target.dtype !== "float32" || !sameShape(prediction.shape, target.shape)) {
    const found = [prediction, target].map((tensor) => `${tensor.dtype}${shapeToString(tensor.shape)}`);
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `${at}: expected prediction and target as float32 of one shape, found ${found.join(" and ")}; use .reshape or .cast`,
    );
  }
  const difference = prediction.sub(target);
  const squares = difference.mul(difference);
  return squares.rank <= 1 ? squares : squares.mean(squares.shape.slice(1).map((_, axis) => axis + 1));
}

/**
 * Cross-entropy −log softmax(logits)[label] of each sample or token, PyTorch's cross_entropy with reduction "none".
 * Right for large logits and for −∞ in classes that are not the label.
 *
 * @param logits float32 [k·N, C, …], the classes on axis 1.
 * @param labels integers [k·N, …] in [0, C); a column's are checked when the batch is read (DATA_INVALID); computed
 *   ones outside are refused by the engine.
 * @returns float32 [k·N, …].
 * @throws TuttiError SHAPE_MISMATCH.
 */
export function crossEntropy(logits: Tensor, labels: Tensor): Tensor {
  const at = logits.graph.at("nn.crossEntropy");
  const classes = logits.shape[1];
  const rest = logits.shape.filter((_, axis) => axis !== 1);
  if (logits.dtype !== "float32" || classes === undefined || isBatch(classes) || !sameShape(rest, labels.shape)) {
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `${at}: expected logits float32[N,C,…] and labels [N,…], found ${logits.dtype}${shapeToString(logits.shape)} and ${labels.dtype}${shapeToString(labels.shape)}${labelHint(logits, labels)}`,
    );
  }
  if (!/^u?int/.test(labels.dtype)) {
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `${at}: expected integer labels, found ${labels.dtype}; declare the column as an integer`,
    );
  }
  const indices = labels.cast("int64");
  // Negative indices would count from the end.
  const inRange = indices.less(0).where(logits.graph.scalar(classes, "int64"), indices);
  return logits.logSoftmax(1).gatherElements(inRange.unsqueeze(1), 1).squeeze(1).neg();
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
