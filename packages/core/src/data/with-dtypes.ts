import { bytesPerSample, type ColumnDType } from "./column.ts";
import { type Dataset, rowRange } from "./dataset.ts";
import { RowSpool } from "./spool.ts";

const rowsPerRead = 65_536;

/** The same rows, scalar float64 columns as other dtypes. Closes `stored`. */
export async function withDTypes(
  stored: Dataset,
  dtypes: ReadonlyMap<string, ColumnDType>,
  memoryBytes: number,
): Promise<Dataset> {
  const types = Object.entries(stored.columns).map(([name, type]) => {
    const dtype = dtypes.get(name);
    return [name, dtype === undefined ? type : { ...type, dtype }] as const;
  });
  const spool = new RowSpool(Object.fromEntries(types), memoryBytes);
  try {
    for (let first = 0; first < stored.size; first += rowsPerRead) {
      const count = Math.min(rowsPerRead, stored.size - first);
      const rows = rowRange(first, count);
      for (const [name, type] of Object.entries(stored.columns)) {
        const bytes = new Uint8Array(count * bytesPerSample(type));
        await stored.read(rows, { [name]: bytes });
        const dtype = dtypes.get(name);
        spool.append(name, dtype === undefined ? bytes : converted(new Float64Array(bytes.buffer), dtype));
      }
      spool.finishRow(count);
    }
    return await spool.finish();
  } finally {
    await stored.close();
  }
}

/** Numbers that the dtype holds, as its bytes. */
function converted(numbers: Float64Array, dtype: ColumnDType): Uint8Array {
  if (dtype === "int64") return new Uint8Array(BigInt64Array.from(numbers, BigInt).buffer);
  const typed =
    dtype === "int32"
      ? Int32Array.from(numbers)
      : dtype === "bool"
        ? Uint8Array.from(numbers)
        : Float32Array.from(numbers);
  return new Uint8Array(typed.buffer);
}
