import { bytesPerSample, type ColumnDType, type ColumnType, elementsPerSample } from "./column.ts";
import { type Dataset, type RowPlace, rowRange, type TableColumnFacts } from "./dataset.ts";
import { valuesOf } from "./scalar-column.ts";

/** What the values of a column, or of one element of it, are like; missing ones (NaN) left out. */
export interface ValueFacts {
  /** Values that are there, and that are not. */
  readonly count: number;
  readonly missing: number;
  /** NaN without any value. */
  readonly least: number;
  readonly most: number;
  readonly mean: number;
}

export interface ColumnSurvey {
  readonly name: string;
  readonly dtype: ColumnDType;
  readonly shape: readonly number[];
  /** Cells that are missing: NaN, or for dtypes without NaN those of the files, whatever stands for them now. */
  readonly missingCells: number;
  /** Of each element of a sample, row-major, where there are up to 16; otherwise of all of them together. */
  readonly values: readonly ValueFacts[];
  /** Rows of each word, or of each value of an integer or bool column that has up to 64, the most frequent first; otherwise absent. */
  readonly counts?: readonly { readonly value: string | number; readonly rows: number }[];
  readonly fill?: TableColumnFacts["fill"];
  readonly normalize?: TableColumnFacts["normalize"];
}

export interface RowSurvey extends Partial<RowPlace> {
  /** By column; words of categories, null for missing, a flat list for what is no scalar. */
  readonly values: Readonly<Record<string, CellSurvey | readonly CellSurvey[]>>;
}

type CellSurvey = number | string | boolean | null;

export interface DataSurvey {
  readonly rows: number;
  readonly rowsLeftOut: number;
  readonly columns: readonly ColumnSurvey[];
  /** The first rows. */
  readonly head: readonly RowSurvey[];
}

const rowsPerRead = 16_384;
const mostElements = 16;
const mostClasses = 64;

/** Reads a data set once, to say what it holds. @param headRows rows to show. */
export async function surveyDataset(dataset: Dataset, headRows: number): Promise<DataSurvey> {
  const columns: ColumnSurvey[] = [];
  for (const [name, type] of Object.entries(dataset.columns)) columns.push(await surveyColumn(dataset, name, type));
  const head: RowSurvey[] = [];
  for (let row = 0; row < Math.min(headRows, dataset.size); row++) head.push(await surveyRow(dataset, row));
  return { rows: dataset.size, rowsLeftOut: dataset.table?.rowsLeftOut ?? 0, columns, head };
}

async function surveyColumn(dataset: Dataset, name: string, type: ColumnType): Promise<ColumnSurvey> {
  const facts = dataset.table?.columns[name];
  const elements = elementsPerSample(type);
  const sums = Array.from({ length: elements > mostElements ? 1 : elements }, () => new Sums());
  const isCounted = elements === 1 && !type.dtype.startsWith("float");
  const counts = new Map<number, number>();
  for (let first = 0; first < dataset.size; first += rowsPerRead) {
    const count = Math.min(rowsPerRead, dataset.size - first);
    const values = await readColumn(dataset, name, type, first, count);
    for (let i = 0; i < values.length; i++) {
      const value = Number(values[i]);
      sums[sums.length === 1 ? 0 : i % elements]!.add(value);
      if (isCounted && (counts.size <= mostClasses || facts?.categories))
        counts.set(value, (counts.get(value) ?? 0) + 1);
    }
  }
  const { categories, missingCells = 0, fill, normalize } = facts ?? {};
  const values = sums.map((sum) => sum.facts());
  const isListed = isCounted && (categories !== undefined || counts.size <= mostClasses);
  // A word that no row has is worth knowing of.
  for (const [place] of (categories ?? []).entries()) if (!counts.has(place)) counts.set(place, 0);
  return {
    name,
    ...type,
    missingCells: type.dtype.startsWith("float") ? values.reduce((sum, { missing }) => sum + missing, 0) : missingCells,
    values,
    ...(isListed && {
      counts: [...counts]
        .sort(([a, rows], [b, others]) => others - rows || a - b)
        .map(([value, rows]) => ({ value: categories?.[value] ?? value, rows })),
    }),
    ...(fill !== undefined && { fill }),
    ...(normalize && { normalize }),
  };
}

class Sums {
  #count = 0;
  #missing = 0;
  #sum = 0;
  #least = Number.POSITIVE_INFINITY;
  #most = Number.NEGATIVE_INFINITY;

  add(value: number): void {
    if (Number.isNaN(value)) {
      this.#missing++;
      return;
    }
    this.#count++;
    this.#sum += value;
    if (value < this.#least) this.#least = value;
    if (value > this.#most) this.#most = value;
  }

  facts(): ValueFacts {
    const [count, missing] = [this.#count, this.#missing];
    if (count === 0) return { count, missing, least: Number.NaN, most: Number.NaN, mean: Number.NaN };
    return { count, missing, least: this.#least, most: this.#most, mean: this.#sum / count };
  }
}

async function surveyRow(dataset: Dataset, row: number): Promise<RowSurvey> {
  const values: Record<string, CellSurvey | readonly CellSurvey[]> = {};
  for (const [name, type] of Object.entries(dataset.columns)) {
    const categories = dataset.table?.columns[name]?.categories;
    const cells: CellSurvey[] = [];
    for (const value of await readColumn(dataset, name, type, row, 1)) {
      const number = Number(value);
      if (Number.isNaN(number)) cells.push(null);
      else cells.push(categories?.[number] ?? (type.dtype === "bool" ? number === 1 : number));
    }
    values[name] = type.shape.length === 0 ? cells[0]! : cells;
  }
  return { ...dataset.table?.locate(row), values };
}

async function readColumn(dataset: Dataset, name: string, { dtype, shape }: ColumnType, first: number, count: number) {
  const bytes = new Uint8Array(count * bytesPerSample({ dtype, shape }));
  const rows = rowRange(first, count);
  await dataset.read(rows, { [name]: bytes });
  return valuesOf(dtype, bytes.buffer);
}
