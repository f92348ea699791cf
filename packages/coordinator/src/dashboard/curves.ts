import type { CurveRows, CurveValues } from "@tutti/core/events";

/** Rows that a curve is kept in: more than a chart has pixels. */
export const curveRows = 2048;

/** Curves beyond so many names are left out. */
export const curveNames = 64;

/** One named curve: sums, extremes and number of the finite values of each row. */
interface Columns {
  readonly sum: Float64Array;
  readonly min: Float64Array;
  readonly max: Float64Array;
  readonly count: Uint32Array;
}

/**
 * Curves over steps in bounded memory. Steps come in ascending order and fall into rows of `stride` steps; when the rows
 * are full the stride doubles and neighbours are merged. So for any number of steps there are at most `capacity` rows,
 * half of them or more once there were as many, and every row has the exact mean, minimum and maximum of its steps.
 */
export class Curves {
  readonly #capacity: number;
  readonly #lastSteps: Float64Array;
  readonly #series = new Map<string, Columns>();
  #rows = 0;
  #stride = 1;
  #version = 0;

  /** @param capacity rows, at least 2. */
  constructor(capacity: number = curveRows) {
    this.#capacity = capacity;
    this.#lastSteps = new Float64Array(capacity);
  }

  /** Steps of one row. */
  get stride(): number {
    return this.#stride;
  }

  get rows(): number {
    return this.#rows;
  }

  /** Rises when rows that were there before are no longer what they were, beyond the last one growing. */
  get version(): number {
    return this.#version;
  }

  /** Adds the values of a step; one that is not later than the last is ignored. What is not finite counts as missing. */
  add(step: number, values: Readonly<Record<string, number>>): void {
    if (this.#rows > 0 && step <= this.#lastSteps[this.#rows - 1]!) return;
    if (this.#startsRow(step)) {
      while (this.#rows === this.#capacity) this.#coarsen();
      if (this.#startsRow(step)) this.#rows++;
    }
    const row = this.#rows - 1;
    this.#lastSteps[row] = step;
    for (const name in values) {
      const value = values[name]!;
      const columns = this.#columns(name);
      if (columns === undefined || !Number.isFinite(value)) continue;
      const count = columns.count[row]!++;
      columns.sum[row] = count === 0 ? value : columns.sum[row]! + value;
      columns.min[row] = count === 0 ? value : Math.min(columns.min[row]!, value);
      columns.max[row] = count === 0 ? value : Math.max(columns.max[row]!, value);
    }
  }

  /** The rows from an index on, six digits a figure. */
  from(first: number): CurveRows {
    const series: Record<string, CurveValues> = {};
    for (const [name, { sum, min, max, count }] of this.#series) {
      const column = (value: (row: number) => number): (number | null)[] => {
        const values: (number | null)[] = [];
        for (let row = first; row < this.#rows; row++) values.push(count[row] === 0 ? null : rounded(value(row)));
        return values;
      };
      const mean = column((row) => sum[row]! / count[row]!);
      series[name] =
        this.#stride === 1 ? { mean } : { mean, min: column((row) => min[row]!), max: column((row) => max[row]!) };
    }
    return { stride: this.#stride, from: first, steps: [...this.#lastSteps.subarray(first, this.#rows)], series };
  }

  #startsRow(step: number): boolean {
    return (
      this.#rows === 0 ||
      Math.floor(step / this.#stride) !== Math.floor(this.#lastSteps[this.#rows - 1]! / this.#stride)
    );
  }

  #coarsen(): void {
    this.#stride *= 2;
    this.#version++;
    let kept = 0;
    for (let row = 1; row < this.#rows; row++) {
      const step = this.#lastSteps[row]!;
      const isSame = Math.floor(step / this.#stride) === Math.floor(this.#lastSteps[kept]! / this.#stride);
      if (!isSame) kept++;
      this.#lastSteps[kept] = step;
      for (const columns of this.#series.values()) merge(columns, row, kept, isSame);
    }
    for (const { count } of this.#series.values()) count.fill(0, kept + 1, this.#rows);
    this.#rows = kept + 1;
  }

  #columns(name: string): Columns | undefined {
    const known = this.#series.get(name);
    if (known !== undefined || this.#series.size === curveNames) return known;
    const array = (): Float64Array => new Float64Array(this.#capacity);
    const columns = { sum: array(), min: array(), max: array(), count: new Uint32Array(this.#capacity) };
    this.#series.set(name, columns);
    this.#version++;
    return columns;
  }
}

/** Moves a row to an earlier place, or adds it to the one that is there. */
function merge({ sum, min, max, count }: Columns, from: number, to: number, isSame: boolean): void {
  if (from === to || (isSame && count[from] === 0)) return;
  if (isSame && count[to]! > 0) {
    sum[to] = sum[to]! + sum[from]!;
    min[to] = Math.min(min[to]!, min[from]!);
    max[to] = Math.max(max[to]!, max[from]!);
    count[to] = count[to]! + count[from]!;
    return;
  }
  sum[to] = sum[from]!;
  min[to] = min[from]!;
  max[to] = max[from]!;
  count[to] = count[from]!;
}

function rounded(value: number): number {
  return Number(value.toPrecision(6));
}
