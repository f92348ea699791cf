import { crc32 } from "node:zlib";
import type { Entry, ZipFile } from "yauzl";
import { isTuttiError, TuttiError } from "../errors/index.ts";
import { bytesPerSample, type ColumnType, shownType } from "./column.ts";
import type { Dataset } from "./dataset.ts";
import { type DataFile, openDataFile } from "./file.ts";
import { checkFileNames, type FileNames, findFiles } from "./files.ts";
import { decodeNpyHeader, mostHeaderBytes, type NpyHeader } from "./npy-header.ts";
import type { DataSource, OpenContext, PlainData } from "./source.ts";
import { RowSpool } from "./spool.ts";
import { checkTensorColumns, columnsWanted, describeTensors, type TensorColumns } from "./tensor-columns.ts";

/**
 * Arrays of NumPy's .npz archives (numpy.savez, numpy.savez_compressed) as columns; the first axis counts rows. Several
 * archives have the same arrays, and their rows follow one another. They are unpacked once, at opening, which throws
 * DATA_MISSING, and DATA_INVALID for what is damaged (sizes and CRC-32 are checked) or does not fit; arrays are as in `data.npy`.
 */
export function npz<const Columns extends Readonly<Record<string, string>> = Readonly<Record<string, string>>>(
  files: FileNames,
  options: TensorColumns<Columns> = {},
): DataSource<{ readonly [Name in keyof Columns]: ColumnType }> {
  checkFileNames("npz", files);
  checkTensorColumns("npz", options);
  return {
    kind: "npz",
    describe: describeTensors(files as PlainData, options),
    withDescription({ files: otherFiles, ...otherOptions }) {
      return npz(otherFiles as FileNames, otherOptions as TensorColumns<Columns>);
    },
    open: (context) => openNpz(files, options.columns, context),
  };
}

interface OpenArchive {
  readonly file: DataFile;
  readonly zip: ZipFile;
  /** By the array's name. */
  readonly entries: ReadonlyMap<string, Entry>;
}

async function openNpz(
  names: FileNames,
  columns: Readonly<Record<string, string>> | undefined,
  context: OpenContext,
): Promise<Dataset> {
  let spool: RowSpool | undefined;
  let types: Readonly<Record<string, ColumnType>> = {};
  try {
    for (const file of await findFiles(context.baseDirectory, names)) {
      const archive = await openArchive(file);
      try {
        const wanted = columnsWanted(file, [...archive.entries.keys()], columns);
        const headers = await headersOf(archive, wanted);
        if (spool === undefined) {
          types = Object.fromEntries([...headers].map(([name, { type }]) => [name, type]));
          spool = new RowSpool(types, context.memoryBytes);
        }
        checkHeaders(file, headers, types);
        for (const [column, array] of wanted) {
          const { headerBytes } = headers.get(column)!;
          await unpack(archive, array, headerBytes, (bytes) => spool!.append(column, bytes));
        }
        spool.finishRow(headers.values().next().value!.rows);
      } finally {
        archive.zip.close();
      }
    }
  } catch (error) {
    spool?.discard();
    throw error;
  }
  return spool!.finish();
}

async function openArchive(file: DataFile): Promise<OpenArchive> {
  await (await openDataFile(file)).close(); // says in the user's words what is missing
  const { openPromise } = await import("yauzl");
  try {
    const zip = await openPromise(file.resolved, { autoClose: false });
    const entries = new Map<string, Entry>();
    try {
      for await (const entry of zip.eachEntry()) entries.set(entry.fileName.replace(/\.npy$/, ""), entry);
    } catch (error) {
      zip.close();
      throw error;
    }
    return { file, zip, entries };
  } catch (error) {
    throw damaged(file.given, error);
  }
}

/** The headers of the arrays that are wanted, by column. */
async function headersOf(
  { file, zip, entries }: OpenArchive,
  wanted: readonly (readonly [column: string, array: string])[],
): Promise<ReadonlyMap<string, NpyHeader>> {
  const headers = new Map<string, NpyHeader>();
  for (const [column, array] of wanted) {
    const entry = entries.get(array)!;
    const where = `${file.given}: array "${array}"`;
    const start = await startOf(zip, entry, where);
    const header = decodeNpyHeader(start, where);
    const expected = header.headerBytes + header.rows * bytesPerSample(header.type);
    if (entry.uncompressedSize !== expected) {
      const message = `${where}: its header says ${expected} bytes in all, the archive ${entry.uncompressedSize}`;
      throw new TuttiError("DATA_INVALID", message, { ...file });
    }
    headers.set(column, header);
  }
  return headers;
}

function checkHeaders(
  file: DataFile,
  headers: ReadonlyMap<string, NpyHeader>,
  types: Readonly<Record<string, ColumnType>>,
): void {
  const refuse = (problem: string): TuttiError =>
    new TuttiError("DATA_INVALID", `${file.given}: ${problem}`, { ...file });
  const [first, { rows }] = headers.entries().next().value!;
  for (const [name, header] of headers) {
    if (header.rows !== rows)
      throw refuse(`column "${name}": expected ${rows} rows as in column "${first}", found ${header.rows}`);
    const [found, expected] = [shownType(header.type), types[name] && shownType(types[name])];
    if (found !== expected)
      throw refuse(`column "${name}": expected ${expected ?? "none"} as in the first file, found ${found}`);
  }
  const missing = Object.keys(types).find((name) => !headers.has(name));
  if (missing !== undefined) throw refuse(`there is no array for column "${missing}", which the first file has`);
}

async function startOf(zip: ZipFile, entry: Entry, where: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of await zip.openReadStreamPromise(entry)) {
      chunks.push(chunk as Uint8Array);
      bytes += (chunk as Uint8Array).byteLength;
      if (bytes >= mostHeaderBytes) break;
    }
  } catch (error) {
    throw damaged(where, error);
  }
  return Buffer.concat(chunks);
}

/** Hands over an array's elements, in pieces. */
async function unpack(
  { file, zip, entries }: OpenArchive,
  array: string,
  headerBytes: number,
  take: (bytes: Uint8Array) => void,
): Promise<void> {
  const entry = entries.get(array)!;
  const where = `${file.given}: array "${array}"`;
  let checksum = 0;
  let skip = headerBytes;
  try {
    for await (const piece of await zip.openReadStreamPromise(entry)) {
      const chunk = piece as Uint8Array;
      checksum = crc32(chunk, checksum);
      take(chunk.subarray(Math.min(skip, chunk.byteLength)));
      skip = Math.max(0, skip - chunk.byteLength);
    }
  } catch (error) {
    throw damaged(where, error);
  }
  if (checksum !== entry.crc32) throw damaged(where, new Error("its CRC-32 does not fit its content"));
}

function damaged(where: string, error: unknown): TuttiError {
  if (isTuttiError(error)) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new TuttiError("DATA_INVALID", `${where}: no readable .npz archive (${reason}): fetch or write it again`, {
    where,
  });
}
