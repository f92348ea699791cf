import { bytesOf, bytesPerSample, type ColumnType, type ColumnTypes, type Scalar, writeScalar } from "./column.ts";
import { type Dataset, memoryDataset, type StoredColumn } from "./dataset.ts";

const chunkBytes = 1024 * 1024;

/** Collects rows of unknown number into typed columns, in chunks, so that growing never copies what is there. */
export class RowSpool {
  readonly #columns: ReadonlyMap<string, GrowingColumn>;
  #size = 0;

  constructor(columns: ColumnTypes) {
    this.#columns = new Map(Object.entries(columns).map(([name, type]) => [name, new GrowingColumn(type)]));
  }

  /** Rows finished so far. */
  get size(): number {
    return this.#size;
  }

  /** Puts one element of the current row. @returns undefined, or what was expected instead of `value`. */
  put(column: string, element: number, value: Scalar): string | undefined {
    return this.#columns.get(column)!.put(this.#size, element, value);
  }

  /** Ends the current row, every element of which must have been put. */
  finishRow(): void {
    this.#size++;
  }

  /** The spooled rows; the spool must not be used afterwards. */
  async finish(): Promise<Dataset> {
    return memoryDataset(this.#size, this.finishColumns());
  }

  /** The same, as columns. */
  finishColumns(): Record<string, StoredColumn> {
    return Object.fromEntries([...this.#columns].map(([name, column]) => [name, column.finish(this.#size)]));
  }
}

class GrowingColumn {
  readonly #type: ColumnType;
  readonly #sampleBytes: number;
  readonly #elementBytes: number;
  readonly #rowsPerChunk: number;
  readonly #chunks: DataView[] = [];

  constructor(type: ColumnType) {
    this.#type = type;
    this.#sampleBytes = bytesPerSample(type);
    this.#elementBytes = bytesOf(type.dtype);
    this.#rowsPerChunk = Math.max(1, Math.floor(chunkBytes / this.#sampleBytes));
  }

  put(row: number, element: number, value: Scalar): string | undefined {
    const chunk = Math.floor(row / this.#rowsPerChunk);
    if (chunk === this.#chunks.length) {
      this.#chunks.push(new DataView(new ArrayBuffer(this.#rowsPerChunk * this.#sampleBytes)));
    }
    const offset = (row % this.#rowsPerChunk) * this.#sampleBytes + element * this.#elementBytes;
    return writeScalar(this.#chunks[chunk]!, offset, this.#type.dtype, value);
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
}
