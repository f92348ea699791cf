import type { FileHandle } from "node:fs/promises";
import { TuttiError } from "../errors/index.ts";
import { type ColumnType, shownType } from "./column.ts";
import { type DataFile, openDataFile } from "./file.ts";
import type { FileColumn, FilePart } from "./file-dataset.ts";

/** One file's share of a column. */
export interface ColumnPart extends FilePart {
  readonly type: ColumnType;
}

/** An open file, its size, and its first bytes. */
export interface StartOfFile {
  readonly open: FileHandle;
  readonly fileBytes: number;
  /** `mostBytes` of them, or all there are. */
  readonly start: Uint8Array;
}

/** Opens a data file that is read by position. The caller closes it. Throws DATA_MISSING, DATA_INVALID. */
export async function openStart(file: DataFile, mostBytes: number): Promise<StartOfFile> {
  const open = await openDataFile(file);
  try {
    const { size: fileBytes } = await open.stat();
    const { buffer, bytesRead } = await open.read(new Uint8Array(Math.min(mostBytes, fileBytes)), { position: 0 });
    return { open, fileBytes, start: buffer.subarray(0, bytesRead) };
  } catch (error) {
    await open.close();
    throw error;
  }
}

/** The parts as one column. Throws DATA_INVALID unless all have one type. */
export function joinParts(name: string, parts: readonly ColumnPart[]): FileColumn {
  const [first] = parts;
  for (const { file, type } of parts) {
    if (shownType(type) === shownType(first!.type)) continue;
    throw new TuttiError(
      "DATA_INVALID",
      `${file}: column "${name}": expected ${shownType(first!.type)} a row as in ${first!.file}, found ${shownType(type)}`,
      { file, column: name },
    );
  }
  return { type: first!.type, parts };
}

/** Throws DATA_INVALID unless all columns have as many rows as the first. @returns that number. */
export function commonRows(columns: Readonly<Record<string, FileColumn>>): number {
  const [first, ...others] = Object.entries(columns).map(([name, { parts }]) => ({
    name,
    rows: parts.reduce((sum, part) => sum + part.rows, 0),
    files: [...new Set(parts.map(({ file }) => file))].join(", "),
  }));
  for (const { name, rows, files } of others) {
    if (rows === first!.rows) continue;
    throw new TuttiError(
      "DATA_INVALID",
      `${files}: column "${name}": expected ${first!.rows} rows as in column "${first!.name}", found ${rows}`,
      { column: name },
    );
  }
  return first!.rows;
}
