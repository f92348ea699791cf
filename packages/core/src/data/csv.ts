import { CsvError, type Parser, type Options as ParserOptions, parse } from "csv-parse";
import { isTuttiError, TuttiError } from "../errors/index.ts";
import { type ColumnDType, type ColumnType, isColumnDType, type Scalar } from "./column.ts";
import { type CsvColumn, type CsvOptions, checkCsvOptions } from "./csv-options.ts";
import type { Dataset } from "./dataset.ts";
import { type DataFile, dataFile, openDataFile, readFailure, readStream } from "./file.ts";
import type { DataSource, Declared, OpenContext, PlainObject } from "./source.ts";
import { RowSpool } from "./spool.ts";

type CsvDTypes<Columns extends Readonly<Record<string, CsvColumn>>> = {
  readonly [Name in keyof Columns]: Columns[Name] extends { readonly dtype: infer DType extends ColumnDType }
    ? DType
    : Columns[Name] & ColumnDType;
};

/**
 * A csv file (RFC 4180, plain or gzipped), read once into typed columns. Declared columns are taken, others ignored;
 * without a declaration every column is float32. Numbers are decimal, rounded to the dtype for floats and exact
 * for integers; an empty field, a word, nan or inf is refused. Rows count from 1 after the header.
 * Throws BAD_OPTION; opening throws DATA_MISSING (file, column) and DATA_INVALID (file, row, column).
 */
export function csv<const Columns extends Readonly<Record<string, CsvColumn>> = Readonly<Record<string, ColumnDType>>>(
  path: string,
  options: CsvOptions<Columns> = {},
): DataSource<Declared<CsvDTypes<Columns>>> {
  checkCsvOptions(path, options);
  const describe = { path, ...options } as PlainObject;
  return {
    kind: "csv",
    describe,
    withDescription(other) {
      const { path: otherPath, ...otherOptions } = other;
      return csv(otherPath as string, otherOptions as CsvOptions<Columns>);
    },
    open: (context) => openCsv(path, options, context),
  };
}

/** One typed column and the fields of a record that fill it, in order. */
interface FilledColumn {
  readonly name: string;
  readonly type: ColumnType;
  readonly fields: readonly { readonly index: number; readonly header: string }[];
}

async function openCsv(path: string, options: CsvOptions, context: OpenContext): Promise<Dataset> {
  const file = dataFile(context.baseDirectory, path);
  const handle = await openDataFile(file);
  try {
    const input = await readStream(handle);
    const parserOptions: ParserOptions = {
      bom: true,
      delimiter: options.delimiter ?? ",",
      info: true,
      relax_column_count: true, // counted here, with the row in the message
      skip_empty_lines: true,
    };
    const parser = parse(parserOptions);
    input.on("error", (error) => parser.destroy(error));
    return await spoolRecords(input.pipe(parser), file, options);
  } catch (error) {
    throw isTuttiError(error) ? error : parseFailure(file, error);
  } finally {
    await handle.close();
  }
}

interface CsvRecord {
  readonly record: readonly string[];
  readonly info: { readonly lines: number };
}

async function spoolRecords(parser: Parser, file: DataFile, options: CsvOptions): Promise<Dataset> {
  const header = options.header ?? true;
  let names: readonly string[] | undefined = Array.isArray(header) ? header : undefined;
  let plan: { readonly columns: readonly FilledColumn[]; readonly spool: RowSpool } | undefined;
  for await (const { record, info } of parser as AsyncIterable<CsvRecord>) {
    if (names === undefined) {
      names = header === true ? record : record.map((_, index) => String(index));
      if (header === true) continue;
    }
    plan ??= planColumns(names, file, options);
    const row = plan.spool.size + 1;
    if (record.length !== names.length) {
      throw new TuttiError(
        "DATA_INVALID",
        `${file.given} row ${row}: expected ${names.length} fields, found ${record.length} (line ${info.lines})`,
        { ...file, row, line: info.lines },
      );
    }
    for (const column of plan.columns) fillColumn(plan.spool, column, record, file, info.lines);
    plan.spool.finishRow();
  }
  if (plan === undefined) throw new TuttiError("DATA_INVALID", `${file.given}: expected rows, found none`, { ...file });
  return plan.spool.finish();
}

function planColumns(names: readonly string[], file: DataFile, options: CsvOptions) {
  const duplicate = names.find((name, index) => names.indexOf(name) !== index);
  if (duplicate !== undefined) {
    throw new TuttiError("DATA_INVALID", `${file.given}: column "${duplicate}" is there twice`, { ...file });
  }
  const declared: Readonly<Record<string, CsvColumn>> =
    options.columns ?? Object.fromEntries(names.map((name) => [name, "float32" as const]));
  const columns = Object.entries(declared).map(([name, column]): FilledColumn => {
    const from = isColumnDType(column) ? name : (column.from ?? name);
    const headers = typeof from === "string" ? [from] : from;
    const fields = headers.map((header) => ({ header, index: names.indexOf(header) }));
    const missing = fields.find((field) => field.index < 0);
    if (missing !== undefined) {
      throw new TuttiError(
        "DATA_MISSING",
        `${file.given}: there is no column "${missing.header}"; it has ${names.map((known) => `"${known}"`).join(", ")}`,
        { ...file, column: missing.header },
      );
    }
    const shape = typeof from === "string" ? [] : [from.length];
    return { name, type: { dtype: isColumnDType(column) ? column : column.dtype, shape }, fields };
  });
  const spool = new RowSpool(Object.fromEntries(columns.map(({ name, type }) => [name, type])));
  return { columns, spool };
}

function fillColumn(
  spool: RowSpool,
  column: FilledColumn,
  record: readonly string[],
  file: DataFile,
  line: number,
): void {
  for (const [element, field] of column.fields.entries()) {
    const text = record[field.index]!.trim();
    const value = parseScalar(text, column.type.dtype);
    const expected = value === undefined ? expectedText(column.type.dtype) : spool.put(column.name, element, value);
    if (expected === undefined) continue;
    const row = spool.size + 1;
    const found = text === "" ? "an empty field" : `"${text}"`;
    throw new TuttiError(
      "DATA_INVALID",
      `${file.given} row ${row}, column "${field.header}": expected ${expected}, found ${found} (line ${line})`,
      { ...file, row, line, column: field.header },
    );
  }
}

const decimal = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const whole = /^[+-]?\d+$/;

function parseScalar(text: string, dtype: ColumnDType): Scalar | undefined {
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

function parseFailure(file: DataFile, error: unknown): TuttiError {
  if (!(error instanceof CsvError)) return readFailure(file, error);
  return new TuttiError("DATA_INVALID", `${file.given}: no valid csv: ${error.message}`, { ...file });
}
