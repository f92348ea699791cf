import type { CurveRows, CurveValues } from "@tutti/core/events";

export type Column = (number | null)[];

/** The rows of one curve, as a chart draws them. */
export interface Line {
  readonly steps: readonly number[];
  readonly mean: Column;
  /** Absent while every row is one step. */
  readonly min: Column | undefined;
  readonly max: Column | undefined;
}

interface Columns {
  mean: Column;
  min: Column | undefined;
  max: Column | undefined;
}

/** The curves of a run as far as they are known here. */
export class CurveSet {
  #steps: number[] = [];
  readonly #series = new Map<string, Columns>();

  get names(): readonly string[] {
    return [...this.#series.keys()];
  }

  /** Takes over what the server sent: rows from an index on. */
  replace({ from, steps, series }: CurveRows): void {
    if (from === 0) this.#series.clear();
    this.#steps.length = from;
    this.#steps.push(...steps);
    for (const [name, values] of Object.entries(series)) this.#join(name, values, from, steps.length);
  }

  /** Adds rows behind those there are, and forgets the oldest beyond `limit`. */
  append({ steps, series }: CurveRows, limit: number): void {
    const from = this.#steps.length;
    this.#steps.push(...steps);
    for (const [name, values] of Object.entries(series)) this.#join(name, values, from, steps.length);
    const excess = Math.max(0, this.#steps.length - limit);
    this.#steps.splice(0, excess);
    for (const { mean } of this.#series.values()) {
      while (mean.length < this.#steps.length + excess) mean.push(null);
      mean.splice(0, excess);
    }
  }

  line(name: string): Line | undefined {
    const columns = this.#series.get(name);
    return columns === undefined ? undefined : { steps: this.#steps, ...columns };
  }

  #join(name: string, values: CurveValues, from: number, rows: number): void {
    const columns = this.#series.get(name) ?? { mean: [], min: undefined, max: undefined };
    this.#series.set(name, columns);
    columns.mean = joined(columns.mean, values.mean, from);
    columns.min = values.min === undefined ? undefined : joined(columns.min ?? [], values.min, from);
    columns.max = values.max === undefined ? undefined : joined(columns.max ?? [], values.max, from);
    if (columns.mean.length !== from + rows)
      throw new Error(`${name}: ${columns.mean.length} rows, expected ${from + rows}`);
  }
}

function joined(column: Column, values: readonly (number | null)[], from: number): Column {
  const result = column.slice(0, from);
  while (result.length < from) result.push(null);
  return result.concat(values);
}

/** Exponential moving average with the bias of the first values taken off (Kingma and Ba 2015, section 3). @param weight of the past, 0 to below 1. */
export function smoothed(values: Column, weight: number): Column {
  if (weight === 0) return values;
  let sum = 0;
  let total = 0;
  return values.map((value) => {
    if (value === null) return null;
    sum = weight * sum + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return sum / total;
  });
}
