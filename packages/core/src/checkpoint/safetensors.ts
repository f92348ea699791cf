import { bytesOf, type ColumnDType } from "../data/column.ts";
import { TuttiError } from "../errors/index.ts";

/** A tensor with a name; `data` holds its packed, row-major, little-endian elements. */
export interface NamedTensor<Bytes extends Uint8Array = Uint8Array> {
  readonly name: string;
  readonly dtype: ColumnDType;
  readonly shape: readonly number[];
  readonly data: Bytes;
}

export interface EncodedSafetensors {
  /** The 8 length bytes and the JSON header, padded with spaces so that the data section starts on 8 bytes. */
  readonly header: Uint8Array;
  /** The tensors' own bytes, in order: what follows the header. */
  readonly data: readonly Uint8Array[];
}

export interface DecodedSafetensors {
  /** In the order of their data; views into the bytes that were decoded. */
  readonly tensors: readonly NamedTensor[];
  readonly metadata: Readonly<Record<string, string>>;
}

const formatName: Readonly<Record<ColumnDType, string>> = {
  float32: "F32",
  float64: "F64",
  int8: "I8",
  uint8: "U8",
  int16: "I16",
  uint16: "U16",
  int32: "I32",
  int64: "I64",
  bool: "BOOL",
};

const dtypeOfFormatName: ReadonlyMap<string, ColumnDType> = new Map(
  Object.entries(formatName).map(([dtype, name]) => [name, dtype as ColumnDType]),
);

const columnFormats: ReadonlyMap<string, number> = new Map(
  Object.entries(formatName).map(([dtype, name]) => [name, bytesOf(dtype as ColumnDType)]),
);

const lengthBytes = 8;
const metadataKey = "__metadata__";
/** The limit of the format's own reader. */
const maximumHeaderBytes = 100_000_000;

/**
 * Writes the safetensors format (github.com/huggingface/safetensors, "Format"): tensors contiguous and in the order
 * given. Copies no tensor. Throws INTERNAL for a repeated or reserved name and for bytes that do not fit the shape.
 */
export function encodeSafetensors(
  tensors: readonly NamedTensor[],
  metadata: Readonly<Record<string, string>>,
): EncodedSafetensors {
  for (const { name, dtype, shape, data } of tensors) {
    if (data.byteLength === sizeInBytes(dtype, shape)) continue;
    throw new TuttiError(
      "INTERNAL",
      `tensor "${name}": ${dtype} [${shape.join(", ")}] takes ${sizeInBytes(dtype, shape)} bytes, found ${data.byteLength}`,
    );
  }
  return { header: encodeHeader(tensors, metadata), data: tensors.map((tensor) => tensor.data) };
}

/**
 * The length field and JSON header of a file whose tensors follow in the order given, padded with spaces so that the data
 * starts on 8 bytes. Throws INTERNAL for a repeated or reserved name.
 */
export function encodeHeader(
  tensors: readonly Omit<NamedTensor, "data">[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const entries: [string, unknown][] = [[metadataKey, metadata]];
  const names = new Set([metadataKey]);
  let end = 0;
  for (const { name, dtype, shape } of tensors) {
    if (names.has(name)) throw new TuttiError("INTERNAL", `tensor name "${name}" is reserved or used twice`);
    names.add(name);
    const begin = end;
    end += sizeInBytes(dtype, shape);
    entries.push([name, { dtype: formatName[dtype], shape, data_offsets: [begin, end] }]);
  }
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const paddedBytes = Math.ceil(text.byteLength / lengthBytes) * lengthBytes;
  const header = new Uint8Array(lengthBytes + paddedBytes).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(paddedBytes), true);
  header.set(text, lengthBytes);
  return header;
}

/** The dtype that the format calls `format`, such as "F32"; undefined for those that no column can have. */
export function dtypeOfFormat(format: string): ColumnDType | undefined {
  return dtypeOfFormatName.get(format);
}

/**
 * Bytes of length field and header together. Throws CHECKPOINT_INVALID when the file cannot hold them.
 * @param start the file's first bytes, 8 or more of them. @param fileBytes its size.
 */
export function headerEnd(start: Uint8Array, fileBytes: number, where: string): number {
  if (fileBytes < lengthBytes) throw invalid(where, `expected a length of 8 bytes, the file has ${fileBytes}`);
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const declared = view.getBigUint64(0, true);
  const available = Math.min(maximumHeaderBytes, fileBytes - lengthBytes);
  if (declared > BigInt(available))
    throw invalid(where, `its header of ${declared} bytes does not fit the file or the limit`);
  return lengthBytes + Number(declared);
}

/**
 * Reads the safetensors format; checks everything that is declared before it is used.
 * @param where the file, for messages.
 * Throws CHECKPOINT_INVALID with the file and the reason.
 */
export function decodeSafetensors(bytes: Uint8Array, where: string): DecodedSafetensors {
  const { tensors, metadata } = decodeRawSafetensors(bytes, where, columnFormats);
  return {
    tensors: tensors.map(({ name, format, shape, data }) => ({
      name,
      dtype: dtypeOfFormatName.get(format)!,
      shape,
      data,
    })),
    metadata,
  };
}

/** A tensor under the format's own name of its dtype ("F16"). */
export interface RawTensor {
  readonly name: string;
  readonly format: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** As `decodeSafetensors`, for the dtypes that `formats` lists with their bytes an element. */
export function decodeRawSafetensors(
  bytes: Uint8Array,
  where: string,
  formats: ReadonlyMap<string, number>,
): { readonly tensors: readonly RawTensor[]; readonly metadata: Readonly<Record<string, string>> } {
  const dataStart = headerEnd(bytes.subarray(0, lengthBytes), bytes.byteLength, where);
  const data = bytes.subarray(dataStart);
  const { tensors, metadata } = decodeHeader(bytes.subarray(lengthBytes, dataStart), data.byteLength, where, formats);
  return {
    tensors: tensors.map(({ name, format, shape, begin, end }) => ({
      name,
      format,
      shape,
      data: data.subarray(begin, end),
    })),
    metadata,
  };
}

/**
 * Reads a file's JSON header, so that tensors can be read by position; everything is checked as by `decodeSafetensors`.
 * @param header what lies between the length field and the data.
 * @param dataBytes all that follows it.
 */
export function decodeHeader(
  header: Uint8Array,
  dataBytes: number,
  where: string,
  formats: ReadonlyMap<string, number> = columnFormats,
): { readonly tensors: readonly PlacedTensor[]; readonly metadata: Readonly<Record<string, string>> } {
  const entries = parseHeader(header, where);
  const metadata = new Map(Object.entries(entries)).get(metadataKey) ?? {};
  if (!isStringRecord(metadata)) throw invalid(where, `${metadataKey} is no map of texts`);
  const tensors = Object.entries(entries)
    .filter(([name]) => name !== metadataKey)
    .map(([name, entry]) => checkEntry(name, entry, where, formats))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);
  let next = 0;
  for (const { name, begin, end } of tensors) {
    if (begin !== next) throw invalid(where, `tensor "${name}" starts at byte ${begin} of the data, expected ${next}`);
    if (end > dataBytes) throw invalid(where, `tensor "${name}" ends at byte ${end}, the data has ${dataBytes}`);
    next = end;
  }
  if (next !== dataBytes) throw invalid(where, `${dataBytes - next} bytes of data belong to no tensor`);
  return { tensors, metadata };
}

/** A tensor of a file: its bytes are those from `begin` to `end` of the data. */
export interface PlacedTensor {
  readonly name: string;
  readonly format: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function checkEntry(name: string, entry: unknown, where: string, formats: ReadonlyMap<string, number>): PlacedTensor {
  const { dtype: given, shape, data_offsets: offsets } = isObject(entry) ? entry : {};
  const size = typeof given === "string" ? formats.get(given) : undefined;
  if (typeof given !== "string" || size === undefined)
    throw invalid(where, `tensor "${name}" has the dtype ${JSON.stringify(given)}, which is not read here`);
  if (!isSizes(shape)) throw invalid(where, `tensor "${name}" has no valid shape: ${JSON.stringify(shape)}`);
  if (!isSizes(offsets) || offsets.length !== 2) {
    throw invalid(where, `tensor "${name}" has no valid data_offsets: ${JSON.stringify(offsets)}`);
  }
  const [begin, end] = offsets as [number, number];
  const expected = shape.reduce((product, length) => product * length, size);
  if (end - begin !== expected) {
    throw invalid(
      where,
      `tensor "${name}": ${given} [${shape.join(", ")}] takes ${expected} bytes, its offsets span ${end - begin}`,
    );
  }
  return { name, format: given, shape, begin, end };
}

function parseHeader(bytes: Uint8Array, where: string): Readonly<Record<string, unknown>> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw invalid(where, "its header is no JSON text");
  }
  if (!isObject(parsed)) throw invalid(where, "its header is no JSON object");
  return parsed;
}

function sizeInBytes(dtype: ColumnDType, shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, bytesOf(dtype));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isStringRecord(value: unknown): value is Readonly<Record<string, string>> {
  return isObject(value) && Object.values(value).every((entry) => typeof entry === "string");
}

function isSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/** The error of every file that cannot be used, and why. */
export function invalid(where: string, reason: string): TuttiError {
  return new TuttiError("CHECKPOINT_INVALID", `${where}: no valid checkpoint: ${reason}`, { path: where, reason });
}
