import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bytesOf, bytesPerSample, type ColumnType, type ColumnTypes, type Scalar, writeScalar } from "./column.ts";
import { type DataPlace, type Dataset, memoryDataset, type StoredColumn } from "./dataset.ts";
import { defaultMemoryBytes, type FileColumn, fileDataset, type OpenFile } from "./file-dataset.ts";

const chunkBytes = 1024 * 1024;

/**
 * Collects rows of unknown number into typed columns, in chunks, so that growing never copies what is there. Once they hold
 * more than `memoryBytes`, full chunks go to temporary files, which have no name any more and vanish with the process.
 */
export class RowSpool {
  readonly #columns: ReadonlyMap<string, GrowingColumn>;
  readonly #memoryBytes: number;
  #size = 0;

  constructor(columns: ColumnTypes, memoryBytes: number = defaultMemoryBytes) {
    this.#memoryBytes = memoryBytes;
    const held = { bytes: 0, memoryBytes };
    this.#columns = new Map(Object.entries(columns).map(([name, type]) => [name, new GrowingColumn(type, held)]));
  }

  /** Rows finished so far. */
  get size(): number {
    return this.#size;
  }

  /** Puts one element of the current row. @returns undefined, or what was expected instead of `value`. */
  put(column: string, element: number, value: Scalar): string | undefined {
    return this.#columns.get(column)!.put(this.#size, element, value);
  }

  /** Appends packed little-endian bytes to a column, of whole samples or not: instead of `put`. */
  append(column: string, bytes: Uint8Array): void {
    this.#columns.get(column)!.append(bytes);
  }

  /** Ends the current row, or several, every element of which must have been put. */
  finishRow(rows = 1): void {
    this.#size += rows;
  }

  /** The spooled rows; the spool must not be used afterwards. */
  finish(): Promise<Dataset> {
    return spooledDataset(this.#size, this.#columns, this.#memoryBytes);
  }

  /** One column, wherever it lies; the caller closes its file if it has one. */
  finishColumn(name: string): StoredColumn | FileColumn {
    const column = this.#columns.get(name)!;
    return column.isSpilled ? column.finishFile(this.#size) : column.finish(this.#size);
  }

  /** Gives up what was spooled. */
  discard(): void {
    for (const column of this.#columns.values()) column.discard();
  }
}

/**
 * The rows of columns that grew together, in memory or in temporary files; they must not be used afterwards.
 * @param place files that hold just these rows, if there are any.
 */
export async function spooledDataset(
  size: number,
  columns: ReadonlyMap<string, GrowingColumn>,
  memoryBytes: number,
  place?: DataPlace,
): Promise<Dataset> {
  const all = [...columns];
  if (!all.some(([, column]) => column.isSpilled)) {
    return memoryDataset(size, Object.fromEntries(all.map(([name, column]) => [name, column.finish(size)])), place);
  }
  return fileDataset(
    size,
    Object.fromEntries(all.map(([name, column]) => [name, column.finishFile(size)])),
    memoryBytes,
    place,
  );
}

/** What columns that grow together hold in memory, and may. */
export interface HeldMemory {
  bytes: number;
  readonly memoryBytes: number;
}

/** One column of unknown length. */
export class GrowingColumn {
  readonly #type: ColumnType;
  readonly #sampleBytes: number;
  readonly #elementBytes: number;
  readonly #rowsPerChunk: number;
  /** Of all columns of the spool. */
  readonly #held: HeldMemory;
  /** Those that are in memory: all, or the ones behind what was written. */
  #chunks: DataView[] = [];
  #written = 0;
  #appended = 0;
  #file: OpenFile | undefined;

  constructor(type: ColumnType, held: HeldMemory) {
    this.#type = type;
    this.#held = held;
    this.#sampleBytes = bytesPerSample(type);
    this.#elementBytes = bytesOf(type.dtype);
    this.#rowsPerChunk = Math.max(1, Math.floor(chunkBytes / this.#sampleBytes));
  }

  get isSpilled(): boolean {
    return this.#file !== undefined;
  }

  get type(): ColumnType {
    return this.#type;
  }

  /**
   * Puts one element, of the row after the last or of the last one again. @returns undefined, or what was expected instead.
   */
  put(row: number, element: number, value: Scalar): string | undefined {
    const chunk = this.#chunk(Math.floor(row / this.#rowsPerChunk));
    const offset = (row % this.#rowsPerChunk) * this.#sampleBytes + element * this.#elementBytes;
    return writeScalar(chunk, offset, this.#type.dtype, value);
  }

  /** Puts NaN into a float column, always with the same bits: they are part of the fingerprint. */
  putNaN(row: number, element: number): undefined {
    const chunk = this.#chunk(Math.floor(row / this.#rowsPerChunk));
    const offset = (row % this.#rowsPerChunk) * this.#sampleBytes + element * this.#elementBytes;
    if (this.#elementBytes === 4) chunk.setUint32(offset, 0x7fc00000, true);
    else chunk.setBigUint64(offset, 0x7ff8000000000000n, true);
  }

  append(bytes: Uint8Array): void {
    const fullBytes = this.#rowsPerChunk * this.#sampleBytes;
    for (let from = 0; from < bytes.byteLength; ) {
      const chunk = this.#chunk(Math.floor(this.#appended / fullBytes));
      const at = this.#appended % fullBytes;
      const piece = bytes.subarray(from, from + fullBytes - at);
      new Uint8Array(chunk.buffer).set(piece, at);
      from += piece.byteLength;
      this.#appended += piece.byteLength;
    }
  }

  finish(size: number): StoredColumn {
    const lastRows = size - (this.#chunks.length - 1) * this.#rowsPerChunk;
    const chunks = this.#chunks.map(({ buffer }, index) =>
      index < this.#chunks.length - 1
        ? new Uint8Array(buffer)
        : new Uint8Array(buffer.slice(0, lastRows * this.#sampleBytes)),
    );
    return { type: this.#type, rowsPerChunk: this.#rowsPerChunk, chunks };
  }

  finishFile(size: number): FileColumn {
    const lastRows = size - (this.#written + this.#chunks.length - 1) * this.#rowsPerChunk;
    this.#spill(lastRows * this.#sampleBytes);
    return { type: this.#type, parts: [{ open: this.#file!, file: "the temporary file", offset: 0, rows: size }] };
  }

  discard(): void {
    if (this.#file !== undefined) closeSync(this.#file.fd);
  }

  #chunk(index: number): DataView {
    const known = this.#chunks[index - this.#written];
    if (known !== undefined) return known;
    const bytes = this.#rowsPerChunk * this.#sampleBytes;
    const isFull = this.#held.bytes + bytes > this.#held.memoryBytes;
    if (this.#chunks.length > 0 && (isFull || this.isSpilled)) this.#spill(bytes);
    const chunk = new DataView(new ArrayBuffer(bytes));
    this.#chunks.push(chunk);
    this.#held.bytes += bytes;
    return chunk;
  }

  /** Writes all chunks, of the last one its first bytes only. */
  #spill(lastBytes: number): void {
    this.#file ??= temporaryFile();
    for (const [index, { buffer }] of this.#chunks.entries()) {
      const bytes = new Uint8Array(buffer, 0, index === this.#chunks.length - 1 ? lastBytes : buffer.byteLength);
      for (let from = 0; from < bytes.byteLength; ) from += writeSync(this.#file.fd, bytes, from);
      this.#held.bytes -= buffer.byteLength;
    }
    this.#written += this.#chunks.length;
    this.#chunks = [];
  }
}

/** A file without a name in the system's folder for temporary files (TMPDIR). */
function temporaryFile(): OpenFile {
  const folder = mkdtempSync(join(tmpdir(), "tutti-spool-"));
  try {
    const fd = openSync(join(folder, "column"), "wx+", 0o600);
    return { fd, close: async () => closeSync(fd) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
