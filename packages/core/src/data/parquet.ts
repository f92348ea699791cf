import type { FileHandle } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import type { FileMetaData, SchemaTree } from "hyparquet";
import { isTuttiError, TuttiError } from "../errors/index.ts";
import type { ColumnDType } from "./column.ts";
import type { Dataset } from "./dataset.ts";
import { type DataFile, openDataFile } from "./file.ts";
import { checkFileNames, type FileNames, findFiles } from "./files.ts";
import { type ByteSource, checkPages } from "./parquet-pages.ts";
import { type DataSource, type Declared, isRecord, type OpenContext, type PlainObject } from "./source.ts";
import { TableBuilder, type TableField } from "./table.ts";
import type { Cell } from "./table-cells.ts";
import { checkTableColumns, type TableColumns, type TableDTypes } from "./table-options.ts";

export interface ParquetOptions<Columns = TableColumns> {
  /** The columns to read; all of the file's when left out: integers as they fit, other numbers as float32, text as categories. */
  readonly columns?: Columns;
}

/**
 * Apache Parquet files (format 2, every compression of its specification), read once into typed columns, row group by row
 * group. A null, and NaN, is a missing cell; dates and times are milliseconds since 1970; a declared column with a `shape` takes a
 * flat list of numbers.
 *
 * @param files a path, a pattern, or several; see `findFiles` for their order.
 * @throws TuttiError BAD_OPTION; opening throws DATA_MISSING (file, column) and DATA_INVALID (file, row, column).
 */
export function parquet<const Columns extends TableColumns = Readonly<Record<string, ColumnDType>>>(
  files: FileNames,
  options: ParquetOptions<Columns> = {},
): DataSource<Declared<TableDTypes<Columns>>> {
  checkFileNames("parquet", files);
  const { columns, ...others } = isRecord(options) ? options : { columns: options };
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) {
    throw new TuttiError("BAD_OPTION", `data.parquet: unknown option "${unknown}"; there is columns`);
  }
  if (columns !== undefined) checkTableColumns("parquet", columns);
  return {
    kind: "parquet",
    describe: { path: files, ...options } as PlainObject,
    withDescription(other) {
      const { path, ...otherOptions } = other;
      return parquet(path as FileNames, otherOptions as ParquetOptions<Columns>);
    },
    open: (context) => openParquet(files, options, context),
  };
}

async function openParquet(names: FileNames, { columns }: ParquetOptions, context: OpenContext): Promise<Dataset> {
  const table = new TableBuilder("parquet", columns, context);
  for (const file of await findFiles(context.baseDirectory, names)) {
    const handle = await openDataFile(file);
    try {
      await readFile(table, file, handle);
    } catch (error) {
      if (isTuttiError(error)) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      const problem = unreadable(file, reason);
      if (context.onProblem === undefined) throw problem;
      context.onProblem(problem);
    } finally {
      await handle.close();
    }
  }
  return table.finish(names);
}

async function readFile(table: TableBuilder, file: DataFile, handle: FileHandle): Promise<void> {
  // 42 modules that a run without parquet files need not load
  const [{ parquetMetadataAsync, parquetRead, parquetSchema }, { compressors }] = await Promise.all([
    import("hyparquet"),
    import("hyparquet-compressors"),
  ]);
  const { size } = await handle.stat();
  const source: ByteSource = {
    byteLength: size,
    slice: (start, end = size) => bytesAt(handle, start, end),
  };
  const metadata = await parquetMetadataAsync(source);
  const schema = parquetSchema(metadata).children;
  const fields = table.startFile(
    file,
    schema.map(({ element }) => element.name),
  );
  const readers = fields.map((field) => fieldReader(table, file, field, schema));
  const wanted = [...new Set(fields.map(({ header }) => header))];
  await checkPages(source, metadata, wanted);
  let rowStart = 0;
  for (const rows of rowsOfGroups(metadata)) {
    const rowEnd = rowStart + rows;
    const parts = new Map<string, ColumnPart[]>(wanted.map((name) => [name, []]));
    await parquetRead({
      file: source,
      metadata,
      compressors,
      parsers: asMilliseconds,
      columns: wanted,
      rowStart,
      rowEnd,
      onChunk: ({ columnName, columnData, rowStart: from }) => {
        parts.get(columnName)!.push({ from: from - rowStart, cells: columnData });
      },
    });
    const columns = new Map(wanted.map((name) => [name, joined(name, parts.get(name)!, rowStart, rows)]));
    const chunks = fields.map(({ header }) => columns.get(header)!);
    for (let row = 0; row < rows; row++) {
      table.startRow(0);
      for (const [index, read] of readers.entries()) read(chunks[index]![row]);
      table.endRow();
    }
    rowStart = rowEnd;
    await setImmediate(); // a large file must not hold up heartbeats
  }
}

interface ColumnPart {
  /** Row of the group. */
  readonly from: number;
  readonly cells: ArrayLike<unknown>;
}

/** The cells of one column of a row group. Throws for a group that lacks some. */
function joined(name: string, parts: readonly ColumnPart[], rowStart: number, rows: number): ArrayLike<unknown> {
  const [first] = parts;
  if (first !== undefined && parts.length === 1 && first.from === 0 && first.cells.length === rows) return first.cells;
  const all = new Array<unknown>(rows);
  let found = 0;
  for (const { from, cells } of parts) {
    for (let i = 0; i < cells.length; i++) all[from + i] = cells[i];
    found += cells.length;
  }
  if (found === rows && all.length === rows) return all;
  throw new Error(`the row group that starts with row ${rowStart + 1}: column "${name}" has ${found} of ${rows} rows`);
}

function rowsOfGroups({ row_groups: groups }: FileMetaData): readonly number[] {
  return groups.map(({ num_rows: rows }) => Number(rows));
}

const asMilliseconds = {
  timestampFromMilliseconds: (time: bigint): bigint => time,
  timestampFromMicroseconds: (time: bigint): bigint => time / 1000n,
  timestampFromNanoseconds: (time: bigint): bigint => time / 1_000_000n,
  dateFromDays: (days: number): bigint => BigInt(days) * 86_400_000n,
};

async function bytesAt(handle: FileHandle, start: number, end: number): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(end - start);
  const { bytesRead } = await handle.read(bytes, 0, bytes.byteLength, start);
  if (bytesRead < bytes.byteLength) throw new Error(`ends at byte ${start + bytesRead}, before byte ${end}`);
  return bytes.buffer;
}

/** What puts a cell of one column of the file. */
function fieldReader(
  table: TableBuilder,
  file: DataFile,
  field: TableField,
  schema: readonly SchemaTree[],
): (cell: unknown) => void {
  const { element, children } = schema.find((column) => column.element.name === field.header)!;
  const { declared } = field.column;
  const takesLists = declared?.kind === "number" && declared.shape !== undefined;
  if (takesLists !== children.length > 0) {
    const found = children.length > 0 ? "lists or structures" : "single values";
    const remedy =
      children.length > 0 ? "a column of lists of one length is declared with its shape" : "leave its shape out";
    throw new TuttiError(
      "DATA_INVALID",
      `${file.given}: column "${field.header}" has ${found}: ${takesLists ? remedy : `declare the columns to read; ${remedy}`}`,
      { ...file, column: field.header },
    );
  }
  const isWhole = element.type === "INT32" || element.type === "INT64";
  return (cell) => {
    if (typeof cell === "number" && !Number.isNaN(cell) && !takesLists) table.putNumber(field, cell, isWhole);
    else if (cell === undefined || isCell(cell)) table.put(field, cell ?? null);
    else if (takesLists && isFlatList(cell)) table.putList(field, cell);
    else table.refuseCell(field, "a number, a text, true or false", typeof cell);
  };
}

function isCell(cell: unknown): cell is Cell {
  return cell === null || ["number", "bigint", "string", "boolean"].includes(typeof cell);
}

function isFlatList(cell: unknown): cell is ArrayLike<Cell> {
  if (Array.isArray(cell)) return cell.every(isCell);
  return ArrayBuffer.isView(cell) && !(cell instanceof DataView);
}

function unreadable(file: DataFile, reason: string): TuttiError {
  return new TuttiError(
    "DATA_INVALID",
    `${file.given}: no readable parquet file: ${reason.replace(/\.$/, "")}: copy it again, or write it again`,
    { ...file },
  );
}
