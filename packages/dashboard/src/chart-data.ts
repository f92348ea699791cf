import uPlot from "uplot";
import type { ChartLine } from "./chart.tsx";
import { type Column, smoothed } from "./curve.ts";

/** What a chart shows of a line: one column, or three where rows hold several steps. */
export interface Plotted {
  readonly data: uPlot.AlignedData;
  /** The index of each line's mean in `data`; its minimum and maximum follow where `hasBand`. */
  readonly columns: readonly { readonly mean: number; readonly hasBand: boolean }[];
}

/** Lays lines of different steps over one axis. */
export function plotted(lines: readonly ChartLine[], smoothing: number): Plotted {
  const columns: { mean: number; hasBand: boolean }[] = [];
  const tables: uPlot.AlignedData[] = [];
  let at = 1;
  for (const { line, isValidation } of lines) {
    const mean = smoothed(line.mean, isValidation ? 0 : smoothing);
    const hasBand = line.min !== undefined && line.max !== undefined;
    const table: [number[], ...Column[]] = [[...line.steps], mean];
    if (line.min !== undefined && line.max !== undefined) table.push(line.min, line.max);
    tables.push(table);
    columns.push({ mean: at, hasBand });
    at += hasBand ? 3 : 1;
  }
  const data =
    tables.length === 0 ? ([[]] as uPlot.AlignedData) : tables.length === 1 ? tables[0]! : uPlot.join(tables);
  return { data, columns };
}

/** At most about `limit` of the steps of a chart, first and last among them, with what each line has there or last had before. */
export function sampledRows(lines: readonly ChartLine[], limit: number): readonly { step: number; values: Column }[] {
  const steps = [...new Set(lines.flatMap(({ line }) => line.steps))].sort((a, b) => a - b);
  const every = Math.max(1, Math.ceil(steps.length / limit));
  const picked = steps.filter((_, i) => i % every === 0 || i === steps.length - 1);
  return picked.map((step) => ({ step, values: lines.map(({ line }) => valueAt(line, step)) }));
}

/** The value at a step, or the last before it. */
export function valueAt({ steps, mean }: ChartLine["line"], step: number): number | null {
  let [low, high] = [0, steps.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle]! <= step) low = middle + 1;
    else high = middle;
  }
  return mean[low - 1] ?? null;
}
