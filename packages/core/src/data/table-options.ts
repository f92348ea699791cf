import { TuttiError } from "../errors/index.ts";
import { type ColumnDType, columnDTypes, isColumnDType, isSampleShape } from "./column.ts";
import { isRecord, requireColumns } from "./source.ts";

/** How the graph scales a column: to mean 0 and deviation 1, or to 0 … 1; by statistics over the training rows. */
export type Normalization = "standard" | "minmax";

/** A number, or several as one vector. */
export interface NumberColumn {
  readonly dtype: ColumnDType;
  /** The file's column, the same name by default; several, in order, become one vector of that length. */
  readonly from?: string | readonly string[];
  /** Shape of one sample, where a cell of a jsonl or parquet file holds a list: flat, row-major. */
  readonly shape?: readonly number[];
  /**
   * What becomes of a cell that is missing; refused by default. A number stands in its place, or the mean or median of those that
   * the training rows have (float columns); "drop" leaves the row out.
   */
  readonly missing?: number | boolean | "mean" | "median" | "drop";
  /** The step function then gets float32 on any dtype. */
  readonly normalize?: Normalization;
}

/** Words that the step function gets as int32: a word's place in `categories`. */
export interface CategoryColumn {
  readonly dtype: "category";
  readonly from?: string;
  /** All words, in order; by default those of the training data, sorted by UTF-16 code units. */
  readonly categories?: readonly string[];
  /** The word that stands for a missing cell, or "drop" to leave the row out; refused by default. */
  readonly missing?: string;
  /** The word that stands for one which is not among the categories; refused by default. */
  readonly unknown?: string;
}

/** A dtype or "category" (the file's column of the same name), or more about it. */
export type TableColumn = ColumnDType | "category" | NumberColumn | CategoryColumn;

export type TableColumns = Readonly<Record<string, TableColumn>>;

/** The dtypes that the step function gets. */
export type TableDTypes<Columns extends TableColumns> = {
  readonly [Name in keyof Columns]: StepDType<Columns[Name]>;
};

type StepDType<Column> = Column extends { readonly normalize: Normalization }
  ? "float32"
  : Column extends { readonly dtype: infer DType }
    ? StepDType<DType>
    : Column extends "category"
      ? "int32"
      : Column & ColumnDType;

/** A declared column with nothing left out. */
export type DeclaredColumn =
  | (NumberColumn & { readonly kind: "number"; readonly from: string | readonly string[] })
  | (CategoryColumn & { readonly kind: "category"; readonly from: string });

/** The columns with names filled in. */
export function declaredColumns(columns: TableColumns): ReadonlyMap<string, DeclaredColumn> {
  return new Map(Object.entries(columns).map(([name, column]) => [name, declared(name, column)]));
}

function declared(name: string, column: TableColumn): DeclaredColumn {
  if (column === "category") return { kind: "category", dtype: column, from: name };
  if (typeof column === "string") return { kind: "number", dtype: column, from: name };
  if (column.dtype === "category") return { kind: "category", from: name, ...column };
  return { kind: "number", from: name, ...column };
}

const floats: readonly unknown[] = ["float32", "float64"];

/** Throws BAD_OPTION naming the column, what was expected and what was found. */
export function checkTableColumns(kind: string, columns: unknown): asserts columns is TableColumns {
  requireColumns(kind, columns);
  for (const [name, column] of Object.entries(columns)) {
    const bad = (problem: string) => new TuttiError("BAD_OPTION", `data.${kind}: column "${name}": ${problem}`);
    const options = isRecord(column) ? column : { dtype: column };
    const { dtype } = options;
    if (dtype !== "category" && !isColumnDType(dtype)) {
      throw bad(`expected a dtype (${columnDTypes.join(", ")}) or "category", found ${JSON.stringify(dtype)}`);
    }
    const known =
      dtype === "category"
        ? ["dtype", "from", "categories", "missing", "unknown"]
        : ["dtype", "from", "missing", "normalize", ...(kind === "csv" ? [] : ["shape"])];
    const unknown = Object.keys(options).find((key) => !known.includes(key));
    if (unknown !== undefined) throw bad(`unknown option "${unknown}"; there are ${known.join(", ")}`);
    if (dtype === "category") checkCategory(options, bad);
    else checkNumber(dtype, options, bad);
  }
}

type Bad = (problem: string) => TuttiError;

function checkNumber(dtype: ColumnDType, options: Readonly<Record<string, unknown>>, bad: Bad): void {
  const { from, shape, missing, normalize } = options;
  if (from !== undefined && typeof from !== "string" && !isNameList(from)) {
    throw bad(`expected "from" to name one column of the file or a list of them, found ${JSON.stringify(from)}`);
  }
  if (shape !== undefined && (!isSampleShape(shape) || Array.isArray(from))) {
    throw bad(`expected a shape of positive integers, of one column of the file, found ${JSON.stringify(shape)}`);
  }
  if (normalize !== undefined && (dtype === "bool" || (normalize !== "standard" && normalize !== "minmax"))) {
    const wanted = dtype === "bool" ? "no normalize for bool" : 'normalize: "standard" or "minmax"';
    throw bad(`expected ${wanted}, found ${JSON.stringify(normalize)}`);
  }
  if (missing === undefined || missing === "drop") return;
  const isFloat = floats.includes(dtype);
  if (isFloat && (missing === "mean" || missing === "median")) return;
  if (dtype === "bool" ? typeof missing === "boolean" : fits(dtype, missing)) return;
  const wanted = dtype === "bool" ? "true, false" : `a number that fits ${dtype}${isFloat ? ', "mean", "median"' : ""}`;
  throw bad(`missing: expected ${wanted} or "drop", found ${JSON.stringify(missing)}`);
}

function fits(dtype: ColumnDType, value: unknown): boolean {
  if (typeof value !== "number" || !Number.isFinite(value)) return false;
  if (dtype === "float32") return Number.isFinite(Math.fround(value));
  if (dtype === "float64") return true;
  const bits = Number(/\d+$/.exec(dtype)?.[0]);
  const least = dtype.startsWith("u") ? 0 : -(2 ** (bits - 1));
  return Number.isSafeInteger(value) && value >= least && value < least + 2 ** bits;
}

function checkCategory(options: Readonly<Record<string, unknown>>, bad: Bad): void {
  const { from, categories, missing, unknown } = options;
  if (from !== undefined && typeof from !== "string") {
    throw bad(`expected "from" to name one column of the file, found ${JSON.stringify(from)}`);
  }
  const isList = isNameList(categories) && new Set(categories).size === categories.length;
  if (categories !== undefined && !isList) {
    throw bad(`categories: expected a list of different words, found ${JSON.stringify(categories)}`);
  }
  for (const [option, word] of Object.entries({ missing, unknown })) {
    if (word === undefined || (option === "missing" && word === "drop")) continue;
    if (typeof word !== "string") throw bad(`${option}: expected a word, found ${JSON.stringify(word)}`);
    if (!isList || categories.includes(word)) continue;
    throw bad(`${option}: expected one of the categories ${categories.join(", ")}, found ${JSON.stringify(word)}`);
  }
}

export function isNameList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length > 0 && value.every((name) => typeof name === "string");
}
