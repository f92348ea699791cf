import type { FileHandle } from "node:fs/promises";
import { TuttiError } from "../errors/index.ts";
import { bytesOf, bytesPerSample, type ColumnDType, type ColumnType, shownType } from "./column.ts";
import { openStart, type StartOfFile } from "./column-files.ts";
import type { DataPlace, Dataset } from "./dataset.ts";
import { type DataFile, isGzip, readFailure, readStream } from "./file.ts";
import { defaultMemoryBytes, type FileColumn, type FilePart, fileDataset } from "./file-dataset.ts";
import { checkFileNames, type FileNames, findFiles } from "./files.ts";
import { type DataSource, type OpenContext, type PlainObject, requireColumns } from "./source.ts";
import { GrowingColumn, type HeldMemory, spooledDataset } from "./spool.ts";

/** Third byte of the magic number, as in the format's only description (Y. LeCun, "The MNIST database"). */
const dtypeOfCode: Readonly<Record<number, ColumnDType>> = {
  8: "uint8",
  9: "int8",
  11: "int16",
  12: "int32",
  13: "float32",
  14: "float64",
};

/**
 * Idx files (plain or gzipped) as columns; the first dimension counts the rows. Big-endian values become little-endian; dtype and
 * sample shape are the file's. Several files or a pattern are one column, one after another. Plain files of single bytes are not
 * loaded where they are large: rows are read by position; others are unpacked once, to a temporary file where they do not fit into memory.
 * @param files column name to path, pattern, or a list of them, relative to the run file.
 */
export function idx<const Files extends Readonly<Record<string, FileNames>>>(
  files: Files,
): DataSource<{ readonly [Name in keyof Files]: ColumnType }> {
  requireColumns("idx", files);
  for (const [name, names] of Object.entries(files)) checkFileNames(`idx, column "${name}"`, names);
  return {
    kind: "idx",
    describe: { ...files },
    withDescription(describe: PlainObject) {
      const names = Object.keys(files);
      if (Object.keys(describe).length !== names.length || !names.every((name) => Object.hasOwn(describe, name))) {
        throw new TuttiError(
          "BAD_OPTION",
          `data.idx: expected a path for each of ${names.join(", ")} and nothing else`,
        );
      }
      return idx(describe as Files);
    },
    open: (context) => openIdx(files, context),
  };
}

async function openIdx(files: Readonly<Record<string, FileNames>>, context: OpenContext): Promise<Dataset> {
  const { memoryBytes = defaultMemoryBytes } = context;
  const held: HeldMemory = { bytes: 0, memoryBytes };
  const columns = new Map<string, IdxColumn>();
  const places = new Map<string, readonly string[]>();
  try {
    for (const [name, names] of Object.entries(files)) {
      const found = await findFiles(context.baseDirectory, names);
      places.set(
        name,
        found.map(({ resolved }) => resolved),
      );
      columns.set(name, await openColumn(name, found, held));
    }
    const place = placeOf(places);
    const [first] = columns.values();
    for (const { rows, files: own } of columns.values()) {
      if (rows === first!.rows) continue;
      const message = `${own}: expected ${first!.rows} rows as in ${first!.files}, found ${rows}`;
      throw new TuttiError("DATA_INVALID", message);
    }
    const unpacked = [...columns].flatMap(([name, { growing }]) =>
      growing === undefined ? [] : [[name, growing] as const],
    );
    if (unpacked.length === columns.size) {
      return spooledDataset(first!.rows, new Map(unpacked), memoryBytes, place);
    }
    const all = [...columns].map(([name, { growing, rows, type, parts }]): [string, FileColumn] => [
      name,
      growing === undefined ? { type, parts } : growing.finishFile(rows),
    ]);
    return fileDataset(first!.rows, Object.fromEntries(all), memoryBytes, place);
  } catch (error) {
    for (const { growing, parts } of columns.values()) {
      growing?.discard();
      for (const { open } of parts) await open.close();
    }
    throw error;
  }
}

/** Files of the run file's own, where each column is one of them. */
function placeOf(places: ReadonlyMap<string, readonly string[]>): DataPlace | undefined {
  const isWhole = [...places.values()].every(({ length }) => length === 1);
  return isWhole ? Object.fromEntries([...places].map(([name, [path]]) => [name, path!])) : undefined;
}

interface IdxColumn {
  readonly type: ColumnType;
  readonly rows: number;
  /** What messages call its files. */
  readonly files: string;
  /** What was unpacked; undefined where the rows can be read from the files themselves. */
  readonly growing: GrowingColumn | undefined;
  readonly parts: readonly FilePart[];
}

async function openColumn(name: string, files: readonly DataFile[], held: HeldMemory): Promise<IdxColumn> {
  const parts: FilePart[] = [];
  let growing: GrowingColumn | undefined;
  let [type, rows]: [ColumnType | undefined, number] = [undefined, 0];
  const starts = new Map<DataFile, StartOfFile>();
  try {
    for (const file of files) starts.set(file, await openStart(file, mostHeaderBytes));
    // All files by position, or all unpacked: one column lies in one way.
    const areReadable = [...starts.values()].every(({ start }) => !isGzip(start) && hasSingleBytes(start));
    for (const [file, { open, fileBytes, start }] of starts) {
      let header: IdxHeader;
      if (areReadable) {
        header = decodeHeader(start, file);
        checkSize(header, fileBytes, file);
        parts.push({ open, file: file.given, offset: header.headerBytes, rows: header.rows });
      } else {
        const known = growing;
        header = await unpack(file, open, (own) => {
          growing = known ?? new GrowingColumn(own, held);
          return growing;
        });
      }
      type ??= header.type;
      if (shownType(header.type) !== shownType(type)) {
        const message = `${file.given}: column "${name}": expected ${shownType(type)} a row as in ${files[0]!.given}, found ${shownType(header.type)}`;
        throw new TuttiError("DATA_INVALID", message, { ...file, column: name });
      }
      rows += header.rows;
    }
  } catch (error) {
    growing?.discard();
    for (const { open } of starts.values()) await open.close();
    throw error;
  }
  return { type: type!, rows, files: files.map(({ given }) => given).join(", "), growing, parts };
}

interface IdxHeader {
  readonly rows: number;
  readonly type: ColumnType;
  readonly headerBytes: number;
}

/** Of 255 dimensions. */
const mostHeaderBytes = 4 + 4 * 255;

/** True for types whose values are the same in both byte orders. */
function hasSingleBytes(start: Uint8Array): boolean {
  return start[2] === 8 || start[2] === 9;
}

function decodeHeader(start: Uint8Array, file: DataFile): IdxHeader {
  const refuse = (problem: string) => new TuttiError("DATA_INVALID", `${file.given}: ${problem}`, { ...file });
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  if (start.byteLength < 4 || view.getUint16(0) !== 0) {
    throw refuse("expected an idx file, which starts with two zero bytes");
  }
  const dtype = dtypeOfCode[view.getUint8(2)];
  if (dtype === undefined) throw refuse(`unknown idx data type 0x${view.getUint8(2).toString(16).padStart(2, "0")}`);
  const rank = view.getUint8(3);
  const headerBytes = 4 + 4 * rank;
  if (rank === 0) throw refuse("expected at least one dimension, found a scalar");
  if (start.byteLength < headerBytes) throw refuse(`is cut off inside its header of ${headerBytes} bytes`);
  const dimensions = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis));
  const [rows, ...shape] = dimensions;
  if (dimensions.includes(0)) throw refuse(`expected rows and no empty dimension, found [${dimensions.join(", ")}]`);
  return { rows: rows!, type: { dtype, shape }, headerBytes };
}

function checkSize({ rows, type, headerBytes }: IdxHeader, foundBytes: number, file: DataFile): void {
  const expectedBytes = headerBytes + rows * bytesPerSample(type);
  if (foundBytes === expectedBytes) return;
  throw new TuttiError(
    "DATA_INVALID",
    `${file.given}: its header says [${[rows, ...type.shape].join(", ")}] ${type.dtype}, ${expectedBytes} bytes in all; found ${foundBytes}`,
    { ...file },
  );
}

/** Appends a file's values, little-endian, to the column that `columnFor` gives for their type. Closes the handle. */
async function unpack(
  file: DataFile,
  handle: FileHandle,
  columnFor: (type: ColumnType) => GrowingColumn,
): Promise<IdxHeader> {
  let header: IdxHeader | undefined;
  let column: GrowingColumn | undefined;
  let foundBytes = 0;
  /** The header, then what is left of a chunk: part of a value. */
  let rest: Uint8Array = new Uint8Array();
  for await (const chunk of chunksOf(file, handle)) {
    foundBytes += chunk.byteLength;
    let bytes: Uint8Array = rest.byteLength === 0 ? chunk : Buffer.concat([rest, chunk]);
    if (column === undefined || header === undefined) {
      rest = bytes;
      if (bytes.byteLength < mostHeaderBytes) continue;
      header = decodeHeader(bytes, file);
      column = columnFor(header.type);
      bytes = bytes.subarray(header.headerBytes);
    }
    rest = appendSwapped(column, bytes, header.type);
  }
  if (column === undefined || header === undefined) {
    header = decodeHeader(rest, file); // a small file
    rest = appendSwapped(columnFor(header.type), rest.subarray(header.headerBytes), header.type);
  }
  checkSize(header, foundBytes, file);
  return header;
}

async function* chunksOf(file: DataFile, handle: FileHandle): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of await readStream(handle)) yield chunk as Uint8Array;
  } catch (error) {
    throw readFailure(file, error);
  }
}

/** @returns what is left: part of a value. */
function appendSwapped(column: GrowingColumn, bytes: Uint8Array, { dtype }: ColumnType): Uint8Array {
  const elementBytes = bytesOf(dtype);
  const end = bytes.byteLength - (bytes.byteLength % elementBytes);
  column.append(littleEndian(Buffer.from(bytes.subarray(0, end)), elementBytes));
  return Uint8Array.from(bytes.subarray(end));
}

function littleEndian(bytes: Buffer, elementBytes: number): Uint8Array {
  if (elementBytes === 1) return bytes;
  if (elementBytes === 2) return bytes.swap16();
  return elementBytes === 4 ? bytes.swap32() : bytes.swap64();
}
