import { TuttiError } from "../errors/index.ts";
import { batchAxis, shapeToString, type Tensor } from "../graph/index.ts";
import type { SumsMetric } from "./metric.ts";
import { mean, sumsOf } from "./sums.ts";

/** Mean squared error over all entries. Both float32, of one shape whose first axis is the batch. */
export function mse(prediction: Tensor, target: Tensor): SumsMetric {
  return mean(squaredError("mse", prediction, target));
}

/** Root of the mean squared error over all entries. Both float32, of one shape whose first axis is the batch. */
export function rmse(prediction: Tensor, target: Tensor): SumsMetric {
  const { perSample, length } = mean(squaredError("rmse", prediction, target));
  return { kind: "sums", perSample, length, finish: (total) => Math.sqrt(total[0]! / total[1]!) };
}

/** Mean absolute error over all entries. Both float32, of one shape whose first axis is the batch. */
export function mae(prediction: Tensor, target: Tensor): SumsMetric {
  return mean(perRow(differenceOf("mae", prediction, target).abs()));
}

/**
 * Coefficient of determination 1 − Σ(y−p)²/Σ(y−ȳ)² over all entries, as sklearn's r2_score of flattened arrays; the total
 * variation is taken from sums of y and y², so targets far from zero should be normalised. −∞ or NaN for constant targets.
 */
export function r2(prediction: Tensor, target: Tensor): SumsMetric {
  const squares = squaredError("r2", prediction, target);
  return sumsOf([squares, perRow(target), perRow(target.mul(target))], ([error, sum, square], count) => {
    return 1 - error! / (square! - (sum! * sum!) / count);
  });
}

function squaredError(name: string, prediction: Tensor, target: Tensor): Tensor {
  const difference = differenceOf(name, prediction, target);
  return perRow(difference.mul(difference));
}

function differenceOf(name: string, prediction: Tensor, target: Tensor): Tensor {
  const shapes = [prediction, target].map((tensor) => `${tensor.dtype}${shapeToString(tensor.shape)}`);
  if (prediction.dtype !== "float32" || shapes[0] !== shapes[1] || batchAxis(prediction.shape) !== 0) {
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `metrics.${name}: expected float32 of one shape with the batch first, found ${shapes.join(" and ")}`,
    );
  }
  return prediction.sub(target);
}

/** [k·N, …] → [k·N], the mean over the other axes. */
function perRow(values: Tensor): Tensor {
  return values.rank === 1 ? values : values.mean(values.shape.slice(1).map((_, i) => i + 1));
}
