import { setImmediate } from "node:timers/promises";
import { isTuttiError, TuttiError } from "../errors/index.ts";
import type { ColumnDType } from "./column.ts";
import type { Dataset } from "./dataset.ts";
import { type DataFile, openDataFile, readFailure, readStream } from "./file.ts";
import { checkFileNames, type FileNames, findFiles } from "./files.ts";
import { type DataSource, type Declared, isRecord, type OpenContext, type PlainObject } from "./source.ts";
import { TableBuilder, type TableField } from "./table.ts";
import type { Cell } from "./table-cells.ts";
import { checkTableColumns, type TableColumns, type TableDTypes } from "./table-options.ts";

export interface JsonlOptions<Columns = TableColumns> {
  /** The keys to read; all of the first row's when left out, their types inferred from all rows. */
  readonly columns?: Columns;
}

/**
 * JSON Lines (jsonlines.org: UTF-8, one object a line, empty lines skipped), plain or gzipped, read once into typed columns. A
 * key that a row lacks, and null, is a missing cell; a declared column with a `shape` takes a flat list of numbers. Nothing is
 * converted but integers of 64 bits, which may be written as text.
 *
 * @param files a path, a pattern, or several; see `findFiles` for their order.
 * @throws TuttiError BAD_OPTION; opening throws DATA_MISSING (file) and DATA_INVALID (file, row, column).
 */
export function jsonl<const Columns extends TableColumns = Readonly<Record<string, ColumnDType>>>(
  files: FileNames,
  options: JsonlOptions<Columns> = {},
): DataSource<Declared<TableDTypes<Columns>>> {
  checkFileNames("jsonl", files);
  const { columns, ...others } = isRecord(options) ? options : { columns: options };
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) {
    throw new TuttiError("BAD_OPTION", `data.jsonl: unknown option "${unknown}"; there is columns`);
  }
  if (columns !== undefined) checkTableColumns("jsonl", columns);
  return {
    kind: "jsonl",
    describe: { path: files, ...options } as PlainObject,
    withDescription(other) {
      const { path, ...otherOptions } = other;
      return jsonl(path as FileNames, otherOptions as JsonlOptions<Columns>);
    },
    open: (context) => openJsonl(files, options, context),
  };
}

async function openJsonl(names: FileNames, { columns }: JsonlOptions, context: OpenContext): Promise<Dataset> {
  const table = new TableBuilder("jsonl", columns, context);
  for (const file of await findFiles(context.baseDirectory, names)) {
    const reader = new JsonlFileReader(table, file, columns !== undefined);
    const handle = await openDataFile(file);
    try {
      const decoder = new TextDecoder("utf-8", { fatal: true });
      for await (const chunk of await readStream(handle)) {
        reader.push(decoder.decode(chunk as Uint8Array, { stream: true }));
        await setImmediate(); // a large file must not hold up heartbeats
      }
      reader.push(decoder.decode());
      reader.end();
    } catch (error) {
      if (isTuttiError(error)) throw error;
      if (context.onProblem === undefined) throw reader.failure(error);
      context.onProblem(reader.failure(error));
    } finally {
      await handle.close();
    }
  }
  return table.finish(names);
}

/** Takes the lines of one file into the table. */
class JsonlFileReader {
  readonly #table: TableBuilder;
  readonly #file: DataFile;
  readonly #isDeclared: boolean;
  #fields: readonly TableField[] | undefined;
  #rest = "";
  #line = 0;

  constructor(table: TableBuilder, file: DataFile, isDeclared: boolean) {
    this.#table = table;
    this.#file = file;
    this.#isDeclared = isDeclared;
  }

  push(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#take(line);
  }

  end(): void {
    if (this.#rest !== "") this.#take(this.#rest);
  }

  failure(error: unknown): TuttiError {
    if (!(error instanceof TypeError)) return readFailure(this.#file, error);
    const message = `${this.#file.given} after line ${this.#line}: expected UTF-8, found other bytes: save the file as UTF-8`;
    return new TuttiError("DATA_INVALID", message, { ...this.#file, line: this.#line });
  }

  #take(line: string): void {
    this.#line++;
    const text = line.trim();
    if (text === "") return;
    let row: unknown;
    let reason = "";
    try {
      row = JSON.parse(text);
    } catch (error) {
      reason = error instanceof Error ? `: ${error.message}` : "";
    }
    if (this.#fields === undefined) {
      const names = isRecord(row) ? Object.keys(row) : [];
      this.#fields = this.#table.startFile(this.#file, names, false);
    }
    this.#table.startRow(this.#line);
    if (isRecord(row)) this.#takeRow(row, this.#fields);
    else {
      const found =
        row === undefined ? `no JSON${reason}` : Array.isArray(row) ? "a list" : JSON.stringify(row).slice(0, 40);
      this.#table.refuseRow(
        `expected one JSON object a line, found ${found}`,
        "; write one object on each line, without commas between",
      );
    }
    this.#table.endRow();
  }

  #takeRow(row: Readonly<Record<string, unknown>>, fields: readonly TableField[]): void {
    for (const field of fields) {
      const value = Object.hasOwn(row, field.header) ? row[field.header] : undefined;
      if (value === undefined) this.#table.putMissing(field, `no key "${field.header}"`);
      else if (Array.isArray(value)) this.#takeList(field, value);
      else if (isCell(value) && (value === null || field.elements === 1)) this.#table.put(field, value);
      else
        this.#table.refuseCell(field, wanted(field), typeof value === "object" ? "an object" : JSON.stringify(value));
    }
    if (this.#isDeclared) return;
    const unknown = Object.keys(row).find((name) => !fields.some(({ header }) => header === name));
    if (unknown === undefined) return;
    this.#table.refuseRow(`has a key "${unknown}", which the first row lacks`, "; declare the columns to read");
  }

  #takeList(field: TableField, list: readonly unknown[]): void {
    const isVector = field.column.declared?.kind === "number" && field.column.declared.shape !== undefined;
    if (!isVector) {
      this.#table.refuseCell(field, wanted(field), "a list");
    } else if (list.every(isCell)) this.#table.putList(field, list);
    else this.#table.refuseCell(field, `a flat list of ${field.elements} numbers`, "a list of other things");
  }
}

function isCell(value: unknown): value is Cell {
  return value === null || ["number", "string", "boolean"].includes(typeof value);
}

function wanted({ column: { declared }, elements }: TableField): string {
  if (declared?.kind === "number" && declared.shape !== undefined) return `a list of ${elements} values`;
  return declared === undefined ? "one value (declare a column of lists with its shape)" : "one value";
}
