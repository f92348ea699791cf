import { accuracy, mae, mean, mse } from "./metric.ts";

/** Metrics of a run file. */
export const metrics = { accuracy, mse, mae, mean } as const;

export type { Metric, SumsMetric } from "./metric.ts";
