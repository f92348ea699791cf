import { TuttiError } from "../errors/index.ts";
import { bytesPerSample, type ColumnType, elementsPerSample } from "./column.ts";
import { type Dataset, rowRange, type TableColumnFacts } from "./dataset.ts";
import { valuesOf } from "./scalar-column.ts";

/**
 * What the graph does to a column before the step function sees it: NaN becomes `fill`, then (x − offset) / scale; one number for
 * each element of a sample. Float64, and plain data.
 */
export interface ColumnPreparation {
  readonly fill?: readonly number[];
  readonly offset?: readonly number[];
  readonly scale?: readonly number[];
}

/** By column name; columns that the graph takes as they are have none. */
export type Preparation = Readonly<Record<string, ColumnPreparation>>;

const rowsPerRead = 65_536;

/**
 * The statistics that the training data's columns ask for, over the values that are not missing, added in float64 in row order:
 * the same bits on any machine. "standard" divides by the deviation √(Σ(x−mean)²/n), "minmax" by the range.
 *
 * @throws TuttiError DATA_INVALID for a column that has no value at all, or but one to be scaled by.
 */
export async function prepareColumns(train: Dataset): Promise<Preparation> {
  const preparation: Record<string, ColumnPreparation> = {};
  for (const [name, facts] of Object.entries(train.table?.columns ?? {})) {
    if (facts.fill !== undefined || facts.normalize !== undefined) {
      preparation[name] = await prepareColumn(train, name, facts);
    }
  }
  return preparation;
}

async function prepareColumn(
  train: Dataset,
  name: string,
  { fill, normalize }: TableColumnFacts,
): Promise<ColumnPreparation> {
  const statistics = await statisticsOf(train, name);
  const filled = fill === undefined ? {} : { fill: await fillOf(train, name, fill, statistics) };
  if (normalize === undefined) return filled;
  return {
    ...filled,
    offset: statistics.map(({ mean, least }) => (normalize === "standard" ? mean : least)),
    scale: statistics.map(({ deviation, least, most, count }, element) => {
      const scale = normalize === "standard" ? deviation : most - least;
      if (scale > 0 && scale < Number.POSITIVE_INFINITY) return scale;
      const where = statistics.length === 1 ? `column "${name}"` : `column "${name}", element ${element}`;
      throw new TuttiError(
        "DATA_INVALID",
        `${where}: normalize: "${normalize}" needs different values in the training rows, found ${least} in all ${count}: leave the column out, or do not normalize it`,
        { column: name },
      );
    }),
  };
}

async function fillOf(
  train: Dataset,
  name: string,
  fill: number | "mean" | "median",
  statistics: readonly Statistics[],
): Promise<readonly number[]> {
  if (typeof fill === "number") return statistics.map(() => fill);
  if (fill === "mean") return statistics.map(({ mean }) => mean);
  const present = statistics.map(({ count }) => new Float64Array(count));
  const used = statistics.map(() => 0);
  await forEachValue(train, name, (value, element) => {
    present[element]![used[element]!++] = value;
  });
  return present.map((values) => {
    values.sort();
    const middle = values.length >> 1;
    return values.length % 2 === 1 ? values[middle]! : (values[middle - 1]! + values[middle]!) / 2;
  });
}

/** Of one element of a column, over the values that are not missing. */
export interface Statistics {
  /** Values. */
  readonly count: number;
  readonly least: number;
  readonly most: number;
  readonly mean: number;
  /** √(Σ(x−mean)²/count) */
  readonly deviation: number;
}

/** In float64, in row order. Throws DATA_INVALID for an element that is missing in every row. */
export async function statisticsOf(dataset: Dataset, name: string): Promise<readonly Statistics[]> {
  const elements = elementsPerSample(dataset.columns[name]!);
  const sums = Array.from({ length: elements }, () => ({
    count: 0,
    sum: 0,
    squares: 0,
    least: Number.POSITIVE_INFINITY,
    most: Number.NEGATIVE_INFINITY,
  }));
  await forEachValue(dataset, name, (value, element) => {
    const own = sums[element]!;
    own.count++;
    own.sum += value;
    if (value < own.least) own.least = value;
    if (value > own.most) own.most = value;
  });
  const empty = sums.findIndex(({ count }) => count === 0);
  if (empty >= 0) {
    throw new TuttiError(
      "DATA_INVALID",
      `column "${name}"${elements === 1 ? "" : `, element ${empty}`}: is missing in all ${dataset.size} rows: leave it out`,
      { column: name },
    );
  }
  const means = sums.map(({ sum, count }) => sum / count);
  await forEachValue(dataset, name, (value, element) => {
    const difference = value - means[element]!;
    sums[element]!.squares += difference * difference;
  });
  return sums.map(({ count, squares, least, most }, element) => ({
    count,
    least,
    most,
    mean: means[element]!,
    deviation: Math.sqrt(squares / count),
  }));
}

async function forEachValue(
  dataset: Dataset,
  name: string,
  take: (value: number, element: number) => void,
): Promise<void> {
  const type: ColumnType = dataset.columns[name]!;
  const elements = elementsPerSample(type);
  for (let first = 0; first < dataset.size; first += rowsPerRead) {
    const count = Math.min(rowsPerRead, dataset.size - first);
    const bytes = new Uint8Array(count * bytesPerSample(type));
    await dataset.read(rowRange(first, count), { [name]: bytes });
    const values = valuesOf(type.dtype, bytes.buffer);
    for (let i = 0; i < values.length; i++) {
      const value = Number(values[i]!);
      if (!Number.isNaN(value)) take(value, elements === 1 ? 0 : i % elements);
    }
  }
}
