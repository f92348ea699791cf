import type { Dataset, PackedColumn, PackedRows } from "../data/index.ts";
import { TuttiError } from "../errors/index.ts";
import type { ProgramManifest } from "../step/shard-program.ts";
import { elementsOf, packedColumns } from "./packed-tensors.ts";
import { bytesPerElement } from "./tensor-memory.ts";

/** Reads rows for the shards of one program, as lanes are fed with them. */
export class ColumnReader {
  readonly #samples: number;
  readonly #totalBytes: number;
  readonly #columns: readonly PackedColumn[];

  constructor(program: ProgramManifest) {
    const { offsets, totalBytes } = packedColumns(program);
    this.#samples = program.samples;
    this.#totalBytes = totalBytes;
    this.#columns = program.columns.map(({ name, dtype, shape }, i) => {
      const offset = offsets[i]!;
      const byteLength = elementsOf(shape) * bytesPerElement(dtype);
      if (offset + byteLength > (offsets[i + 1] ?? totalBytes))
        throw new TuttiError("INTERNAL", `column ${name} does not fit its place`);
      return { name, dtype, shape, offset, byteLength };
    });
  }

  /**
   * Reads a shard's rows into one fresh block: the program's columns in the manifest's order, each on 64 bytes.
   * @param rows as many as the program has samples.
   */
  async read(dataset: Dataset, rows: ArrayLike<number>): Promise<PackedRows> {
    const bytes = new Uint8Array(this.#totalBytes);
    const places: Record<string, Uint8Array> = {};
    for (const { name, offset, byteLength } of this.#columns)
      places[name] = new Uint8Array(bytes.buffer, offset, byteLength);
    const reading = dataset.read(rows, places);
    if (reading !== undefined) await reading; // those in memory are there already
    return { samples: this.#samples, bytes, columns: this.#columns };
  }
}
