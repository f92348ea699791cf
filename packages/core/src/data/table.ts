import { TuttiError } from "../errors/index.ts";
import type { Dataset, RowPlace } from "./dataset.ts";
import type { DataFile } from "./file.ts";
import { defaultMemoryBytes } from "./file-dataset.ts";
import type { FileNames } from "./files.ts";
import type { OpenContext } from "./source.ts";
import { type HeldMemory, spooledDataset } from "./spool.ts";
import { type Cell, type CellWriter, shownWords } from "./table-cells.ts";
import { columnOf, factsOf, type GrowingTableColumn, inferredColumns } from "./table-columns.ts";
import { tableDataset } from "./table-dataset.ts";
import { type DeclaredColumn, declaredColumns, type TableColumns } from "./table-options.ts";
import { withDTypes } from "./with-dtypes.ts";

/** A column of the file, and the elements of a column of the data set that it fills. */
export interface TableField {
  /** The file's name for it. */
  readonly header: string;
  readonly writer: CellWriter;
  /** The first element, and how many. */
  readonly element: number;
  readonly elements: number;
  readonly column: { readonly declared: DeclaredColumn | undefined; missingCells: number };
}

/**
 * Makes typed columns of the rows of one or several files: file by file, row by row, field by field. A problem is thrown, or,
 * where `onProblem` is given, told there and its row left out.
 */
export class TableBuilder {
  readonly #kind: string;
  readonly #declared: ReadonlyMap<string, DeclaredColumn> | undefined;
  readonly #onProblem: ((problem: TuttiError) => void) | undefined;
  readonly #held: HeldMemory;
  #columns: readonly GrowingTableColumn[] | undefined;
  #size = 0;
  readonly #files: { readonly file: DataFile; readonly firstRow: number; readonly firstLeftOut: number }[] = [];
  /** For each row left out, how many rows there were before it. */
  readonly #leftOut: number[] = [];
  #line = 0;
  #isLeftOut = false;

  /** @param kind of the source, for messages. @param columns undefined: all of the file's, their types inferred. */
  constructor(
    kind: string,
    columns: TableColumns | undefined,
    { onProblem, memoryBytes = defaultMemoryBytes }: OpenContext,
  ) {
    this.#held = { bytes: 0, memoryBytes };
    this.#kind = kind;
    this.#declared = columns && declaredColumns(columns);
    this.#onProblem = onProblem;
  }

  /** The row under way, from 1 in its file. */
  get row(): number {
    const { firstRow, firstLeftOut } = this.#files.at(-1)!;
    return this.#size - firstRow + this.#leftOut.length - firstLeftOut + 1;
  }

  /**
   * Begins a file.
   *
   * @param names its columns, in order.
   * @param isComplete false where a row may have more than these names: what is declared need not be among them.
   * @throws TuttiError DATA_MISSING for a declared column that it lacks; DATA_INVALID for a name that is there twice, and, where
   *   columns are inferred, for other names than those of the file before.
   */
  startFile(file: DataFile, names: readonly string[], isComplete = true): readonly TableField[] {
    const duplicate = names.find((name, index) => names.indexOf(name) !== index);
    if (duplicate !== undefined) {
      throw new TuttiError("DATA_INVALID", `${file.given}: column "${duplicate}" is there twice; rename one`, {
        ...file,
      });
    }
    const before = this.#files.at(-1)?.file;
    this.#files.push({ file, firstRow: this.#size, firstLeftOut: this.#leftOut.length });
    this.#columns ??=
      this.#declared === undefined
        ? inferredColumns(names, this.#held)
        : [...this.#declared].map(([name, declared]) => columnOf(name, declared, this.#held));
    if (this.#declared === undefined) this.#requireSameNames(file, names, before);
    if (isComplete) this.#requireColumns(file, names);
    return this.#columns.flatMap((column) =>
      column.headers.map((header, index): TableField => {
        const elements = column.headers.length > 1 ? 1 : column.writer.elements;
        return { header, writer: column.writer, element: index * elements, elements, column };
      }),
    );
  }

  /** @param line of the row in its file, from 1; 0 where it has no lines. */
  startRow(line: number): void {
    this.#line = line;
  }

  putNumber(field: TableField, value: number, isWhole: boolean): void {
    const expected = field.writer.putNumber(this.#size, field.element, value, isWhole);
    if (expected !== undefined) this.#refuse(field, expected, String(value));
  }

  putText(field: TableField, text: string): void {
    const expected = field.writer.putText(this.#size, field.element, text);
    if (expected !== undefined) this.#refuse(field, expected, text === "" ? "an empty field" : JSON.stringify(text));
  }

  /** A cell of a file with types. NaN counts as missing. */
  put(field: TableField, cell: Cell, element = field.element): void {
    if (cell === null || (typeof cell === "number" && Number.isNaN(cell))) {
      this.putMissing(field, cell === null ? "null" : "NaN", element);
      return;
    }
    const expected = field.writer.put(this.#size, element, cell);
    if (expected !== undefined) this.#refuse(field, expected, shown(cell));
  }

  /** The cells of a field that holds a list in every row. */
  putList(field: TableField, cells: ArrayLike<Cell>): void {
    if (cells.length !== field.elements) {
      this.#refuse(field, `${field.elements} values`, `${cells.length}`);
      return;
    }
    for (let index = 0; index < cells.length; index++) this.put(field, cells[index]!, field.element + index);
  }

  /** @param found what there is instead of a value. */
  putMissing(field: TableField, found: string, element = field.element): void {
    field.column.missingCells++;
    if (field.writer.dropsMissing) {
      this.#isLeftOut = true;
      return;
    }
    const expected = field.writer.putMissing(this.#size, element);
    if (expected !== undefined) this.#refuse(field, expected, found, remedyOfMissing(field));
  }

  /** Refuses a cell whose kind no column takes. */
  refuseCell(field: TableField, expected: string, found: string): void {
    this.#refuse(field, expected, found);
  }

  /** Refuses the row as a whole. */
  refuseRow(problem: string, remedy: string): void {
    const { file } = this.#files.at(-1)!;
    this.#report(`${file.given} row ${this.row}: ${problem}${this.#lineText()}${remedy}`, {});
  }

  endRow(): void {
    if (this.#isLeftOut) this.#leftOut.push(this.#size);
    else this.#size++;
    this.#isLeftOut = false;
  }

  /**
   * The data set of all rows; the builder must not be used afterwards. Throws DATA_INVALID if there are none.
   *
   * @param names of the files, for the message.
   */
  async finish(names: FileNames): Promise<Dataset> {
    if (this.#size === 0) {
      const reason = this.#leftOut.length === 0 ? "found none" : `all ${this.#leftOut.length} were left out`;
      throw new TuttiError("DATA_INVALID", `${[names].flat().join(", ")}: expected rows, ${reason}`, { names });
    }
    const finished = (this.#columns ?? []).map((column) => ({ ...column, cells: column.writer.finish() }));
    const stored = await spooledDataset(
      this.#size,
      new Map(finished.map(({ name, cells }) => [name, cells.column])),
      this.#held.memoryBytes,
    );
    const dtypes = finished.flatMap(({ name, cells }) => (cells.dtype ? [[name, cells.dtype] as const] : []));
    const typed = dtypes.length === 0 ? stored : await withDTypes(stored, new Map(dtypes), this.#held.memoryBytes);
    const columns = finished.map(({ cells, ...column }) => [column.name, factsOf(column, cells)] as const);
    return tableDataset(
      typed,
      {
        columns: Object.fromEntries(columns),
        rowsLeftOut: this.#leftOut.length,
        locate: (row) => this.#locate(row),
      },
      new Map(finished.flatMap(({ name, cells }) => (cells.places ? [[name, cells.places]] : []))),
    );
  }

  #locate(row: number): RowPlace {
    const { file, firstRow, firstLeftOut } = this.#files.findLast(({ firstRow }) => firstRow <= row)!;
    // The rows left out before it: those with at most `row` rows before them.
    let [low, high] = [firstLeftOut, this.#leftOut.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#leftOut[middle]! <= row) low = middle + 1;
      else high = middle;
    }
    return { file: file.given, row: row - firstRow + low - firstLeftOut + 1 };
  }

  #requireSameNames(file: DataFile, names: readonly string[], before: DataFile | undefined): void {
    if (before === undefined) return;
    const first = this.#columns!.map(({ name }) => name);
    if (first.length === names.length && first.every((name) => names.includes(name))) return;
    throw new TuttiError(
      "DATA_INVALID",
      `${file.given}: expected the columns of ${before.given}, ${shownWords(first)}; found ${shownWords(names)}: declare the columns that both have`,
      { ...file },
    );
  }

  #requireColumns(file: DataFile, names: readonly string[]): void {
    const missing = this.#columns!.flatMap(({ headers }) => headers).find((header) => !names.includes(header));
    if (missing === undefined) return;
    throw new TuttiError(
      "DATA_MISSING",
      `${file.given}: there is no column "${missing}"; it has ${names.map((known) => `"${known}"`).join(", ")}: name one of them, or give it with from: "…"`,
      { ...file, column: missing },
    );
  }

  #refuse(field: TableField, expected: string, found: string, remedy = this.#remedyOf(field, found)): void {
    const { file } = this.#files.at(-1)!;
    this.#report(
      `${file.given} row ${this.row}, column "${field.header}": expected ${expected}, found ${found}${this.#lineText()}${remedy}`,
      { column: field.header },
    );
  }

  #report(message: string, details: Readonly<Record<string, unknown>>): void {
    const { file } = this.#files.at(-1)!;
    const line = this.#line === 0 ? {} : { line: this.#line };
    const problem = new TuttiError("DATA_INVALID", message, { ...file, row: this.row, ...line, ...details });
    if (this.#onProblem === undefined) throw problem;
    this.#onProblem(problem);
    this.#isLeftOut = true;
  }

  #lineText(): string {
    return this.#line === 0 ? "" : ` (line ${this.#line})`;
  }

  #remedyOf({ header, column: { declared } }: TableField, found: string): string {
    if (this.#kind === "csv" && /^"(?:na|n\/a|nan|null|none|\?|-)"$/i.test(found)) {
      return `; if it stands for a missing value, name it: missingText: ["", ${found}]`;
    }
    if (declared === undefined) {
      const dtype = /^"[+-]?\d+"$/.test(found) ? '"int64"' : '"category" if it holds words';
      return `; declare the columns: { "${header}": ${dtype} }`;
    }
    if (declared.kind === "category") return '; add it to the categories, or name one that stands for it: unknown: "…"';
    return "";
  }
}

function remedyOfMissing({ column: { declared } }: TableField): string {
  if (declared === undefined) return "; declare the columns, this one with what stands for a missing cell: missing: …";
  if (declared.kind === "category")
    return '; say what stands for a missing cell: missing: a word, or "drop" to leave the row out';
  const statistics = declared.dtype.startsWith("float") ? ', "mean", "median"' : "";
  return `; say what stands for a missing cell: missing: a value${statistics}, or "drop" to leave the row out`;
}

function shown(cell: Exclude<Cell, null>): string {
  return typeof cell === "string" ? JSON.stringify(cell.length > 40 ? `${cell.slice(0, 40)}…` : cell) : String(cell);
}
