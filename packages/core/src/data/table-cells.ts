import type { ColumnDType, Scalar } from "./column.ts";
import { GrowingColumn, type HeldMemory } from "./spool.ts";
import type { CategoryColumn, NumberColumn } from "./table-options.ts";

/** What a cell of a jsonl or parquet file can hold; null is missing. */
export type Cell = Scalar | string | null;

/**
 * Where the cells of one column go, in row order. A row may be put again, which overwrites it: that is how rows are left out.
 * What returns a text has put nothing, and says what was expected.
 */
export interface CellWriter {
  /** Elements of one row. */
  readonly elements: number;
  /** True if a row that lacks a cell is to be left out. */
  readonly dropsMissing: boolean;
  /** False if a number's own text is wanted. */
  readonly takesNumbers: boolean;
  putMissing(row: number, element: number): string | undefined;
  /** @param isWhole as it is written: 3 is, 3.0 is not. */
  putNumber(row: number, element: number, value: number, isWhole: boolean): string | undefined;
  /** A cell of a file that has nothing but text. */
  putText(row: number, element: number, text: string): string | undefined;
  put(row: number, element: number, cell: Exclude<Cell, null>): string | undefined;
  finish(): FinishedCells;
}

export interface FinishedCells {
  readonly column: GrowingColumn;
  /** What the values, which are stored as float64, are to be. */
  readonly dtype?: ColumnDType;
  /** The words that the values count, from 0. */
  readonly categories?: readonly string[];
  /** The place among the categories of what is stored. */
  readonly places?: Int32Array;
}

/** Cells of a declared dtype. */
export class NumberCells implements CellWriter {
  readonly elements: number;
  readonly dropsMissing: boolean;
  readonly takesNumbers: boolean;
  readonly #dtype: ColumnDType;
  readonly #missing: NumberColumn["missing"];
  readonly #cells: GrowingColumn;

  /** @param shape of a row. */
  constructor({ dtype, missing }: NumberColumn, shape: readonly number[], held: HeldMemory) {
    this.#dtype = dtype;
    this.#missing = missing;
    this.dropsMissing = missing === "drop";
    this.takesNumbers = dtype !== "int64";
    this.elements = shape.reduce((product, size) => product * size, 1);
    this.#cells = new GrowingColumn({ dtype, shape }, held);
  }

  putMissing(row: number, element: number): string | undefined {
    if (this.#missing === undefined) return expectedText(this.#dtype);
    // The graph puts the number in its place: an exported model then does, too.
    if (this.#dtype === "float32" || this.#dtype === "float64") return this.#cells.putNaN(row, element);
    return this.#cells.put(row, element, typeof this.#missing === "string" ? 0 : this.#missing);
  }

  putNumber(row: number, element: number, value: number): string | undefined {
    if (!Number.isFinite(value)) return "a finite number";
    return this.#cells.put(row, element, value);
  }

  putText(row: number, element: number, text: string): string | undefined {
    const value = parseScalar(text, this.#dtype);
    return value === undefined ? expectedText(this.#dtype) : this.#cells.put(row, element, value);
  }

  put(row: number, element: number, cell: Scalar | string): string | undefined {
    if (typeof cell === "number") return this.putNumber(row, element, cell);
    // Writers of JSON keep integers of 64 bits as text, because its numbers lose them.
    if (typeof cell === "string") {
      return this.#dtype === "int64" ? this.putText(row, element, cell) : expectedText(this.#dtype);
    }
    const isInt64 = this.#dtype === "int64" || typeof cell !== "bigint";
    return this.#cells.put(row, element, isInt64 ? cell : Number(cell));
  }

  finish(): FinishedCells {
    return { column: this.#cells };
  }
}

/** Words, kept as the place of each in a list. */
export class CategoryCells implements CellWriter {
  readonly elements = 1;
  readonly takesNumbers = false;
  readonly dropsMissing: boolean;
  readonly #declared: readonly string[] | undefined;
  readonly #missing: string | undefined;
  readonly #unknown: string | undefined;
  readonly #places = new Map<string, number>();
  readonly #cells: GrowingColumn;

  constructor({ categories, missing, unknown }: Omit<CategoryColumn, "dtype">, held: HeldMemory) {
    this.#cells = new GrowingColumn({ dtype: "int32", shape: [] }, held);
    this.#declared = categories;
    this.#missing = missing;
    this.#unknown = unknown;
    this.dropsMissing = missing === "drop";
    const known = categories ?? [this.dropsMissing ? undefined : missing, unknown];
    for (const word of known) if (word !== undefined) this.#placeOf(word);
  }

  putMissing(row: number, element: number): string | undefined {
    return this.#missing === undefined ? "a word" : this.putText(row, element, this.#missing);
  }

  putNumber(row: number, element: number, value: number): string | undefined {
    return this.putText(row, element, String(value));
  }

  putText(row: number, element: number, text: string): string | undefined {
    let place = this.#places.get(text);
    if (place === undefined) {
      if (this.#declared === undefined) place = this.#placeOf(text);
      else if (this.#unknown !== undefined) place = this.#places.get(this.#unknown)!;
      else return `one of ${shownWords(this.#declared)}`;
    }
    return this.#cells.put(row, element, place);
  }

  put(row: number, element: number, cell: Scalar | string): string | undefined {
    return this.putText(row, element, String(cell));
  }

  finish(): FinishedCells {
    if (this.#declared !== undefined) return { column: this.#cells, categories: this.#declared };
    const words = [...this.#places.keys()];
    const categories = words.toSorted((a, b) => (a < b ? -1 : Number(a > b)));
    const sorted = new Map(categories.map((word, place) => [word, place]));
    return { column: this.#cells, categories, places: Int32Array.from(words, (word) => sorted.get(word)!) };
  }

  #placeOf(word: string): number {
    const place = this.#places.size;
    this.#places.set(word, place);
    return place;
  }
}

const shownMost = 12;

/** Words for a message, the first twelve. */
export function shownWords(words: readonly string[]): string {
  const shown = words.slice(0, shownMost).map((word) => JSON.stringify(word));
  return words.length > shownMost ? `${shown.join(", ")} and ${words.length - shownMost} more` : shown.join(", ");
}

const decimal = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const whole = /^[+-]?\d+$/;

/** How a number is written: in digits alone, or with a point or exponent; undefined for no number. */
export function numberKind(text: string): "whole" | "decimal" | undefined {
  if (whole.test(text)) return "whole";
  return decimal.test(text) ? "decimal" : undefined;
}

/** The value of a text; undefined for another than the dtype's. */
export function parseScalar(text: string, dtype: ColumnDType): Scalar | undefined {
  if (dtype === "bool" && (text === "true" || text === "false")) return text === "true";
  if (dtype === "int64") return whole.test(text) ? BigInt(text.replace("+", "")) : undefined;
  if (!decimal.test(text)) return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? value : undefined;
}

function expectedText(dtype: ColumnDType): string {
  if (dtype === "bool") return "true, false, 0 or 1";
  return dtype === "int64" ? "an integer of 64 bits" : "a number";
}
