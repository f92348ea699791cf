import { setImmediate } from "node:timers/promises";
import { isTuttiError, TuttiError } from "../errors/index.ts";
import {
  type ColumnDType,
  type ColumnType,
  columnDTypes,
  elementsPerSample,
  isColumnDType,
  isSampleShape,
  type Scalar,
} from "./column.ts";
import type { Dataset } from "./dataset.ts";
import { type DataSource, type Declared, isRecord, refuseOtherDescription, requireColumns } from "./source.ts";
import { RowSpool } from "./spool.ts";

/** How a column of rows is declared: a dtype for scalars, or dtype and shape per sample. */
export type RowColumn = ColumnDType | ColumnType;

type DTypes<Columns extends Readonly<Record<string, RowColumn>>> = {
  readonly [Name in keyof Columns]: Columns[Name] extends ColumnType
    ? Columns[Name]["dtype"]
    : Columns[Name] & ColumnDType;
};

/** One row: a value for a scalar column, the flat row-major values of one sample for a column with a shape. */
export type Row<Name extends string = string> = Readonly<Record<Name, Scalar | ArrayLike<Scalar>>>;

/**
 * Rows from code: a factory of any iterable or async iterable, run once per opening and spooled to typed columns in
 * memory. It must give the same rows every time: order and content are part of the run. Keys that are not
 * declared are ignored. Opening throws DATA_INVALID with the row (from 1) for a row that misses a column, has another
 * length or a value that does not fit its dtype, and when the iterable itself throws (kept as `cause`).
 */
export function from<const Columns extends Readonly<Record<string, RowColumn>>>(
  rows: () => Iterable<Row<keyof Columns & string>> | AsyncIterable<Row<keyof Columns & string>>,
  options: { readonly columns: Columns },
): DataSource<Declared<DTypes<Columns>>> {
  if (typeof rows !== "function") {
    throw new TuttiError("BAD_OPTION", "data.from: expected a function that returns an (async) iterable of rows");
  }
  requireColumns("from", options?.columns);
  const types = Object.fromEntries(
    Object.entries(options.columns).map(([name, column]) => [name, declaredType(name, column)]),
  );
  const describe = Object.fromEntries(
    Object.entries(types).map(([name, { dtype, shape }]) => [name, { dtype, shape: [...shape] }]),
  );
  const source: DataSource<Declared<DTypes<Columns>>> = {
    kind: "rows",
    describe,
    withDescription(other) {
      refuseOtherDescription("from", describe, other);
      return source;
    },
    open: () => spoolRows(rows, types),
  };
  return source;
}

function declaredType(name: string, column: unknown): ColumnType {
  if (isColumnDType(column)) return { dtype: column, shape: [] };
  if (isRecord(column) && isColumnDType(column.dtype) && isSampleShape(column.shape)) {
    return { dtype: column.dtype, shape: column.shape };
  }
  throw new TuttiError(
    "BAD_OPTION",
    `data.from: column "${name}": expected a dtype (${columnDTypes.join(", ")}) or { dtype, shape } with a shape of positive integers, found ${JSON.stringify(column)}`,
  );
}

/** A synchronous iterable lets timers and sockets in after so many rows. */
const rowsPerTurn = 4096;

async function spoolRows(
  factory: () => Iterable<Row> | AsyncIterable<Row>,
  types: Readonly<Record<string, ColumnType>>,
): Promise<Dataset> {
  const spool = new RowSpool(types);
  const columns = Object.entries(types);
  try {
    for await (const row of factory()) {
      for (const [name, type] of columns) putColumn(spool, row, name, type);
      spool.finishRow();
      if (spool.size % rowsPerTurn === 0) await setImmediate();
    }
  } catch (error) {
    if (isTuttiError(error)) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new TuttiError(
      "DATA_INVALID",
      `data.from row ${spool.size + 1}: the iterable failed: ${reason}`,
      { row: spool.size + 1 },
      { cause: error },
    );
  }
  if (spool.size === 0) throw new TuttiError("DATA_INVALID", "data.from: expected rows, the iterable gave none");
  return spool.finish();
}

function putColumn(spool: RowSpool, row: Row, name: string, type: ColumnType): void {
  const value = isRecord(row) ? row[name] : undefined;
  if (value === undefined || value === null) throw rowProblem(spool, name, "a value", "none");
  const elements = elementsPerSample(type);
  if (typeof value !== "object") {
    if (type.shape.length > 0)
      throw rowProblem(spool, name, `${elements} values (shape [${type.shape.join(", ")}])`, shown(value));
    const expected = spool.put(name, 0, value);
    if (expected !== undefined) throw rowProblem(spool, name, expected, shown(value));
    return;
  }
  if (value.length !== elements) {
    const wanted = type.shape.length === 0 ? "one value" : `${elements} values (shape [${type.shape.join(", ")}])`;
    throw rowProblem(spool, name, wanted, typeof value.length === "number" ? `${value.length}` : "an object");
  }
  for (let element = 0; element < elements; element++) {
    const expected = spool.put(name, element, value[element]!);
    if (expected !== undefined)
      throw rowProblem(spool, name, expected, `${shown(value[element])} at position ${element}`);
  }
}

function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

function rowProblem(spool: RowSpool, column: string, expected: string, found: string): TuttiError {
  const row = spool.size + 1;
  return new TuttiError(
    "DATA_INVALID",
    `data.from row ${row}, column "${column}": expected ${expected}, found ${found}`,
    {
      row,
      column,
    },
  );
}
