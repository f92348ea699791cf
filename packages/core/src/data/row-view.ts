import { createHash } from "node:crypto";
import { TuttiError } from "../errors/index.ts";
import type { ColumnTypes } from "./column.ts";
import { contentFingerprint, type Dataset, type Sequences, type Table } from "./dataset.ts";

/**
 * Some rows of a data set, in the order given.
 *
 * @param rows of `dataset`; kept, not copied.
 * @param close gives `dataset` back.
 */
export async function rowsOf(dataset: Dataset, rows: Uint32Array, close: () => Promise<void>): Promise<Dataset> {
  const { sequences } = dataset;
  const fingerprint =
    sequences === undefined
      ? await contentFingerprint(new SomeRows(dataset, { rows, fingerprint: "", close }, undefined))
      : createHash("sha256").update(dataset.fingerprint).update(rows).digest("hex");
  const part = { rows, fingerprint, close };
  return new SomeRows(dataset, part, sequences && new SomeSequences(sequences, part));
}

interface Part {
  readonly rows: Uint32Array;
  readonly fingerprint: string;
  close(): Promise<void>;
}

class SomeRows implements Dataset {
  readonly size: number;
  readonly columns: ColumnTypes;
  readonly fingerprint: string;
  readonly table?: Table;
  readonly sequences?: Sequences;
  readonly #whole: Dataset;
  readonly #part: Part;

  constructor(whole: Dataset, part: Part, sequences: Sequences | undefined) {
    const { table } = whole;
    this.size = part.rows.length;
    this.columns = whole.columns;
    this.fingerprint = part.fingerprint;
    if (table !== undefined) this.table = { ...table, locate: (row) => table.locate(rowAt(part, row)) };
    if (sequences !== undefined) this.sequences = sequences;
    this.#whole = whole;
    this.#part = part;
  }

  read(rows: ArrayLike<number>, target: Readonly<Record<string, Uint8Array>>): void | Promise<void> {
    const own = new Uint32Array(rows.length);
    for (let index = 0; index < rows.length; index++) own[index] = rowAt(this.#part, rows[index]!);
    return this.#whole.read(own, target);
  }

  close(): Promise<void> {
    return this.#part.close();
  }
}

class SomeSequences implements Sequences {
  readonly lengths: readonly number[];
  readonly #whole: Sequences;
  readonly #part: Part;

  constructor(whole: Sequences, part: Part) {
    const needed = new Set<number>();
    for (const row of part.rows) needed.add(whole.lengthOf(row));
    this.lengths = whole.lengths.filter((length) => needed.has(length));
    this.#whole = whole;
    this.#part = part;
  }

  lengthOf(row: number): number {
    return this.#whole.lengthOf(rowAt(this.#part, row));
  }

  paddedTo(length: number): Dataset {
    return new SomeRows(this.#whole.paddedTo(length), this.#part, this);
  }
}

function rowAt({ rows }: Part, row: number): number {
  const own = rows[row];
  if (own !== undefined) return own;
  throw new TuttiError("INTERNAL", `row ${row} was asked for; the part has rows 0 to ${rows.length - 1}`);
}
