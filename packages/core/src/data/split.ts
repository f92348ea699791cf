import { createHash } from "node:crypto";
import { TuttiError } from "../errors/index.ts";
import { permutation } from "../random/index.ts";
import type { ColumnTypes } from "./column.ts";
import type { Dataset } from "./dataset.ts";
import { rowsOf } from "./row-view.ts";
import { scalarColumn } from "./scalar-column.ts";
import {
  type DataSource,
  isRecord,
  type OpenContext,
  type PlainData,
  type PlainObject,
  type SplitParts,
} from "./source.ts";

/** Which rows are for validation: one of the three. */
export type SplitOptions<Columns extends ColumnTypes = ColumnTypes> =
  /** A share of the rows, drawn without replacement; by seed and number of rows alone. */
  | { readonly fraction: number; readonly seed?: number }
  /** The rows whose column has this value, or one of these: a word of a category, a number, true or false. */
  | { readonly column: keyof Columns & string; readonly validation: SplitValue | readonly SplitValue[] }
  /**
   * About a share of the values of a column, by a hash of the value: rows with the same value (a patient, a customer) stay
   * together, and more rows move none.
   */
  | { readonly hash: keyof Columns & string; readonly fraction: number; readonly seed?: number };

export type SplitValue = string | number | boolean;

/**
 * One source as two: `data: data.split(table, { fraction: 0.2 })`. Both keep the order of the rows and are the same on any
 * machine. The source is opened once for both while either is open.
 *
 * @throws TuttiError BAD_OPTION for options it cannot work with, also when opened (a column that does not exist); opening throws
 *   what the source throws, and DATA_INVALID if a part would have no rows.
 */
export function split<Columns extends ColumnTypes>(
  source: DataSource<Columns>,
  options: SplitOptions<NoInfer<Columns>>,
): { readonly train: DataSource<Columns>; readonly validation: DataSource<Columns> } {
  if (!isRecord(source) || !("describe" in source) || !("open" in source)) {
    throw bad("expected a data source, such as data.csv(…), and options");
  }
  checkOptions(options);
  return partsOf(source, options);
}

function partsOf<Columns extends ColumnTypes>(source: DataSource<Columns>, options: SplitOptions) {
  const shared = new SharedSource(source);
  const withDescription = ({ part: _, source: inner, ...other }: PlainObject) => {
    checkOptions(other);
    return partsOf(withInner(source, inner), other);
  };
  const part = (name: "train" | "validation"): DataSource<Columns> => ({
    kind: "split",
    describe: { part: name, ...plain(options), source: { kind: source.kind, ...source.describe } },
    withDescription(other) {
      if (other.part !== name) throw bad(`part: is ${JSON.stringify(name)} here and cannot be set`);
      return withDescription(other)[name];
    },
    open: (context) => openPart(shared, options, name, context),
    split: parts,
  });
  const parts: SplitParts = { withDescription };
  return { train: part("train"), validation: part("validation") };
}

/** The source that is split, with another description. */
function withInner<Columns extends ColumnTypes>(
  source: DataSource<Columns>,
  describe: PlainData | undefined,
): DataSource<Columns> {
  const { kind, ...rest } = isRecord(describe) ? (describe as PlainObject) : {};
  if (kind !== source.kind) throw bad(`source.kind: is ${JSON.stringify(source.kind)} and cannot be set`);
  return JSON.stringify(rest) === JSON.stringify(source.describe) ? source : source.withDescription(rest);
}

/** A source that is opened once for all who have it open. */
class SharedSource {
  readonly #source: DataSource;
  #opened: Promise<Dataset> | undefined;
  #users = 0;

  constructor(source: DataSource) {
    this.#source = source;
  }

  /** The data set, and what gives it back. */
  async open(context: OpenContext): Promise<{ readonly dataset: Dataset; close(): Promise<void> }> {
    this.#opened ??= this.#source.open(context);
    const opened = this.#opened;
    this.#users++;
    const close = async (): Promise<void> => {
      if (--this.#users > 0) return;
      this.#opened = undefined;
      await opened.then(
        (dataset) => dataset.close(),
        () => {}, // nothing was opened
      );
    };
    try {
      return { dataset: await opened, close };
    } catch (error) {
      await close();
      throw error;
    }
  }
}

async function openPart(
  shared: SharedSource,
  options: SplitOptions,
  part: "train" | "validation",
  context: OpenContext,
): Promise<Dataset> {
  const { dataset, close } = await shared.open(context);
  try {
    const isValidation = await validationRows(dataset, options);
    const count = isValidation.reduce((sum, flag) => sum + flag, 0);
    if (count === 0 || count === dataset.size) {
      const none = count === 0 ? "validation" : "training";
      throw new TuttiError(
        "DATA_INVALID",
        `data.split: no rows would be left for ${none}, of ${dataset.size} rows: ${JSON.stringify(options)}`,
      );
    }
    const wanted = part === "validation" ? 1 : 0;
    const rows = new Uint32Array(part === "validation" ? count : dataset.size - count);
    let next = 0;
    for (let row = 0; row < dataset.size; row++) if (isValidation[row] === wanted) rows[next++] = row;
    return await rowsOf(dataset, rows, close);
  } catch (error) {
    await close();
    throw error;
  }
}

/** 1 for each row that is for validation. */
async function validationRows(dataset: Dataset, options: SplitOptions): Promise<Uint8Array> {
  const { size } = dataset;
  const flags = new Uint8Array(size);
  if (!("hash" in options) && !("column" in options)) {
    const order = permutation(options.seed ?? 0, 0, size);
    for (let position = 0; position < Math.round(options.fraction * size); position++) flags[order.at(position)] = 1;
    return flags;
  }
  const name = "hash" in options ? options.hash : options.column;
  const { values, textOf } = await columnValues(dataset, name);
  const isWanted = "hash" in options ? hashTest(options) : valueTest(options);
  const known = new Map<number, number>();
  for (let row = 0; row < size; row++) {
    const value = values[row]!;
    let flag = known.get(value);
    if (flag === undefined) {
      flag = isWanted(textOf(value)) ? 1 : 0;
      known.set(value, flag);
    }
    flags[row] = flag;
  }
  return flags;
}

function valueTest({ validation }: { readonly validation: SplitValue | readonly SplitValue[] }) {
  const wanted = new Set((Array.isArray(validation) ? validation : [validation]).map(String));
  return (text: string): boolean => wanted.has(text);
}

/** The first 32 bits of SHA-256 of seed and value, as a number of 0 … 1. */
function hashTest({ fraction, seed = 0 }: { readonly fraction: number; readonly seed?: number }) {
  return (text: string): boolean => {
    const digest = createHash("sha256").update(`${seed}\n${text}`).digest();
    return digest.readUInt32BE(0) / 2 ** 32 < fraction;
  };
}

async function columnValues(dataset: Dataset, name: string) {
  const type = Object.hasOwn(dataset.columns, name) ? dataset.columns[name] : undefined;
  if (type === undefined || type.shape.length > 0) {
    const found = type === undefined ? "no such column" : `shape [${type.shape.join(", ")}]`;
    throw bad(
      `expected a column with one value a row, found for "${name}": ${found}; there are ${Object.keys(dataset.columns).join(", ")}`,
    );
  }
  const words = dataset.table?.columns[name]?.categories;
  const textOf = (value: number): string => {
    if (words !== undefined) return words[value]!;
    return type.dtype === "bool" ? String(value === 1) : String(value);
  };
  return { values: await scalarColumn(dataset, name), textOf };
}

function checkOptions(options: unknown): asserts options is SplitOptions {
  if (!isRecord(options)) throw bad("expected { fraction }, { column, validation } or { hash, fraction }");
  const kind = "column" in options ? "column" : "hash" in options ? "hash" : "fraction";
  const known = {
    column: ["column", "validation"],
    hash: ["hash", "fraction", "seed"],
    fraction: ["fraction", "seed"],
  }[kind];
  const unknown = Object.keys(options).find((key) => !known.includes(key));
  if (unknown !== undefined) throw bad(`unknown option "${unknown}" beside ${kind}; there are ${known.join(", ")}`);
  const { column, hash, validation, fraction, seed } = options;
  for (const [option, name] of Object.entries({ column, hash })) {
    if (name !== undefined && typeof name !== "string") throw bad(`${option}: expected the name of a column`);
  }
  if (kind === "column") {
    const values: readonly unknown[] = Array.isArray(validation) ? validation : [validation];
    if (values.length > 0 && values.every((value) => ["string", "number", "boolean"].includes(typeof value))) return;
    throw bad(`validation: expected the value of rows for validation, or several, found ${JSON.stringify(validation)}`);
  }
  if (typeof fraction !== "number" || !(fraction > 0 && fraction < 1)) {
    throw bad(`fraction: expected a share between 0 and 1, such as 0.2, found ${JSON.stringify(fraction)}`);
  }
  if (seed !== undefined && !Number.isSafeInteger(seed)) {
    throw bad(`seed: expected an integer, found ${JSON.stringify(seed)}`);
  }
}

function plain(options: SplitOptions): PlainObject {
  const data: PlainData = JSON.parse(JSON.stringify(options));
  return isRecord(data) ? (data as PlainObject) : {};
}

function bad(problem: string): TuttiError {
  return new TuttiError("BAD_OPTION", `data.split: ${problem}`);
}
