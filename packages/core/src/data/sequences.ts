import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { TuttiError } from "../errors/index.ts";
import {
  bytesOf,
  type ColumnType,
  type ColumnTypes,
  elementsPerSample,
  type Scalar,
  shownValue,
  writeScalar,
} from "./column.ts";
import { copyBytes, type Dataset, type Sequences, type StoredColumn } from "./dataset.ts";
import { columnPieces, type FileColumn, type PositionedRead, readAllOf } from "./file-dataset.ts";
import { maskName, type Padding, type SequenceType } from "./sequence-options.ts";
import { GrowingColumn, type HeldMemory } from "./spool.ts";

/** Collects the rows of one sequence column, packed one after another, in memory or in a temporary file. */
export class SequenceSpool {
  readonly #type: SequenceType;
  readonly #padding: Padding;
  readonly #stepElements: number;
  readonly #values: GrowingColumn;
  #row = new DataView(new ArrayBuffer(1024));
  readonly #lengths: number[] = [];

  /** @param held what columns that grow together hold in memory, and may. */
  constructor(type: SequenceType, padding: Padding, held: HeldMemory) {
    this.#type = type;
    this.#padding = padding;
    this.#stepElements = elementsPerSample(stepType(type));
    this.#values = new GrowingColumn({ dtype: type.dtype, shape: [] }, held);
  }

  /** Appends a row. @returns undefined, or what was expected and found instead; nothing is appended then. */
  append(values: ArrayLike<Scalar>): { readonly expected: string; readonly found: string } | undefined {
    const { padTo, truncate } = this.#padding;
    const longest = padTo.at(-1)!;
    const length = values.length / this.#stepElements;
    if (!Number.isInteger(length) || length < 1) {
      const expected = this.#stepElements === 1 ? "at least one value" : `a positive multiple of ${this.#stepElements}`;
      return { expected: `${expected} (shape [${this.#type.shape.join(", ")}])`, found: `${values.length} values` };
    }
    if (length > longest && !truncate) {
      const expected = `a length of at most ${longest}, the last of padTo (or truncate: true)`;
      return { expected, found: `${length}` };
    }
    const kept = Math.min(length, longest);
    const elements = kept * this.#stepElements;
    const elementBytes = bytesOf(this.#type.dtype);
    if (this.#row.byteLength < elements * elementBytes) {
      this.#row = new DataView(new ArrayBuffer(2 * elements * elementBytes));
    }
    for (let element = 0; element < elements; element++) {
      const value = values[element]!;
      const expected = writeScalar(this.#row, element * elementBytes, this.#type.dtype, value);
      if (expected !== undefined) return { expected, found: `${shownValue(value)} at position ${element}` };
    }
    this.#values.append(new Uint8Array(this.#row.buffer, 0, elements * elementBytes));
    this.#lengths.push(kept);
    return undefined;
  }

  /** The rows; the spool must not be used afterwards. */
  finish(): StoredSequences {
    const lengths = Uint32Array.from(this.#lengths);
    const startOf = new Float64Array(lengths.length);
    let steps = 0;
    for (let row = 0; row < lengths.length; row++) {
      startOf[row] = steps * stepBytesOf(this.#type);
      steps += lengths[row]!;
    }
    const elements = steps * this.#stepElements;
    const values = this.#values.isSpilled ? this.#values.finishFile(elements) : this.#values.finish(elements);
    return { type: this.#type, values, startOf, lengths };
  }

  /** Gives up what was collected. */
  discard(): void {
    this.#values.discard();
  }
}

/** One sequence column. */
export interface StoredSequences {
  readonly type: SequenceType;
  /** All values of all rows, as scalars. */
  readonly values: StoredColumn | FileColumn;
  /** Where each row lies: its first byte, and its length in steps. */
  readonly startOf: Float64Array;
  readonly lengths: Uint32Array;
}

/**
 * A data set over columns some of which are sequences; each of these has its mask beside it. Its own columns are padded to the last of
 * `padTo`.
 *
 * @param order names of all columns, masks left out. @param fixed the other columns; belongs to the data set from now on, as do the files.
 */
export async function sequenceDataset(
  order: readonly string[],
  fixed: Dataset,
  sequences: Readonly<Record<string, StoredSequences>>,
  padding: Padding,
): Promise<Dataset> {
  const fingerprint = await fingerprintOf(fixed, sequences, padding);
  const parts = { order, fixed, sequences: new Map(Object.entries(sequences)), fingerprint };
  return new PaddedRows(parts, padding.padTo.at(-1)!, new RowLengths(parts, padding));
}

interface Parts {
  readonly order: readonly string[];
  readonly fixed: Dataset;
  readonly sequences: ReadonlyMap<string, StoredSequences>;
  readonly fingerprint: string;
}

class RowLengths implements Sequences {
  readonly lengths: readonly number[];
  readonly #parts: Parts;
  /** Of each row, index into `lengths`. */
  readonly #indexOf: Uint32Array;

  constructor(parts: Parts, { padTo }: Padding) {
    this.#parts = parts;
    const needed = Uint32Array.from({ length: parts.fixed.size }, (_, row) => {
      let longest = 0;
      for (const { lengths } of parts.sequences.values()) longest = Math.max(longest, lengths[row]!);
      return padTo.find((length) => length >= longest)!;
    });
    this.lengths = padTo.filter((length) => needed.includes(length));
    this.#indexOf = needed.map((length) => this.lengths.indexOf(length));
  }

  lengthOf(row: number): number {
    return this.lengths[this.#indexOf[row]!]!;
  }

  paddedTo(length: number): Dataset {
    return new PaddedRows(this.#parts, length, this);
  }
}

class PaddedRows implements Dataset {
  readonly size: number;
  readonly columns: ColumnTypes;
  readonly fingerprint: string;
  readonly sequences: Sequences;
  readonly #parts: Parts;
  readonly #length: number;

  constructor(parts: Parts, length: number, sequences: Sequences) {
    this.size = parts.fixed.size;
    this.fingerprint = parts.fingerprint;
    this.sequences = sequences;
    this.#parts = parts;
    this.#length = length;
    this.columns = Object.fromEntries(
      parts.order.flatMap((name): [string, ColumnType][] => {
        const column = parts.sequences.get(name);
        if (column === undefined) return [[name, parts.fixed.columns[name]!]];
        const { dtype, shape } = stepType(column.type);
        return [
          [name, { dtype, shape: [length, ...shape] }],
          [maskName(name), { dtype: "bool", shape: [length] }],
        ];
      }),
    );
  }

  read(rows: ArrayLike<number>, target: Readonly<Record<string, Uint8Array>>): void | Promise<void> {
    const rest = { ...target };
    const padded = [...this.#parts.sequences].flatMap(([name, column]) =>
      [name, maskName(name)].flatMap((wanted) => {
        const bytes = rest[wanted];
        delete rest[wanted];
        return bytes === undefined ? [] : [{ name: wanted, column, bytes, isMask: wanted !== name }];
      }),
    );
    const done = this.#parts.fixed.read(rows, rest); // also refuses rows that do not exist
    const reads: PositionedRead[] = [];
    for (const { name, column, bytes, isMask } of padded) this.#pad(name, column, rows, bytes, isMask, reads);
    return reads.length === 0 ? done : Promise.all([done, readAllOf(reads)]).then(() => {});
  }

  async close(): Promise<void> {
    await this.#parts.fixed.close();
    for (const { values } of this.#parts.sequences.values()) {
      if ("parts" in values) await values.parts[0]!.open.close();
    }
  }

  #pad(
    name: string,
    column: StoredSequences,
    rows: ArrayLike<number>,
    target: Uint8Array,
    isMask: boolean,
    reads: PositionedRead[],
  ): void {
    const stepBytes = isMask ? 1 : stepBytesOf(column.type);
    const sampleBytes = this.#length * stepBytes;
    if (target.byteLength !== rows.length * sampleBytes) {
      throw new TuttiError(
        "INTERNAL",
        `reading column "${name}" needs ${rows.length * sampleBytes} bytes, the target has ${target.byteLength}`,
      );
    }
    target.fill(0);
    for (let index = 0; index < rows.length; index++) {
      const row = rows[index]!;
      const length = column.lengths[row]!;
      if (length > this.#length) {
        throw new TuttiError("INTERNAL", `row ${row} of length ${length} was asked for at length ${this.#length}`);
      }
      const to = index * sampleBytes;
      const place = target.subarray(to, to + length * stepBytes);
      if (isMask) place.fill(1);
      else if ("chunks" in column.values) copyBytes(column.values, column.startOf[row]!, place);
      else reads.push({ part: column.values.parts[0]!, target: place, from: column.startOf[row]! });
    }
  }
}

/** What a sequence has of each of its steps. */
function stepType({ dtype, shape: [, ...shape] }: SequenceType): ColumnType {
  return { dtype, shape };
}

function stepBytesOf(type: SequenceType): number {
  return elementsPerSample(stepType(type)) * bytesOf(type.dtype);
}

/** Covers `padTo`, which decides about the shapes of batches. */
async function fingerprintOf(
  fixed: Dataset,
  sequences: Readonly<Record<string, StoredSequences>>,
  { padTo }: Padding,
): Promise<string> {
  const hash = createHash("sha256");
  const names = Object.keys(sequences).sort();
  const types = names.map((name) => [name, sequences[name]!.type.dtype, sequences[name]!.type.shape]);
  hash.update(JSON.stringify({ fixed: fixed.fingerprint, sequences: types, padTo }));
  for (const name of names) {
    const { lengths, values } = sequences[name]!;
    hash.update(new Uint8Array(lengths.buffer));
    for await (const piece of "chunks" in values ? values.chunks : columnPieces(values)) {
      hash.update(piece);
      await setImmediate(); // a large set must not hold up heartbeats
    }
  }
  return hash.digest("hex");
}
