import { TuttiError } from "../errors/index.ts";
import type { ColumnType, ColumnTypes } from "./column.ts";
import type { Dataset } from "./dataset.ts";

/** What JSON can hold. */
export type PlainData = null | boolean | number | string | readonly PlainData[] | PlainObject;
export interface PlainObject {
  readonly [key: string]: PlainData;
}

declare const columnsOfSource: unique symbol;

/**
 * Where rows come from; holds no rows itself. `Columns` exists for the type checker only: the step function's
 * parameters are derived from it.
 */
export interface DataSource<Columns extends ColumnTypes = ColumnTypes> {
  readonly [columnsOfSource]?: Columns;
  /** What `data` calls it: "idx", "csv", "npy" …; "rows" for `data.from`. */
  readonly kind: string;
  /** The plain values of the source: what `--set` reaches and the definition digest covers. */
  readonly describe: PlainObject;
  /** The same source with another description, which is checked as the options were. Throws BAD_OPTION. */
  withDescription(describe: PlainObject): DataSource<Columns>;
  /**
   * Reads or opens the data. The caller closes what it gets.
   * Throws DATA_MISSING (file or column), DATA_INVALID (file, row, column).
   * @param context.baseDirectory folder which relative paths start from: the run file's.
   */
  open(context: OpenContext): Promise<Dataset>;
  /** Present where this is one of the two parts of `data.split`: the same object in both. */
  readonly split?: SplitParts;
}

/** Two sources that must go on telling rows apart in the same way. */
export interface SplitParts {
  /** Both parts with another description of either, whose `part` may be any. Throws BAD_OPTION. */
  withDescription(describe: PlainObject): { readonly train: DataSource; readonly validation: DataSource };
}

export interface OpenContext {
  readonly baseDirectory: string;
  /** Of columns that are kept in memory, for each data set; 256 MiB by default. What does not fit is read from files by position. */
  readonly memoryBytes?: number;
  /**
   * Gets what is wrong with single rows, which are then left out, instead of the first one being thrown: for those who
   * look at data, never for training. Sources of tables heed it.
   */
  readonly onProblem?: (problem: TuttiError) => void;
}

/** The column types of a source: `ColumnsOf<typeof train>`. */
export type ColumnsOf<Source> = Source extends DataSource<infer Columns> ? Columns : never;

/** Column names to types whose dtype is known when the file is written and whose shape is known when it is opened. */
export type Declared<DTypes extends Readonly<Record<string, ColumnType["dtype"]>>> = {
  readonly [Name in keyof DTypes]: { readonly dtype: DTypes[Name]; readonly shape: readonly number[] };
};

/** For sources without plain options: any change of the description is refused. */
export function refuseOtherDescription(kind: string, own: PlainObject, other: PlainObject): void {
  if (JSON.stringify(own) !== JSON.stringify(other)) {
    throw new TuttiError(
      "BAD_OPTION",
      `data.${kind}: its columns are given in code and cannot be set; edit the run file`,
    );
  }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}

/** Throws BAD_OPTION unless `columns` is an object with at least one column. */
export function requireColumns(kind: string, columns: unknown): asserts columns is Readonly<Record<string, unknown>> {
  if (!isRecord(columns) || Object.keys(columns).length === 0) {
    throw new TuttiError("BAD_OPTION", `data.${kind}: expected an object with at least one column`);
  }
}
