/** The dtypes of a column; the same strings as the graph's, so that a batch enters the graph without a cast. */
export const columnDTypes = [
  "float32",
  "float64",
  "int8",
  "uint8",
  "int16",
  "uint16",
  "int32",
  "int64",
  "bool",
] as const;

export type ColumnDType = (typeof columnDTypes)[number];

/** Type of one sample of a column: a scalar has shape []. */
export interface ColumnType {
  readonly dtype: ColumnDType;
  readonly shape: readonly number[];
}

/** Column name to type, in the order of the file or declaration. */
export type ColumnTypes = Readonly<Record<string, ColumnType>>;

/** One value as users, files and iterables give it; int64 takes a bigint or a safe integer. */
export type Scalar = number | bigint | boolean;

const elementBytes: Readonly<Record<ColumnDType, number>> = {
  float32: 4,
  float64: 8,
  int8: 1,
  uint8: 1,
  int16: 2,
  uint16: 2,
  int32: 4,
  int64: 8,
  bool: 1,
};

/** Bytes of one element. */
export function bytesOf(dtype: ColumnDType): number {
  return elementBytes[dtype];
}

/** Elements of one sample; 1 for a scalar. */
export function elementsPerSample(type: ColumnType): number {
  return type.shape.reduce((product, size) => product * size, 1);
}

/** Bytes of one sample, packed. */
export function bytesPerSample(type: ColumnType): number {
  return elementsPerSample(type) * bytesOf(type.dtype);
}

export function isColumnDType(value: unknown): value is ColumnDType {
  return typeof value === "string" && Object.hasOwn(elementBytes, value);
}

/** True for a shape every dimension of which is a positive integer and whose element count is exact. */
export function isSampleShape(value: unknown): value is readonly number[] {
  return (
    Array.isArray(value) &&
    value.every((size) => Number.isSafeInteger(size) && size > 0) &&
    value.reduce((product, size) => product * size, 1) <= 2 ** 40
  );
}

const integerRanges = {
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32_768, 32_767],
  uint16: [0, 65_535],
  int32: [-2_147_483_648, 2_147_483_647],
} as const;

const int64Minimum = -(2n ** 63n);
const int64Maximum = 2n ** 63n - 1n;

/**
 * Writes one value little-endian at a byte offset. Floats are rounded to the dtype; everything else must fit exactly.
 * @returns undefined when written, else what was expected instead ("an integer from 0 to 255"); nothing is written then.
 */
export function writeScalar(view: DataView, byteOffset: number, dtype: ColumnDType, value: Scalar): string | undefined {
  switch (dtype) {
    case "float32":
      if (typeof value !== "number") return "a number";
      if (Number.isFinite(value) && !Number.isFinite(Math.fround(value))) return "a number within the range of float32";
      view.setFloat32(byteOffset, value, true);
      return undefined;
    case "float64":
      if (typeof value !== "number") return "a number";
      view.setFloat64(byteOffset, value, true);
      return undefined;
    case "bool":
      if (value !== true && value !== false && value !== 0 && value !== 1) return "true, false, 0 or 1";
      view.setUint8(byteOffset, Number(value));
      return undefined;
    case "int64": {
      const whole = typeof value === "number" && Number.isSafeInteger(value) ? BigInt(value) : value;
      if (typeof whole !== "bigint" || whole < int64Minimum || whole > int64Maximum) return "an integer of 64 bits";
      view.setBigInt64(byteOffset, whole, true);
      return undefined;
    }
    default: {
      const [minimum, maximum] = integerRanges[dtype];
      if (typeof value !== "number" || !Number.isInteger(value) || value < minimum || value > maximum) {
        return `an integer from ${minimum} to ${maximum}`;
      }
      writeInteger(view, byteOffset, dtype, value);
      return undefined;
    }
  }
}

/** A type for a message: "float32 [2, 3]". */
export function shownType({ dtype, shape }: ColumnType): string {
  return `${dtype} [${shape.join(", ")}]`;
}

/** A value for a message. */
export function shownValue(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

function writeInteger(view: DataView, byteOffset: number, dtype: keyof typeof integerRanges, value: number): void {
  if (dtype === "int8") view.setInt8(byteOffset, value);
  else if (dtype === "uint8") view.setUint8(byteOffset, value);
  else if (dtype === "int16") view.setInt16(byteOffset, value, true);
  else if (dtype === "uint16") view.setUint16(byteOffset, value, true);
  else view.setInt32(byteOffset, value, true);
}
