import { TuttiError } from "../errors/index.ts";
import { batchAxis, shapeToString, type Tensor } from "../graph/index.ts";
import type { Figures, SumsMetric } from "./metric.ts";

/** Mean over samples of a float32 value [k·N]. */
export function mean(values: Tensor): SumsMetric {
  return sumsOf([values], ([sum], count) => sum! / count);
}

/**
 * exp of the mean loss: PyTorch users' perplexity of a cross-entropy in nats. Entries count by the loss's own weight (such
 * as ignoreIndex) if it has one. @param loss float32 [k·N, …].
 */
export function perplexity(loss: Tensor): SumsMetric {
  const { lossWeight } = loss;
  const rows = (tensor: Tensor): Tensor =>
    tensor.rank > 1 ? tensor.sum(tensor.shape.slice(1).map((_, i) => i + 1)) : tensor;
  const plain = loss.withLossWeight(undefined);
  const weighted = lossWeight === undefined ? plain : plain.mul(lossWeight);
  const weight = (lossWeight ?? loss.graph.scalar(1, "float32")).expand(plain.shape);
  return sumsOf([rows(weighted), rows(weight)], ([sum, total]) => Math.exp(sum! / total!));
}

/** Sums of columns [k·N] or [k·N, n], float32, and the number of entries. */
export function sumsOf(columns: readonly Tensor[], finish: (sums: Float64Array, count: number) => Figures): SumsMetric {
  const first = columns[0]!;
  for (const { dtype, shape } of columns) {
    if (shape.length > 2 || batchAxis(shape) !== 0 || dtype !== "float32") {
      throw new TuttiError("SHAPE_MISMATCH", `metrics: expected float32[N], found ${dtype}${shapeToString(shape)}`);
    }
  }
  const as2d = columns.map((column) => (column.rank === 2 ? column : column.reshape([...column.shape, 1])));
  const ones = first.graph.scalar(1, "float32").expand([first.shape[0]!, 1]);
  const [head, ...rest] = [...as2d, ones];
  const perSample = head!.concat(rest, 1);
  const length = Number(perSample.shape[1]);
  return {
    kind: "sums",
    perSample,
    length,
    finish: (total) => finish(total.subarray(0, length - 1), total[length - 1]!),
  };
}
