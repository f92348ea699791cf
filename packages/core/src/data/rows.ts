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
  shownValue,
} from "./column.ts";
import type { Dataset } from "./dataset.ts";
import { defaultMemoryBytes } from "./file-dataset.ts";
import {
  checkSequenceOptions,
  describeColumns,
  isSequenceType,
  type MaskNames,
  type Padding,
  type SequenceOptions,
  type SequenceType,
} from "./sequence-options.ts";
import { SequenceSpool, sequenceDataset } from "./sequences.ts";
import { type DataSource, type Declared, isRecord, refuseOtherDescription, requireColumns } from "./source.ts";
import { type HeldMemory, RowSpool } from "./spool.ts";

/** How a column of rows is declared: a dtype for scalars, or dtype and shape per sample, or of sequences. */
export type RowColumn = ColumnDType | ColumnType | SequenceType;

type DTypes<Columns extends Readonly<Record<string, RowColumn>>> = {
  readonly [Name in (keyof Columns & string) | MaskNames<Columns>]: Name extends keyof Columns
    ? Columns[Name] extends { readonly dtype: infer DType extends ColumnDType }
      ? DType
      : Columns[Name] & ColumnDType
    : "bool";
};

/** One row: a value for a scalar column, the flat row-major values of one sample for a column with a shape. */
export type Row<Name extends string = string> = Readonly<Record<Name, Scalar | ArrayLike<Scalar>>>;

/**
 * Rows from code: a factory of any iterable or async iterable, run once per opening and spooled to typed columns in
 * memory. It must give the same rows every time: order and content are part of the run. Keys that are not
 * declared are ignored. A column of shape ["length", …] holds sequences of different lengths: batches are padded to the
 * lengths of `padTo`, and the step function gets a column `<name>_mask` beside it. Opening throws DATA_INVALID with the row (from 1) for a row that misses a column, has another
 * length or a value that does not fit its dtype, and when the iterable itself throws (kept as `cause`).
 */
export function from<const Columns extends Readonly<Record<string, RowColumn>>>(
  rows: () => Iterable<Row<keyof Columns & string>> | AsyncIterable<Row<keyof Columns & string>>,
  options: { readonly columns: Columns } & SequenceOptions,
): DataSource<Declared<DTypes<Columns>>> {
  if (typeof rows !== "function") {
    throw new TuttiError("BAD_OPTION", "data.from: expected a function that returns an (async) iterable of rows");
  }
  requireColumns("from", options?.columns);
  const { columns, ...sequenceOptions } = options;
  const types = Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, declaredType(name, column)]));
  const padding = checkSequenceOptions("from", types, sequenceOptions);
  const describe = describeColumns(types, padding);
  const source: DataSource<Declared<DTypes<Columns>>> = {
    kind: "rows",
    describe,
    withDescription(other) {
      refuseOtherDescription("from", describe, other);
      return source;
    },
    open: ({ memoryBytes }) => spoolRows(rows, types, padding, memoryBytes),
  };
  return source;
}

function declaredType(name: string, column: unknown): ColumnType | SequenceType {
  if (isColumnDType(column)) return { dtype: column, shape: [] };
  if (isRecord(column) && isColumnDType(column.dtype) && isSampleShape(column.shape)) {
    return { dtype: column.dtype, shape: column.shape };
  }
  if (isSequenceType(column)) return { dtype: column.dtype, shape: column.shape };
  throw new TuttiError(
    "BAD_OPTION",
    `data.from: column "${name}": expected a dtype (${columnDTypes.join(", ")}) or { dtype, shape } with a shape of positive integers, the first of which may be "length", found ${JSON.stringify(column)}`,
  );
}

/** A synchronous iterable lets timers and sockets in after so many rows. */
const rowsPerTurn = 4096;

async function spoolRows(
  factory: () => Iterable<Row> | AsyncIterable<Row>,
  types: Readonly<Record<string, ColumnType | SequenceType>>,
  padding: Padding | undefined,
  memoryBytes: number | undefined,
): Promise<Dataset> {
  const fixed: Record<string, ColumnType> = {};
  const sequences = new Map<string, SequenceSpool>();
  const held: HeldMemory = { bytes: 0, memoryBytes: memoryBytes ?? defaultMemoryBytes };
  for (const [name, type] of Object.entries(types)) {
    if (isSequenceType(type)) sequences.set(name, new SequenceSpool(type, padding!, held));
    else fixed[name] = type;
  }
  const spool = new RowSpool(fixed, memoryBytes);
  const columns = Object.entries(fixed);
  const discard = (): void => {
    spool.discard();
    for (const column of sequences.values()) column.discard();
  };
  try {
    for await (const row of factory()) {
      for (const [name, type] of columns) putColumn(spool, row, name, type);
      for (const [name, column] of sequences) putSequence(spool, row, name, column);
      spool.finishRow();
      if (spool.size % rowsPerTurn === 0) await setImmediate();
    }
  } catch (error) {
    discard();
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
  if (padding === undefined) return spool.finish();
  const stored = Object.fromEntries([...sequences].map(([name, column]) => [name, column.finish()]));
  return sequenceDataset(Object.keys(types), await spool.finish(), stored, padding);
}

function putSequence(spool: RowSpool, row: Row, name: string, column: SequenceSpool): void {
  const value = isRecord(row) ? row[name] : undefined;
  if (typeof value !== "object" || value === null || typeof value.length !== "number") {
    throw rowProblem(spool, name, "a list of values", value === undefined ? "none" : shownValue(value));
  }
  const problem = column.append(value);
  if (problem !== undefined) throw rowProblem(spool, name, problem.expected, problem.found);
}

function putColumn(spool: RowSpool, row: Row, name: string, type: ColumnType): void {
  const value = isRecord(row) ? row[name] : undefined;
  if (value === undefined || value === null) throw rowProblem(spool, name, "a value", "none");
  const elements = elementsPerSample(type);
  if (typeof value !== "object") {
    if (type.shape.length > 0)
      throw rowProblem(spool, name, `${elements} values (shape [${type.shape.join(", ")}])`, shownValue(value));
    const expected = spool.put(name, 0, value);
    if (expected !== undefined) throw rowProblem(spool, name, expected, shownValue(value));
    return;
  }
  if (value.length !== elements) {
    const wanted = type.shape.length === 0 ? "one value" : `${elements} values (shape [${type.shape.join(", ")}])`;
    throw rowProblem(spool, name, wanted, typeof value.length === "number" ? `${value.length}` : "an object");
  }
  for (let element = 0; element < elements; element++) {
    const expected = spool.put(name, element, value[element]!);
    if (expected !== undefined)
      throw rowProblem(spool, name, expected, `${shownValue(value[element])} at position ${element}`);
  }
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
