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
  writeScalar,
} from "./column.ts";
import { contiguousColumn, memoryDataset, type StoredColumn } from "./dataset.ts";
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

type DTypeOf<Column> = Column extends {
  readonly dtype: infer DType extends ColumnDType;
  readonly shape: readonly number[];
}
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
 * are converted and must fit exactly (floats are rounded). Throws BAD_OPTION for a dtype, shape or length that does not
 * fit; opening throws DATA_INVALID for a value that does not.
 */
export function arrays<const Columns extends Readonly<Record<string, ColumnArray | ShapedColumn>>>(
  columns: Columns,
): DataSource<{
  readonly [Name in keyof Columns]: { readonly dtype: DTypeOf<Columns[Name]>; readonly shape: readonly number[] };
}> {
  requireColumns("arrays", columns);
  const shaped = new Map(Object.entries(columns).map(([name, column]) => [name, shapedColumn(name, column)]));
  const size = commonSize(shaped);
  const describe: PlainObject = Object.fromEntries(
    [...shaped].map(([name, { dtype, shape }]) => [name, { dtype, shape: [...shape] }]),
  );
  const source = {
    kind: "arrays",
    describe,
    withDescription(other: PlainObject) {
      refuseOtherDescription("arrays", describe, other);
      return source;
    },
    open: async () =>
      memoryDataset(size, Object.fromEntries([...shaped].map(([name, column]) => [name, stored(name, column)]))),
  };
  return source;
}

function shapedColumn(name: string, column: ColumnArray | ShapedColumn): ShapedColumn {
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
  if (!isSampleShape(column.shape)) {
    throw new TuttiError(
      "BAD_OPTION",
      `${where}: expected a shape of positive integers, found ${JSON.stringify(column.shape)}`,
    );
  }
  return column;
}

function commonSize(columns: ReadonlyMap<string, ShapedColumn>): number {
  let first: { name: string; rows: number } | undefined;
  for (const [name, column] of columns) {
    const rows = column.values.length / elementsPerSample(column);
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
