import { TuttiError } from "../errors/index.ts";
import {
  bytesOf,
  type ColumnDType,
  type ColumnType,
  columnDTypes,
  elementsPerSample,
  isColumnDType,
  isSampleShape,
  type Scalar,
  shownValue,
  writeScalar,
} from "./column.ts";
import { contiguousColumn, type Dataset, memoryDataset, type StoredColumn } from "./dataset.ts";
import {
  checkSequenceOptions,
  describeColumns,
  isSequenceType,
  type MaskNames,
  type Padding,
  type SequenceOptions,
  type SequenceType,
} from "./sequence-options.ts";
import { SequenceSpool, type StoredSequences, sequenceDataset } from "./sequences.ts";
import { type DataSource, isRecord, type PlainObject, refuseOtherDescription, requireColumns } from "./source.ts";

/** A typed array with a column dtype; int64 comes as BigInt64Array. */
export type ColumnArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | BigInt64Array;

/** Values with a shape per sample; `values` holds the samples one after another, row-major. */
export interface ShapedColumn {
  readonly dtype: ColumnDType;
  readonly shape: readonly number[];
  readonly values: ColumnArray | readonly Scalar[];
}

/** Sequences of different lengths; each of `values` is a row: the flat row-major values of its steps. */
export interface SequenceColumn extends SequenceType {
  readonly values: readonly ArrayLike<Scalar>[];
}

type DTypeOf<Column> = Column extends { readonly dtype: infer DType extends ColumnDType }
  ? DType
  : Column extends Float32Array
    ? "float32"
    : Column extends Float64Array
      ? "float64"
      : Column extends Int8Array
        ? "int8"
        : Column extends Uint8Array | Uint8ClampedArray
          ? "uint8"
          : Column extends Int16Array
            ? "int16"
            : Column extends Uint16Array
              ? "uint16"
              : Column extends Int32Array
                ? "int32"
                : Column extends BigInt64Array
                  ? "int64"
                  : ColumnDType;

/**
 * Columns that are in memory already. A typed array is a column of scalars; `{ dtype, shape, values }` has samples of a
 * shape. Typed arrays of the column's own dtype are kept without a copy and must not change any more; other values
 * are converted and must fit exactly (floats are rounded). With a shape of ["length", …], `values` is a list of rows of
 * different lengths: batches are padded to the lengths of `padTo`, and the step function gets a column `<name>_mask` beside
 * it. Throws BAD_OPTION for a dtype, shape or length that does not fit; opening throws DATA_INVALID for a value that does not.
 */
export function arrays<const Columns extends Readonly<Record<string, ColumnArray | ShapedColumn | SequenceColumn>>>(
  columns: Columns,
  options: SequenceOptions = {},
): DataSource<{
  readonly [Name in (keyof Columns & string) | MaskNames<Columns>]: {
    readonly dtype: Name extends keyof Columns ? DTypeOf<Columns[Name]> : "bool";
    readonly shape: readonly number[];
  };
}> {
  requireColumns("arrays", columns);
  const shaped = new Map(Object.entries(columns).map(([name, column]) => [name, shapedColumn(name, column)]));
  const padding = checkSequenceOptions("arrays", Object.fromEntries(shaped), options);
  const size = commonSize(shaped);
  const describe = describeColumns(Object.fromEntries(shaped), padding);
  const source = {
    kind: "arrays",
    describe,
    withDescription(other: PlainObject) {
      refuseOtherDescription("arrays", describe, other);
      return source;
    },
    open: async () => open(size, shaped, padding),
  };
  return source;
}

async function open(
  size: number,
  columns: ReadonlyMap<string, ShapedColumn | SequenceColumn>,
  padding: Padding | undefined,
): Promise<Dataset> {
  const fixed: Record<string, StoredColumn> = {};
  const sequences: Record<string, StoredSequences> = {};
  for (const [name, column] of columns) {
    if (isSequenceColumn(column)) sequences[name] = storedSequences(name, column, padding!);
    else fixed[name] = stored(name, column);
  }
  if (padding === undefined) return memoryDataset(size, fixed);
  return sequenceDataset([...columns.keys()], await memoryDataset(size, fixed), sequences, padding);
}

function isSequenceColumn(column: ShapedColumn | SequenceColumn): column is SequenceColumn {
  return isSequenceType(column);
}

function shapedColumn(
  name: string,
  column: ColumnArray | ShapedColumn | SequenceColumn,
): ShapedColumn | SequenceColumn {
  const where = `data.arrays: column "${name}"`;
  if (ArrayBuffer.isView(column)) {
    const dtype = dtypeOfArray(column);
    if (dtype !== undefined) return { dtype, shape: [], values: column };
    throw new TuttiError(
      "BAD_OPTION",
      `${where}: ${column.constructor.name} has no dtype here; use one of ${columnDTypes.join(", ")}`,
    );
  }
  const dtype: unknown = isRecord(column) ? column.dtype : column;
  if (!isColumnDType(dtype)) {
    throw new TuttiError(
      "BAD_OPTION",
      `${where}: expected a typed array or { dtype, shape, values } with dtype one of ${columnDTypes.join(", ")}, found ${String(dtype)}`,
    );
  }
  if (!ArrayBuffer.isView(column.values) && !Array.isArray(column.values)) {
    throw new TuttiError("BAD_OPTION", `${where}: expected "values" to be an array or typed array`);
  }
  if (isSequenceColumn(column)) {
    if (Array.isArray(column.values)) return column;
    throw new TuttiError("BAD_OPTION", `${where}: expected "values" to be an array of rows, each a list of values`);
  }
  if (!isSampleShape(column.shape)) {
    throw new TuttiError(
      "BAD_OPTION",
      `${where}: expected a shape of positive integers, the first of which may be "length", found ${JSON.stringify(column.shape)}`,
    );
  }
  return column;
}

function commonSize(columns: ReadonlyMap<string, ShapedColumn | SequenceColumn>): number {
  let first: { name: string; rows: number } | undefined;
  for (const [name, column] of columns) {
    const rows = isSequenceColumn(column) ? column.values.length : column.values.length / elementsPerSample(column);
    const where = `data.arrays: column "${name}"`;
    if (!Number.isInteger(rows) || rows === 0) {
      throw new TuttiError(
        "BAD_OPTION",
        `${where}: ${column.values.length} values are no positive multiple of a sample of shape [${column.shape.join(", ")}]`,
      );
    }
    first ??= { name, rows };
    if (rows !== first.rows) {
      throw new TuttiError(
        "BAD_OPTION",
        `${where}: expected ${first.rows} rows as in column "${first.name}", found ${rows}`,
      );
    }
  }
  return first!.rows;
}

function stored(name: string, { dtype, shape, values }: ShapedColumn): StoredColumn {
  const type: ColumnType = { dtype, shape };
  if (ArrayBuffer.isView(values) && dtypeOfArray(values) === dtype) {
    return contiguousColumn(type, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  const view = new DataView(new ArrayBuffer(values.length * bytesOf(dtype)));
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!;
    const expected = writeScalar(view, index * bytesOf(dtype), dtype, value);
    if (expected !== undefined) {
      const row = Math.floor(index / elementsPerSample(type)) + 1;
      throw new TuttiError(
        "DATA_INVALID",
        `data.arrays row ${row}, column "${name}": expected ${expected}, found ${value}`,
      );
    }
  }
  return contiguousColumn(type, new Uint8Array(view.buffer));
}

function storedSequences(name: string, column: SequenceColumn, padding: Padding): StoredSequences {
  const spool = new SequenceSpool({ dtype: column.dtype, shape: column.shape }, padding, {
    bytes: 0,
    memoryBytes: Number.POSITIVE_INFINITY, // the values are in memory already
  });
  for (const [row, values] of column.values.entries()) {
    const isList = typeof values === "object" && values !== null && typeof values.length === "number";
    const problem = isList ? spool.append(values) : { expected: "a list of values", found: shownValue(values) };
    if (problem === undefined) continue;
    throw new TuttiError(
      "DATA_INVALID",
      `data.arrays row ${row + 1}, column "${name}": expected ${problem.expected}, found ${problem.found}`,
      { row: row + 1, column: name },
    );
  }
  return spool.finish();
}

/** The dtype of a typed array's elements; undefined for those that no column can have (uint32, uint64, DataView). */
function dtypeOfArray(array: ArrayBufferView): ColumnDType | undefined {
  if (array instanceof Float32Array) return "float32";
  if (array instanceof Float64Array) return "float64";
  if (array instanceof Int8Array) return "int8";
  if (array instanceof Uint8Array || array instanceof Uint8ClampedArray) return "uint8";
  if (array instanceof Int16Array) return "int16";
  if (array instanceof Uint16Array) return "uint16";
  if (array instanceof Int32Array) return "int32";
  return array instanceof BigInt64Array ? "int64" : undefined;
}
