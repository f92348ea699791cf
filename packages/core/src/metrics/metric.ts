import { TuttiError } from "../errors/index.ts";
import { batchAxis, isBatch, isFloat, shapeToString, type Tensor } from "../graph/index.ts";

/**
 * A metric that is a function of sums over samples, so that it is exact on any sharding: the rows of `perSample` are added
 * over each shard in float32, over shards and steps in float64 in shard order, then finished.
 */
export interface SumsMetric {
  readonly kind: "sums";
  /** Float32, [k·N] or [k·N, length]. */
  readonly perSample: Tensor;
  readonly length: number;
  /** @param total the `length` sums over all samples. */
  finish(total: Float64Array): number;
}

export type Metric = SumsMetric;

/** Share of entries whose largest logit is at the label. @param logits [k·N, C] @param labels integer [k·N]. */
export function accuracy(logits: Tensor, labels: Tensor): SumsMetric {
  const [samples, classes] = logits.shape;
  if (logits.rank !== 2 || isBatch(classes) || labels.rank !== 1 || !fits(samples, labels.shape[0])) {
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `metrics.accuracy: expected logits [N,C] and labels [N], found ${shapeToString(logits.shape)} and ${shapeToString(labels.shape)}`,
    );
  }
  return mean(logits.argmax(1).equal(labels.cast("int64")).cast("float32"));
}

/** Mean squared error over all entries. Both float32, of one shape whose first axis is the batch. */
export function mse(prediction: Tensor, target: Tensor): SumsMetric {
  const difference = differenceOf("mse", prediction, target);
  return mean(perRow(difference.mul(difference)));
}

/** Mean absolute error over all entries. Both float32, of one shape whose first axis is the batch. */
export function mae(prediction: Tensor, target: Tensor): SumsMetric {
  return mean(perRow(differenceOf("mae", prediction, target).abs()));
}

/** Mean over samples of a float32 value [k·N]. */
export function mean(values: Tensor): SumsMetric {
  if (values.rank !== 1 || batchAxis(values.shape) !== 0 || values.dtype !== "float32") {
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `metrics.mean: expected float32[N], found ${values.dtype}${shapeToString(values.shape)}`,
    );
  }
  const { graph } = values;
  const column = values.reshape([...values.shape, 1]);
  const value = graph.constant(Float32Array.of(1, 0), [2], "float32");
  const count = graph.constant(Float32Array.of(0, 1), [2], "float32");
  return {
    kind: "sums",
    perSample: column.mul(value).add(count),
    length: 2,
    finish: (total) => total[0]! / total[1]!,
  };
}

function differenceOf(name: string, prediction: Tensor, target: Tensor): Tensor {
  const shapes = [prediction, target].map((tensor) => `${tensor.dtype}${shapeToString(tensor.shape)}`);
  if (!isFloat(prediction.dtype) || shapes[0] !== shapes[1] || batchAxis(prediction.shape) !== 0) {
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `metrics.${name}: expected floats of one shape with the batch first, found ${shapes.join(" and ")}`,
    );
  }
  return prediction.sub(target);
}

/** [k·N, …] → [k·N], the mean over the other axes. */
function perRow(values: Tensor): Tensor {
  return values.rank === 1 ? values : values.mean(values.shape.slice(1).map((_, i) => i + 1));
}

function fits(a: Tensor["shape"][number] | undefined, b: Tensor["shape"][number] | undefined): boolean {
  return isBatch(a) && isBatch(b) && a.timesN === b.timesN;
}
