import { TuttiError } from "../errors/index.ts";
import { type ColumnDType, isColumnDType, isSampleShape } from "./column.ts";
import { isRecord, type PlainObject } from "./source.ts";

/**
 * A column of sequences of different lengths: the first dimension is "length", what follows belongs to each of its steps. A
 * row holds its own length · rest values, row-major.
 */
export interface SequenceType {
  readonly dtype: ColumnDType;
  readonly shape: readonly ["length", ...number[]];
}

/** How sequences of different lengths become batches of one shape. */
export interface SequenceOptions {
  /**
   * Lengths, ascending: all sequences of a batch are padded with zeros to the first that holds the longest of them, over all
   * sequence columns. The programs of every length are compiled before the first step.
   */
  readonly padTo?: readonly number[];
  /** Cuts off what is longer than the last of `padTo`; by default such a row is refused. */
  readonly truncate?: boolean;
}

/** The same, checked: `padTo` is not empty and ascends. */
export type Padding = Required<SequenceOptions>;

/** Names of the columns that a source adds: for `tokens`, `tokens_mask`. */
export type MaskNames<Columns> = {
  [Name in keyof Columns & string]: Columns[Name] extends { readonly shape: readonly ["length", ...number[]] }
    ? `${Name}_mask`
    : never;
}[keyof Columns & string];

/** The mask of a sequence column: bool [length], true where the row has a value and false where it was padded. */
export function maskName(column: string): string {
  return `${column}_mask`;
}

export function isSequenceType(value: unknown): value is SequenceType {
  if (!isRecord(value) || !isColumnDType(value.dtype) || !Array.isArray(value.shape)) return false;
  return value.shape[0] === "length" && isSampleShape(value.shape.slice(1));
}

/**
 * Checks the options against the columns. @returns undefined if no column holds sequences.
 * Throws BAD_OPTION.
 */
export function checkSequenceOptions(
  kind: string,
  columns: Readonly<Record<string, unknown>>,
  { padTo, truncate = false }: SequenceOptions,
): Padding | undefined {
  const sequences = Object.keys(columns).filter((name) => isSequenceType(columns[name]));
  const where = `data.${kind}`;
  if (sequences.length === 0) {
    if (padTo === undefined) return undefined;
    throw new TuttiError("BAD_OPTION", `${where}: padTo: no column has a shape of ["length", …]; leave it out`);
  }
  if (padTo === undefined) {
    throw new TuttiError(
      "BAD_OPTION",
      `${where}: column "${sequences[0]}" has rows of different lengths: say which lengths batches are padded to, such as padTo: [64, 128, 256]`,
    );
  }
  if (!isAscending(padTo)) {
    throw new TuttiError(
      "BAD_OPTION",
      `${where}: padTo: expected ascending positive integers, found ${JSON.stringify(padTo)}`,
    );
  }
  if (typeof truncate !== "boolean") {
    throw new TuttiError("BAD_OPTION", `${where}: truncate: expected true or false, found ${JSON.stringify(truncate)}`);
  }
  const taken = sequences.find((name) => Object.hasOwn(columns, maskName(name)));
  if (taken !== undefined) {
    throw new TuttiError(
      "BAD_OPTION",
      `${where}: column "${maskName(taken)}": the name is that of the mask of "${taken}"; choose another`,
    );
  }
  return { padTo: [...padTo], truncate };
}

function isAscending(value: unknown): boolean {
  if (!Array.isArray(value) || value.length === 0) return false;
  return value.every((length, i) => isSampleShape([length]) && (i === 0 || length > value[i - 1]));
}

/** The plain values of a source with sequences; without any, those of its columns alone. */
export function describeColumns(
  types: Readonly<Record<string, { readonly dtype: ColumnDType; readonly shape: readonly (number | "length")[] }>>,
  padding: Padding | undefined,
): PlainObject {
  const columns = Object.fromEntries(
    Object.entries(types).map(([name, { dtype, shape }]) => [name, { dtype, shape: [...shape] }]),
  );
  return padding === undefined ? columns : { columns, padTo: [...padding.padTo], truncate: padding.truncate };
}
