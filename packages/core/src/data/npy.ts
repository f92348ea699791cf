import { TuttiError } from "../errors/index.ts";
import { bytesPerSample, type ColumnType } from "./column.ts";
import { type ColumnPart, commonRows, joinParts, openStart, type StartOfFile } from "./column-files.ts";
import type { Dataset } from "./dataset.ts";
import type { DataFile } from "./file.ts";
import { defaultMemoryBytes, type FileColumn, fileDataset, type OpenFile } from "./file-dataset.ts";
import { checkFileNames, type FileNames, findFiles } from "./files.ts";
import { decodeNpyHeader, mostHeaderBytes } from "./npy-header.ts";
import { type DataSource, type OpenContext, type PlainObject, requireColumns } from "./source.ts";

/**
 * One array of NumPy's .npy format a column; the first axis counts rows, dtype and sample shape are the file's. Several
 * files or a pattern are one column, one after another. Large files are not loaded: rows are read by position. Opening throws
 * DATA_MISSING, and DATA_INVALID for a file that is none, is cut off, has another number of rows than the first column, or
 * holds other types than float32, float64, int8, uint8, int16, uint16, int32, int64 and bool, little-endian and in C order.
 * @param files column name to path, pattern, or a list of them, relative to the run file.
 */
export function npy<const Files extends Readonly<Record<string, FileNames>>>(
  files: Files,
): DataSource<{ readonly [Name in keyof Files]: ColumnType }> {
  requireColumns("npy", files);
  for (const names of Object.values(files)) checkFileNames("npy", names);
  return {
    kind: "npy",
    describe: { ...files },
    withDescription(describe: PlainObject) {
      const names = Object.keys(files);
      if (Object.keys(describe).length !== names.length || !names.every((name) => Object.hasOwn(describe, name))) {
        throw new TuttiError("BAD_OPTION", `data.npy: expected files for each of ${names.join(", ")} and nothing else`);
      }
      return npy(describe as Files);
    },
    open: (context) => openNpy(files, context),
  };
}

async function openNpy(files: Readonly<Record<string, FileNames>>, context: OpenContext): Promise<Dataset> {
  const columns: Record<string, FileColumn> = {};
  const paths = new Map<string, readonly string[]>();
  const opened: OpenFile[] = [];
  try {
    for (const [name, names] of Object.entries(files)) {
      const parts: ColumnPart[] = [];
      const found = await findFiles(context.baseDirectory, names);
      paths.set(
        name,
        found.map(({ resolved }) => resolved),
      );
      for (const file of found) {
        const start = await openStart(file, mostHeaderBytes);
        opened.push(start.open);
        parts.push(partOf(file, start));
      }
      columns[name] = joinParts(name, parts);
    }
    commonRows(columns);
  } catch (error) {
    for (const open of opened) await open.close();
    throw error;
  }
  const isWhole = [...paths.values()].every(({ length }) => length === 1);
  const place = isWhole ? Object.fromEntries([...paths].map(([name, [path]]) => [name, path!])) : undefined;
  return fileDataset(commonRows(columns), columns, context.memoryBytes ?? defaultMemoryBytes, place);
}

function partOf(file: DataFile, { open, fileBytes, start }: StartOfFile): ColumnPart {
  const { headerBytes: offset, rows, type } = decodeNpyHeader(start, file.given);
  const expected = offset + rows * bytesPerSample(type);
  if (fileBytes !== expected) {
    throw new TuttiError(
      "DATA_INVALID",
      `${file.given}: its header says ${type.dtype} (${[rows, ...type.shape].join(", ")}), ${expected} bytes in all; found ${fileBytes}: is it cut off?`,
      { ...file },
    );
  }
  return { open, file: file.given, offset, rows, type };
}
