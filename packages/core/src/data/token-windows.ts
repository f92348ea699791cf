import { TuttiError } from "../errors/index.ts";
import { bytesOf, type ColumnType, type ColumnTypes } from "./column.ts";
import { contentFingerprint, copyBytes, type Dataset, type StoredColumn } from "./dataset.ts";
import { type FileColumn, type PositionedRead, readAllOf } from "./file-dataset.ts";

/** Where windows lie in a stream of tokens. */
export interface WindowPlan {
  /** First token of the first window. */
  readonly from: number;
  /** How many windows. */
  readonly size: number;
  /** Tokens of a window. */
  readonly length: number;
  /** From the beginning of one to that of the next. */
  readonly stride: number;
}

/**
 * Windows of tokens as rows: `text`, and `next` one token on, both [length].
 * @param tokens a column of scalars; its file belongs to the windows from now on, also when this throws.
 */
export async function tokenWindows(tokens: StoredColumn | FileColumn, plan: WindowPlan): Promise<Dataset> {
  const type: ColumnType = { dtype: tokens.type.dtype, shape: [plan.length] };
  const reader = new TokenWindows(tokens, type, plan, "");
  try {
    return new TokenWindows(tokens, type, plan, await contentFingerprint(reader));
  } catch (error) {
    await reader.close();
    throw error;
  }
}

class TokenWindows implements Dataset {
  readonly size: number;
  readonly columns: ColumnTypes;
  readonly fingerprint: string;
  /** Of one window. */
  readonly #rowBytes: number;
  readonly #tokens: StoredColumn | FileColumn;
  readonly #plan: WindowPlan;
  readonly #tokenBytes: number;

  constructor(tokens: StoredColumn | FileColumn, type: ColumnType, plan: WindowPlan, fingerprint: string) {
    this.size = plan.size;
    this.columns = { text: type, next: type };
    this.fingerprint = fingerprint;
    this.#tokens = tokens;
    this.#plan = plan;
    this.#tokenBytes = bytesOf(type.dtype);
    this.#rowBytes = plan.length * this.#tokenBytes;
  }

  read(rows: ArrayLike<number>, target: Readonly<Record<string, Uint8Array>>): void | Promise<void> {
    const { from, stride } = this.#plan;
    const reads: PositionedRead[] = [];
    for (const [name, bytes] of Object.entries(target)) {
      this.#check(name, rows, bytes);
      const shift = name === "next" ? 1 : 0;
      for (let index = 0; index < rows.length; index++) {
        const first = (from + rows[index]! * stride + shift) * this.#tokenBytes;
        const place = bytes.subarray(index * this.#rowBytes, (index + 1) * this.#rowBytes);
        if ("chunks" in this.#tokens) copyBytes(this.#tokens, first, place);
        else reads.push({ part: this.#tokens.parts[0]!, target: place, from: first });
      }
    }
    return reads.length === 0 ? undefined : readAllOf(reads);
  }

  async close(): Promise<void> {
    if ("parts" in this.#tokens) await this.#tokens.parts[0]!.open.close();
  }

  #check(name: string, rows: ArrayLike<number>, target: Uint8Array): void {
    if (!Object.hasOwn(this.columns, name))
      throw new TuttiError("INTERNAL", `column "${name}" was asked for; there is none`);
    const needed = rows.length * this.#rowBytes;
    if (target.byteLength !== needed) {
      const message = `reading column "${name}" needs ${needed} bytes, the target has ${target.byteLength}`;
      throw new TuttiError("INTERNAL", message);
    }
    for (let index = 0; index < rows.length; index++) {
      const row = rows[index]!;
      if (!Number.isInteger(row) || row < 0 || row >= this.size)
        throw new TuttiError("INTERNAL", `row ${row} was asked for; the data set has rows 0 to ${this.size - 1}`);
    }
  }
}
