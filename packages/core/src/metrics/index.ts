import { accuracy, auc, confusionMatrix, f1, precision, recall, topK } from "./classification.ts";
import { mae, mse, r2, rmse } from "./regression.ts";
import { mean, perplexity } from "./sums.ts";

/**
 * Metrics of a run file.
 *
 * @namespace
 */
export const metrics = {
  accuracy,
  topK,
  precision,
  recall,
  f1,
  confusionMatrix,
  auc,
  mse,
  rmse,
  mae,
  r2,
  perplexity,
  mean,
} as const;

export type { AverageOptions } from "./classification.ts";
export {
  type CollectMetric,
  collectMetrics,
  type Figures,
  type Metric,
  named,
  type SumsMetric,
  sumsMetrics,
} from "./metric.ts";
