import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { TuttiError } from "../errors/index.ts";
import { bytesOf, bytesPerSample, type ColumnType, type ColumnTypes } from "./column.ts";

/** Rows at hand: random access by row. */
export interface Dataset {
  /** Number of rows, at least 1. */
  readonly size: number;
  readonly columns: ColumnTypes;
  /** SHA-256 (hex) of names, types and content: two datasets with the same fingerprint train the same weights. */
  readonly fingerprint: string;
  /**
   * Copies rows into `target`, one entry for each column that is wanted: the packed, row-major, little-endian bytes of `rows.length`
   * samples. Synchronous for sets in memory, a promise for others. The caller owns `target`.
   */
  read(rows: ArrayLike<number>, target: Readonly<Record<string, Uint8Array>>): void | Promise<void>;
  close(): Promise<void>;
  /** Files that hold exactly these columns and rows, by absolute paths; undefined where there are none. */
  readonly place?: DataPlace | undefined;
  /** Present where rows hold sequences of different lengths; `columns` and `read` then pad to the last of `padTo`. */
  readonly sequences?: Sequences;
  /** Present where rows come from files of named columns (csv, parquet, jsonl). */
  readonly table?: Table;
}

/** What is known of rows beyond their values. */
export interface Table {
  readonly columns: Readonly<Record<string, TableColumnFacts>>;
  /** Rows that are not there: they lacked a cell, where that was to leave them out, or had a problem that was collected. */
  readonly rowsLeftOut: number;
  /** Where a row (from 0) was read. */
  locate(row: number): RowPlace;
}

export interface RowPlace {
  /** As the user named it. */
  readonly file: string;
  /** From 1 in its file, a header not counted. */
  readonly row: number;
}

export interface TableColumnFacts {
  /** Cells that were missing, in rows that are there and in those left out. */
  readonly missingCells: number;
  /** The words that the values count, from 0. */
  readonly categories?: readonly string[];
  /** The place of the category for words that are none. */
  readonly unknown?: number;
  /** What the graph puts in the place of NaN: a number, or a statistic of the training rows. */
  readonly fill?: number | "mean" | "median";
  readonly normalize?: "standard" | "minmax";
}

/** The files of a data set: one that holds all columns (.safetensors, .npz), or one for each column (.npy, idx). */
export type DataPlace = string | Readonly<Record<string, string>>;

/** The rows of a data set that has sequences of different lengths, seen at one length. */
export interface Sequences {
  /** Lengths that batches of these rows can need, ascending: those of `padTo` that are the least to hold some row. */
  readonly lengths: readonly number[];
  /** The least of `lengths` that holds a row's longest sequence. */
  lengthOf(row: number): number;
  /** The same rows, sequences padded to one of `lengths`; reading a row that is longer throws INTERNAL. */
  paddedTo(length: number): Dataset;
}

/** A data set as batches padded to a length see it; itself where all rows have one shape. */
export function paddedTo(dataset: Dataset, length: number | undefined): Dataset {
  return length === undefined ? dataset : (dataset.sequences?.paddedTo(length) ?? dataset);
}

/**
 * One column in memory: every chunk but the last holds `rowsPerChunk` samples, so that an iterable of unknown length
 * is spooled without ever being copied as a whole.
 */
export interface StoredColumn {
  readonly type: ColumnType;
  readonly rowsPerChunk: number;
  readonly chunks: readonly Uint8Array[];
}

/** A column that lies in one piece. @param bytes kept, not copied: `size` packed little-endian samples. */
export function contiguousColumn(type: ColumnType, bytes: Uint8Array): StoredColumn {
  return { type, rowsPerChunk: Math.max(1, bytes.byteLength / bytesPerSample(type)), chunks: [bytes] };
}

/** A dataset over columns in memory, which it keeps without a copy: the caller must not change them any more. */
export async function memoryDataset(
  size: number,
  stored: Readonly<Record<string, StoredColumn>>,
  place?: DataPlace,
): Promise<Dataset> {
  const columns = Object.entries(stored).map(([name, { type, chunks }]) => [name, { type, pieces: () => chunks }]);
  return new MemoryDataset(size, stored, await fingerprintOf(size, Object.fromEntries(columns)), place);
}

class MemoryDataset implements Dataset {
  readonly size: number;
  readonly columns: ColumnTypes;
  readonly fingerprint: string;
  readonly place: DataPlace | undefined;
  readonly #stored: ReadonlyMap<string, ReadableColumn>;

  constructor(
    size: number,
    stored: Readonly<Record<string, StoredColumn>>,
    fingerprint: string,
    place: DataPlace | undefined,
  ) {
    this.place = place;
    this.size = size;
    this.fingerprint = fingerprint;
    this.#stored = new Map(Object.entries(stored).map(([name, column]) => [name, readable(column)]));
    this.columns = Object.fromEntries(Object.entries(stored).map(([name, column]) => [name, column.type]));
  }

  read(rows: ArrayLike<number>, target: Readonly<Record<string, Uint8Array>>): void {
    for (let index = 0; index < rows.length; index++) {
      const row = rows[index]!;
      if (!Number.isInteger(row) || row < 0 || row >= this.size) {
        throw new TuttiError("INTERNAL", `row ${row} was asked for; the data set has rows 0 to ${this.size - 1}`);
      }
    }
    for (const [name, bytes] of Object.entries(target)) {
      const column = this.#stored.get(name);
      if (column === undefined) throw new TuttiError("INTERNAL", `column "${name}" was asked for; there is none`);
      copyRows(name, column, rows, bytes);
    }
  }

  async close(): Promise<void> {}
}

/** A column in memory, and its chunks as 32-bit words where samples are few whole words. */
interface ReadableColumn extends StoredColumn {
  readonly sampleBytes: number;
  readonly words: readonly Uint32Array[] | undefined;
}

/** Samples up to this long are copied word by word: making views of a place takes as long as copying 200 words. */
const mostWordBytes = 256;

function readable(column: StoredColumn): ReadableColumn {
  const sampleBytes = bytesPerSample(column.type);
  const isInWords =
    sampleBytes % 4 === 0 &&
    sampleBytes <= mostWordBytes &&
    column.chunks.every(({ byteOffset }) => byteOffset % 4 === 0);
  const words = isInWords
    ? column.chunks.map(({ buffer, byteOffset, byteLength }) => new Uint32Array(buffer, byteOffset, byteLength >> 2))
    : undefined;
  return { ...column, sampleBytes, words };
}

function copyRows(name: string, column: ReadableColumn, rows: ArrayLike<number>, target: Uint8Array): void {
  const { sampleBytes, rowsPerChunk, words } = column;
  if (target.byteLength !== rows.length * sampleBytes) {
    throw new TuttiError(
      "INTERNAL",
      `reading column "${name}" needs ${rows.length * sampleBytes} bytes, the target has ${target.byteLength}`,
    );
  }
  if (words !== undefined && target.byteOffset % 4 === 0) {
    copyWords(words, rowsPerChunk, rows, sampleBytes >> 2, target);
    return;
  }
  for (let index = 0; index < rows.length; index++) {
    const row = rows[index]!;
    const chunk = column.chunks[Math.floor(row / rowsPerChunk)]!;
    const from = (row % rowsPerChunk) * sampleBytes;
    const to = index * sampleBytes;
    const last = lastOfRun(rows, index, rowsPerChunk);
    if (last > index) {
      target.set(chunk.subarray(from, from + (last - index + 1) * sampleBytes), to);
      index = last;
    } else if (sampleBytes <= 16)
      for (let byte = 0; byte < sampleBytes; byte++) target[to + byte] = chunk[from + byte]!;
    else target.set(chunk.subarray(from, from + sampleBytes), to);
  }
}

function copyWords(
  chunks: readonly Uint32Array[],
  rowsPerChunk: number,
  rows: ArrayLike<number>,
  sampleWords: number,
  target: Uint8Array,
): void {
  const words = new Uint32Array(target.buffer, target.byteOffset, target.byteLength >> 2);
  let to = 0;
  for (let index = 0; index < rows.length; index++) {
    const row = rows[index]!;
    const chunk = chunks[Math.floor(row / rowsPerChunk)]!;
    let from = (row % rowsPerChunk) * sampleWords;
    for (const end = from + sampleWords; from < end; from++) words[to++] = chunk[from]!;
  }
}

/** Fills `target` from a byte of a column of scalars on. */
export function copyBytes({ type, rowsPerChunk, chunks }: StoredColumn, from: number, target: Uint8Array): void {
  const chunkBytes = rowsPerChunk * bytesOf(type.dtype);
  for (let at = 0; at < target.byteLength; ) {
    const start = (from + at) % chunkBytes;
    const piece = chunks[Math.floor((from + at) / chunkBytes)]!.subarray(start, start + target.byteLength - at);
    target.set(piece, at);
    at += piece.byteLength;
  }
}

/** The last index of the rows from `index` on that follow one another in one chunk. */
function lastOfRun(rows: ArrayLike<number>, index: number, rowsPerChunk: number): number {
  const first = rows[index]!;
  const most = index + rowsPerChunk - 1 - (first % rowsPerChunk);
  let last = index;
  while (last < most && last + 1 < rows.length && rows[last + 1] === first + last + 1 - index) last++;
  return last;
}

const hashSliceBytes = 4 * 1024 * 1024;

/** A column's packed bytes, in row order, in pieces of any size; a piece is used before the next is asked for. */
export interface ColumnBytes {
  readonly type: ColumnType;
  pieces(): Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

/** SHA-256 (hex) of names, types and content: the same wherever the columns lie and in whatever order they are listed. */
export async function fingerprintOf(size: number, columns: Readonly<Record<string, ColumnBytes>>): Promise<string> {
  const hash = createHash("sha256");
  const names = Object.keys(columns).sort();
  hash.update(
    JSON.stringify({
      size,
      columns: names.map((name) => [name, columns[name]!.type.dtype, columns[name]!.type.shape]),
    }),
  );
  for (const name of names) {
    for await (const piece of columns[name]!.pieces()) {
      for (let from = 0; from < piece.byteLength; from += hashSliceBytes) {
        hash.update(piece.subarray(from, from + hashSliceBytes));
        await setImmediate(); // a large set must not hold up heartbeats
      }
    }
  }
  return hash.digest("hex");
}

/** Rows that follow one another, for `read`. (`Float64Array.from` with a function takes 150 ns a row.) */
export function rowRange(first: number, count: number): Float64Array {
  const rows = new Float64Array(count);
  for (let index = 0; index < count; index++) rows[index] = first + index;
  return rows;
}

const bytesPerPiece = 1024 * 1024;

/** The same of a data set's rows as they are read; for one without sequences. */
export function contentFingerprint(dataset: Pick<Dataset, "size" | "columns" | "read">): Promise<string> {
  const columns = Object.entries(dataset.columns).map(([name, type]) => [
    name,
    { type, pieces: () => columnPieces(dataset, name, type) },
  ]);
  return fingerprintOf(dataset.size, Object.fromEntries(columns));
}

async function* columnPieces(
  dataset: Pick<Dataset, "size" | "read">,
  name: string,
  type: ColumnType,
): AsyncGenerator<Uint8Array> {
  const rowsAtOnce = Math.max(1, Math.floor(bytesPerPiece / bytesPerSample(type)));
  for (let first = 0; first < dataset.size; first += rowsAtOnce) {
    const count = Math.min(rowsAtOnce, dataset.size - first);
    const bytes = new Uint8Array(count * bytesPerSample(type));
    await dataset.read(rowRange(first, count), { [name]: bytes });
    yield bytes;
  }
}
