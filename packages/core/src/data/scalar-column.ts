import { bytesPerSample, type ColumnDType } from "./column.ts";
import { type Dataset, rowRange } from "./dataset.ts";

const rowsPerRead = 65_536;

/** A column with one number a row, whole, in row order. @param name of a column whose shape is []. */
export async function scalarColumn(dataset: Dataset, name: string): Promise<Float64Array> {
  const type = dataset.columns[name]!;
  const values = new Float64Array(dataset.size);
  for (let first = 0; first < dataset.size; first += rowsPerRead) {
    const count = Math.min(rowsPerRead, dataset.size - first);
    const bytes = new Uint8Array(count * bytesPerSample(type));
    await dataset.read(rowRange(first, count), { [name]: bytes });
    const read = valuesOf(type.dtype, bytes.buffer);
    values.set(read instanceof BigInt64Array ? Float64Array.from(read, Number) : read, first);
  }
  return values;
}

/** A whole buffer as values of a dtype; bool as one byte each. */
export function valuesOf(
  dtype: ColumnDType,
  buffer: ArrayBuffer,
):
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>
  | Int8Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer> {
  switch (dtype) {
    case "float32":
      return new Float32Array(buffer);
    case "float64":
      return new Float64Array(buffer);
    case "int8":
      return new Int8Array(buffer);
    case "uint8":
    case "bool":
      return new Uint8Array(buffer);
    case "int16":
      return new Int16Array(buffer);
    case "uint16":
      return new Uint16Array(buffer);
    case "int32":
      return new Int32Array(buffer);
    case "int64":
      return new BigInt64Array(buffer);
  }
}
