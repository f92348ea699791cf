import type { Tensor, TypedValues } from "../graph/index.ts";

/** One figure, or several under names. */
export type Figures = number | Readonly<Record<string, number>>;

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
  finish(total: Float64Array): Figures;
}

/** A metric of whole columns, in the order of the validation data; not computed while training. */
export interface CollectMetric {
  readonly kind: "collect";
  /** The first axis counts samples. */
  readonly columns: Readonly<Record<string, Tensor>>;
  /** @param columns by name, row-major, over all samples. */
  finish(columns: Readonly<Record<string, TypedValues>>): Figures;
}

export type Metric = SumsMetric | CollectMetric;

type Named<Kind> = readonly (readonly [name: string, metric: Kind])[];

export function sumsMetrics(metrics: Readonly<Record<string, Metric>>): Named<SumsMetric> {
  return Object.entries(metrics).flatMap(([name, metric]) => (metric.kind === "sums" ? [[name, metric] as const] : []));
}

export function collectMetrics(metrics: Readonly<Record<string, Metric>>): Named<CollectMetric> {
  return Object.entries(metrics).flatMap(([name, metric]) =>
    metric.kind === "collect" ? [[name, metric] as const] : [],
  );
}

/** Figures under their names: "f1", or "confusion.0.1" for one of several. */
export function named(name: string, figures: Figures): Record<string, number> {
  if (typeof figures === "number") return { [name]: figures };
  return Object.fromEntries(Object.entries(figures).map(([key, value]) => [`${name}.${key}`, value]));
}
