import { read as readAt, readSync } from "node:fs";
import { TuttiError } from "../errors/index.ts";
import { bytesPerSample, type ColumnType, type ColumnTypes } from "./column.ts";
import {
  type ColumnBytes,
  contiguousColumn,
  type DataPlace,
  type Dataset,
  fingerprintOf,
  memoryDataset,
  type StoredColumn,
} from "./dataset.ts";

/** An open file, closed by the data set that reads it. */
export interface OpenFile {
  readonly fd: number;
  close(): Promise<void>;
}

/** Packed little-endian samples that lie one after another in a file. */
export interface FilePart {
  readonly open: OpenFile;
  /** What messages call the file. */
  readonly file: string;
  /** Byte at which the first sample begins. */
  readonly offset: number;
  readonly rows: number;
}

/** A column that lies in files: its rows are those of the parts, one after another. Several columns may share a file. */
export interface FileColumn {
  readonly type: ColumnType;
  readonly parts: readonly FilePart[];
}

/** How much of a data set is kept in memory, unless the context of opening says otherwise: 256 MiB. */
export const defaultMemoryBytes = 256 * 1024 * 1024;

/**
 * A data set over columns that lie in files. Columns are kept in memory, the smallest first, as long as they fit into
 * `memoryBytes` together; of the others only the rows that a batch needs are read, by position. Reads the files once for the
 * fingerprint. The handles are the data set's from now on, also when this throws DATA_INVALID for a file that ends too soon.
 *
 * @param columns in the order that the data set shall have. @param place files that hold just these rows, if there are any.
 */
export async function fileDataset(
  size: number,
  columns: Readonly<Record<string, FileColumn>>,
  memoryBytes: number,
  place?: DataPlace,
): Promise<Dataset> {
  try {
    const resident = residentColumns(size, columns, memoryBytes);
    const inMemory: Record<string, StoredColumn> = {};
    const pieces: Record<string, ColumnBytes> = {};
    for (const [name, column] of Object.entries(columns)) {
      const stored = resident.has(name) ? await loadColumn(size, column) : undefined;
      if (stored !== undefined) inMemory[name] = stored;
      pieces[name] = { type: column.type, pieces: () => stored?.chunks ?? columnPieces(column) };
    }
    if (resident.size === Object.keys(columns).length) {
      await closeAll(columns);
      return memoryDataset(size, inMemory, place);
    }
    return new FileDataset({
      size,
      fingerprint: await fingerprintOf(size, pieces),
      memory: await memoryDataset(size, inMemory),
      columns,
      resident,
      place,
    });
  } catch (error) {
    await closeAll(columns);
    throw error;
  }
}

function residentColumns(
  size: number,
  columns: Readonly<Record<string, FileColumn>>,
  memoryBytes: number,
): Set<string> {
  const bySize = Object.entries(columns).sort(([, a], [, b]) => bytesPerSample(a.type) - bytesPerSample(b.type));
  const resident = new Set<string>();
  let bytes = 0;
  for (const [name, { type }] of bySize) {
    bytes += size * bytesPerSample(type);
    if (bytes > memoryBytes) break;
    resident.add(name);
  }
  return resident;
}

async function closeAll(columns: Readonly<Record<string, FileColumn>>): Promise<void> {
  const files = new Set(Object.values(columns).flatMap(({ parts }) => parts.map(({ open }) => open)));
  for (const file of files) await file.close();
}

const pieceBytes = 1024 * 1024;

async function loadColumn(size: number, column: FileColumn): Promise<StoredColumn> {
  const bytes = new Uint8Array(size * bytesPerSample(column.type));
  let at = 0;
  for await (const piece of columnPieces(column)) {
    bytes.set(piece, at);
    at += piece.byteLength;
  }
  return contiguousColumn(column.type, bytes);
}

/** A column's bytes in one buffer that is filled again and again. */
export async function* columnPieces({ type, parts }: FileColumn): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(pieceBytes);
  for (const part of parts) {
    const total = part.rows * bytesPerSample(type);
    for (let from = 0; from < total; from += pieceBytes) {
      const piece = buffer.subarray(0, Math.min(pieceBytes, total - from));
      await readExactly(part, piece, from);
      yield piece;
    }
  }
}

/** A piece of a part that is read at once. */
export interface PositionedRead {
  readonly part: FilePart;
  /** Is filled. */
  readonly target: Uint8Array;
  /** Byte of the part. */
  readonly from: number;
  /** Called when it is filled. */
  readonly filled?: () => void;
}

/** How long reads of files that the system has in its memory may hold up the event loop. */
const longestTurnMs = 2;

/**
 * Reads all. What the system has in memory is copied at once, at 2 µs a row where a callback would cost 40; a disk that takes longer
 * gets several reads at a time, and the event loop goes on. Throws DATA_INVALID where a file ends too soon.
 */
export async function readAllOf(reads: readonly PositionedRead[]): Promise<void> {
  const startedMs = performance.now();
  let next = 0;
  for (; next < reads.length && performance.now() - startedMs < longestTurnMs; next++) {
    const { part, target, from, filled } = reads[next]!;
    readNow(part, target, from);
    filled?.();
  }
  const take = async (): Promise<void> => {
    for (let read = reads[next++]; read !== undefined; read = reads[next++]) {
      await readExactly(read.part, read.target, read.from);
      read.filled?.();
    }
  };
  await Promise.all(Array.from({ length: Math.min(readsAtOnce, reads.length - next) }, take));
}

/** Enough for the threads that Node reads files with, and for the disk's own queue. */
const readsAtOnce = 16;

function readNow({ open, file, offset }: FilePart, target: Uint8Array, from: number): void {
  for (let done = 0; done < target.byteLength; ) {
    let bytesRead = 0;
    let why = `it ends at byte ${offset + from + done}`;
    try {
      bytesRead = readSync(open.fd, target, done, target.byteLength - done, offset + from + done);
    } catch (error) {
      why = error instanceof Error ? error.message : String(error);
    }
    if (bytesRead === 0) throw unreadable(file, why);
    done += bytesRead;
  }
}

function unreadable(file: string, why: string): TuttiError {
  const message = `${file}: cannot be read (${why}): was it changed or cut off while it is in use?`;
  return new TuttiError("DATA_INVALID", message, { file });
}

/** Fills `target` from a byte of the part on; throws DATA_INVALID where the file ends too soon. The callback API: a promise for each row would cost more than its read. */
function readExactly({ open, file, offset }: FilePart, target: Uint8Array, from: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const next = (done: number): void => {
      readAt(open.fd, target, done, target.byteLength - done, offset + from + done, (error, bytesRead) => {
        if (error !== null || bytesRead === 0) {
          const why = error === null ? `it ends at byte ${offset + from + done}` : error.message;
          reject(unreadable(file, why));
        } else if (done + bytesRead < target.byteLength) next(done + bytesRead);
        else resolve();
      });
    };
    next(0);
  });
}

interface FileDatasetParts {
  readonly size: number;
  readonly fingerprint: string;
  /** The columns that are resident. */
  readonly memory: Dataset;
  readonly columns: Readonly<Record<string, FileColumn>>;
  readonly resident: ReadonlySet<string>;
  readonly place: DataPlace | undefined;
}

/** Rows that lie closer than this in a file are read together. */
const gapBytes = 16 * 1024;
const runBytes = 512 * 1024;

class FileDataset implements Dataset {
  readonly size: number;
  readonly columns: ColumnTypes;
  readonly fingerprint: string;
  readonly place: DataPlace | undefined;
  readonly #parts: FileDatasetParts;

  constructor(parts: FileDatasetParts) {
    this.size = parts.size;
    this.fingerprint = parts.fingerprint;
    this.place = parts.place;
    this.columns = Object.fromEntries(Object.entries(parts.columns).map(([name, { type }]) => [name, type]));
    this.#parts = parts;
  }

  async read(rows: ArrayLike<number>, target: Readonly<Record<string, Uint8Array>>): Promise<void> {
    const { memory, columns, resident } = this.#parts;
    const isOnDisk = ([name]: readonly [string, Uint8Array]): boolean =>
      Object.hasOwn(columns, name) && !resident.has(name);
    const targets = Object.entries(target);
    // First of all, as it refuses rows and columns that do not exist.
    await memory.read(rows, Object.fromEntries(targets.filter((entry) => !isOnDisk(entry))));
    // Ascending, so that neighbours are read together and the disk is asked in its own order.
    const order = Uint32Array.from({ length: rows.length }, (_, index) => index).sort((a, b) => rows[a]! - rows[b]!);
    const reads: PositionedRead[] = [];
    for (const [name, bytes] of targets.filter(isOnDisk)) {
      const column = columns[name]!;
      this.#check(name, column.type, rows, bytes);
      for (const run of runsOf(order, rows, column)) reads.push(readOfRun(column, run, rows, bytes));
    }
    await readAllOf(reads);
  }

  close(): Promise<void> {
    return closeAll(this.#parts.columns);
  }

  #check(name: string, type: ColumnType, rows: ArrayLike<number>, target: Uint8Array): void {
    const needed = rows.length * bytesPerSample(type);
    if (target.byteLength === needed) return;
    const message = `reading column "${name}" needs ${needed} bytes, the target has ${target.byteLength}`;
    throw new TuttiError("INTERNAL", message);
  }
}

/** Rows that are read at once. */
interface Run {
  readonly part: FilePart;
  /** Of the part, in the column. */
  readonly firstRow: number;
  /** Into the rows that were asked for, so that these ascend. */
  readonly indices: Uint32Array;
}

function runsOf(order: Uint32Array, rows: ArrayLike<number>, { type, parts }: FileColumn): readonly Run[] {
  const sampleBytes = bytesPerSample(type);
  const runs: Run[] = [];
  let [begin, part, firstRow] = [0, 0, 0];
  for (let at = 1; at <= order.length; at++) {
    const first = rows[order[begin]!]!;
    while (first >= firstRow + parts[part]!.rows) firstRow += parts[part++]!.rows;
    if (at < order.length) {
      const row = rows[order[at]!]!;
      const gap = (row - rows[order[at - 1]!]! - 1) * sampleBytes;
      const isNear = gap <= gapBytes && (row - first + 1) * sampleBytes <= runBytes;
      if (isNear && row < firstRow + parts[part]!.rows) continue;
    }
    runs.push({ part: parts[part]!, firstRow, indices: order.subarray(begin, at) });
    begin = at;
  }
  return runs;
}

function readOfRun(
  { type }: FileColumn,
  { part, firstRow, indices }: Run,
  rows: ArrayLike<number>,
  target: Uint8Array,
): PositionedRead {
  const sampleBytes = bytesPerSample(type);
  const first = rows[indices[0]!]!;
  const from = (first - firstRow) * sampleBytes;
  if (indices.length === 1) {
    const to = indices[0]! * sampleBytes;
    return { part, target: target.subarray(to, to + sampleBytes), from };
  }
  const bytes = new Uint8Array((rows[indices.at(-1)!]! - first + 1) * sampleBytes);
  const filled = (): void => {
    for (const index of indices) {
      const at = (rows[index]! - first) * sampleBytes;
      target.set(bytes.subarray(at, at + sampleBytes), index * sampleBytes);
    }
  };
  return { part, target: bytes, from, filled };
}
