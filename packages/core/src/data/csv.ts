import { setImmediate } from "node:timers/promises";
import { isTuttiError, TuttiError } from "../errors/index.ts";
import type { ColumnDType } from "./column.ts";
import { type CsvOptions, checkCsvOptions } from "./csv-options.ts";
import { type CsvRecord, CsvRecords, CsvSyntaxError } from "./csv-records.ts";
import type { Dataset } from "./dataset.ts";
import { DecimalReader } from "./decimal.ts";
import { type DataFile, openDataFile, readFailure, readStream } from "./file.ts";
import { type FileNames, findFiles } from "./files.ts";
import type { DataSource, Declared, OpenContext, PlainObject } from "./source.ts";
import { TableBuilder, type TableField } from "./table.ts";
import { numberKind } from "./table-cells.ts";
import type { TableColumns, TableDTypes } from "./table-options.ts";

/**
 * Csv files (RFC 4180, UTF-8, plain or gzipped), read once into typed columns. Declared columns are taken, others ignored;
 * without a declaration all are, their types inferred from all rows. Numbers are decimal, rounded to the dtype for floats and
 * exact for integers; a missing cell, a word, nan or inf is refused unless the column says otherwise. Rows count from 1 after
 * the header.
 *
 * @param files a path, a pattern, or several; see `findFiles` for their order.
 * @throws TuttiError BAD_OPTION; opening throws DATA_MISSING (file, column) and DATA_INVALID (file, row, column).
 */
export function csv<const Columns extends TableColumns = Readonly<Record<string, ColumnDType>>>(
  files: FileNames,
  options: CsvOptions<Columns> = {},
): DataSource<Declared<TableDTypes<Columns>>> {
  checkCsvOptions(files, options);
  const describe = { path: files, ...options } as PlainObject;
  return {
    kind: "csv",
    describe,
    withDescription(other) {
      const { path, ...otherOptions } = other;
      return csv(path as FileNames, otherOptions as CsvOptions<Columns>);
    },
    open: (context) => openCsv(files, options, context),
  };
}

async function openCsv(names: FileNames, options: CsvOptions, context: OpenContext): Promise<Dataset> {
  const table = new TableBuilder("csv", options.columns, context);
  for (const file of await findFiles(context.baseDirectory, names)) {
    const reader = new CsvFileReader(table, file, options);
    const handle = await openDataFile(file);
    try {
      for await (const chunk of await readStream(handle)) {
        reader.records.push(chunk as Uint8Array);
        await setImmediate(); // a large file must not hold up heartbeats
      }
      reader.records.end();
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

/** Takes the records of one file into the table. */
class CsvFileReader {
  readonly records: CsvRecords;
  readonly #table: TableBuilder;
  readonly #file: DataFile;
  readonly #header: CsvOptions["header"];
  readonly #delimiter: string;
  readonly #missing: ReadonlySet<string>;
  /** False if a text that means a missing cell is a number. */
  readonly #takesNumbers: boolean;
  readonly #decimal = new DecimalReader();
  #fields: readonly { readonly field: TableField; readonly index: number }[] | undefined;
  #count = 0;

  constructor(table: TableBuilder, file: DataFile, { delimiter, header, missingText }: CsvOptions) {
    this.#table = table;
    this.#file = file;
    this.#header = header ?? true;
    this.#delimiter = delimiter ?? ",";
    this.#missing = new Set(missingText ?? [""]);
    this.#takesNumbers = ![...this.#missing].some((text) => numberKind(text) !== undefined);
    this.records = new CsvRecords(this.#delimiter, (record) => this.#take(record));
  }

  /** Says what failed in the user's words. */
  failure(error: unknown): TuttiError {
    if (!(error instanceof CsvSyntaxError)) return readFailure(this.#file, error);
    const row = this.#fields === undefined ? {} : { row: this.#table.row };
    const where = this.#fields === undefined ? "" : ` row ${this.#table.row}`;
    return new TuttiError("DATA_INVALID", `${this.#file.given}${where}: ${error.message} (line ${error.line})`, {
      ...this.#file,
      ...row,
      line: error.line,
    });
  }

  #take(record: CsvRecord): void {
    if (this.#fields === undefined) {
      this.#begin(record);
      if (this.#header === true) return;
    }
    const [table, decimal, missing] = [this.#table, this.#decimal, this.#missing];
    table.startRow(record.line);
    if (record.fields !== this.#count) {
      table.refuseRow(
        `expected ${this.#count} fields, found ${record.fields}`,
        `; quote a field that has "${this.#delimiter}" in it`,
      );
      table.endRow();
      return;
    }
    for (const { field, index } of this.#fields!) {
      if (this.#takesNumbers && field.writer.takesNumbers) {
        const value = decimal.read(record.bytes, record.starts[index]!, record.ends[index]!);
        if (!Number.isNaN(value)) {
          table.putNumber(field, value, decimal.isWhole);
          continue;
        }
      }
      const text = record.text(index);
      if (missing.has(text)) table.putMissing(field, text === "" ? "an empty field" : JSON.stringify(text));
      else table.putText(field, text);
    }
    table.endRow();
  }

  #begin(record: CsvRecord): void {
    const first = Array.from({ length: record.fields }, (_, index) => record.text(index));
    const header = this.#header;
    const names = header === true ? first : header === false ? first.map((_, index) => String(index)) : (header ?? []);
    this.#count = names.length;
    this.#fields = this.#table
      .startFile(this.#file, names)
      .map((field) => ({ field, index: names.indexOf(field.header) }));
  }
}
