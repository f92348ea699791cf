import type { ColumnDType, Scalar } from "./column.ts";
import { GrowingColumn, type HeldMemory } from "./spool.ts";
import { CategoryCells, type CellWriter, type FinishedCells, numberKind } from "./table-cells.ts";

/**
 * Cells of a column that nobody declared; what it is follows from all of them: whole numbers are int32, or int64 where one does
 * not fit; numbers with a point or exponent among them make it float32; true and false are bool; all else is a category.
 */
export class InferredCells implements CellWriter {
  readonly elements = 1;
  readonly dropsMissing = false;
  #kind: "bool" | "whole" | "large" | "decimal" | "words" | undefined;
  readonly #numbers: GrowingColumn;
  /** Whole numbers, where the first is too large to be exact in float64. */
  readonly #large: GrowingColumn;
  readonly #words: CategoryCells;
  #least = Number.POSITIVE_INFINITY;
  #most = Number.NEGATIVE_INFINITY;

  constructor(held: HeldMemory) {
    this.#numbers = new GrowingColumn({ dtype: "float64", shape: [] }, held);
    this.#large = new GrowingColumn({ dtype: "int64", shape: [] }, held);
    this.#words = new CategoryCells({}, held);
  }

  get takesNumbers(): boolean {
    return this.#kind !== "words";
  }

  putMissing(): string {
    return "a value";
  }

  putNumber(row: number, element: number, value: number, isWhole: boolean): string | undefined {
    if (this.#kind === "words") return this.#words.putNumber(row, element, value);
    if (this.#kind === "bool") return "true or false, as in the rows before";
    if (this.#kind === "large") {
      return isWhole ? this.#large.put(row, element, BigInt(value)) : "an integer of 64 bits, as in the rows before";
    }
    if (!Number.isFinite(Math.fround(value))) return "a number within the range of float32";
    this.#kind = isWhole && this.#kind !== "decimal" ? "whole" : "decimal";
    this.#least = Math.min(this.#least, value);
    this.#most = Math.max(this.#most, value);
    return this.#numbers.put(row, element, value);
  }

  putText(row: number, element: number, text: string): string | undefined {
    if (this.#kind === "words") return this.#words.putText(row, element, text);
    const number = numberKind(text);
    if (number === "whole") return this.#putWhole(row, element, BigInt(text.replace("+", "")));
    if (number === "decimal") return this.putNumber(row, element, Number(text), false);
    if (text === "true" || text === "false") return this.#putBool(row, element, text);
    return this.#putWord(row, element, text);
  }

  put(row: number, element: number, cell: Scalar | string): string | undefined {
    if (typeof cell === "number") return this.putNumber(row, element, cell, Number.isSafeInteger(cell));
    if (typeof cell === "bigint") return this.#putWhole(row, element, cell);
    return typeof cell === "boolean" ? this.#putBool(row, element, String(cell)) : this.#putWord(row, element, cell);
  }

  finish(): FinishedCells {
    if (this.#kind === "words") return this.#words.finish();
    return this.#kind === "large" ? { column: this.#large } : { column: this.#numbers, dtype: this.#dtype() };
  }

  #dtype(): ColumnDType {
    if (this.#kind === "bool") return "bool";
    if (this.#kind === "decimal") return "float32";
    return this.#least >= -(2 ** 31) && this.#most < 2 ** 31 ? "int32" : "int64";
  }

  #putWhole(row: number, element: number, value: bigint): string | undefined {
    const number = Number(value);
    if (this.#kind === "decimal" || (this.#kind !== "large" && Number.isSafeInteger(number))) {
      return this.putNumber(row, element, number, true);
    }
    if (this.#kind === "words") return this.#words.put(row, element, value);
    if (this.#kind === "bool") return "true or false, as in the rows before";
    if (this.#kind === "whole") return "an integer that float64 holds exactly, as the rows before";
    this.#kind = "large";
    return this.#large.put(row, element, value);
  }

  #putBool(row: number, element: number, text: string): string | undefined {
    if (this.#kind === "words") return this.#words.putText(row, element, text);
    if (this.#kind !== undefined && this.#kind !== "bool") return "a number, as in the rows before";
    this.#kind = "bool";
    return this.#numbers.put(row, element, text === "true" ? 1 : 0);
  }

  #putWord(row: number, element: number, word: string): string | undefined {
    if (this.#kind === "bool") return "true or false, as in the rows before";
    if (this.#kind !== undefined && this.#kind !== "words") return "a number, as in the rows before";
    this.#kind = "words";
    return this.#words.putText(row, element, word);
  }
}
