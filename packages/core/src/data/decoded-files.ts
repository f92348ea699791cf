import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { isTuttiError, TuttiError } from "../errors/index.ts";
import type { ColumnType } from "./column.ts";
import { openStart } from "./column-files.ts";
import type { Dataset, Table } from "./dataset.ts";
import { type DataFile, dataFile } from "./file.ts";
import type { FoundFiles, Labels } from "./labelled-files.ts";
import { readHeader, safetensors } from "./safetensors.ts";
import { saveDataset } from "./save.ts";
import type { OpenContext, PlainData } from "./source.ts";
import { RowSpool } from "./spool.ts";
import { tableDataset } from "./table-dataset.ts";

/** How files become rows of one column. */
export interface Decoding {
  /** The column's name: "image" or "sound". */
  readonly name: string;
  /** All that decides about the bytes beside the files: options, and versions of what decodes. */
  readonly settings: PlainData;
  /** Of every row, found out from the first file where the options leave it open. */
  typeFor(first: DataFile): Promise<ColumnType>;
  /** The packed bytes of one row. Throws DATA_INVALID naming the file. */
  decode(file: DataFile, type: ColumnType): Promise<Uint8Array>;
  /** How many files are decoded at the same time. */
  readonly atOnce: number;
}

/**
 * Decodes files in their order into columns `decoding.name` and, where labels are known, `label`. With a cache, what was decoded
 * is kept in a safetensors file, and read from there by position as long as settings, names, sizes and times of the files are the same.
 */
export async function decodedDataset(
  decoding: Decoding,
  found: FoundFiles,
  labels: Labels | undefined,
  cache: string | undefined,
  context: OpenContext,
): Promise<Dataset> {
  const categories = labels?.classes === undefined ? {} : { label: { missingCells: 0, categories: labels.classes } };
  const table: Table = { columns: categories, rowsLeftOut: 0, locate: found.place };
  return tableDataset(await decodedOrCached(decoding, found, labels, cache, context), table, new Map());
}

async function decodedOrCached(
  decoding: Decoding,
  found: FoundFiles,
  labels: Labels | undefined,
  cache: string | undefined,
  context: OpenContext,
): Promise<Dataset> {
  if (cache === undefined) return decodeAll(decoding, found, labels, context);
  const key = await keyOf(decoding, found, labels);
  if ((await cachedKey(dataFile(context.baseDirectory, cache))) !== key) {
    const decoded = await decodeAll(decoding, found, labels, context);
    try {
      await saveDataset(decoded, resolve(context.baseDirectory, cache), { [keyName]: key });
    } finally {
      await decoded.close();
    }
  }
  return safetensors(cache).open(context);
}

async function decodeAll(
  { name, typeFor, decode, atOnce }: Decoding,
  { files }: FoundFiles,
  labels: Labels | undefined,
  context: OpenContext,
): Promise<Dataset> {
  const type = await typeFor(files[0]!);
  const label: Record<string, ColumnType> = labels === undefined ? {} : { label: { dtype: "int32", shape: [] } };
  const spool = new RowSpool({ [name]: type, ...label }, context.memoryBytes);
  try {
    const waiting: Promise<Uint8Array>[] = [];
    let next = 0;
    for (let row = 0; row < files.length; row++) {
      for (; next < files.length && next < row + atOnce; next++) {
        const decoded = decode(files[next]!, type);
        decoded.catch(() => {}); // the first that fails, in the order of rows, is the one to be told
        waiting.push(decoded);
      }
      spool.append(name, await waiting.shift()!);
      if (labels !== undefined) spool.put("label", 0, labels.numbers[row]!);
      spool.finishRow();
    }
    return await spool.finish();
  } catch (error) {
    spool.discard();
    throw error;
  }
}

/** In the metadata of a cache. */
const keyName = "tutti.source";

async function keyOf({ settings }: Decoding, { files }: FoundFiles, labels: Labels | undefined): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify(settings));
  for (const [row, file] of files.entries()) {
    const { size, mtimeMs } = await stat(file.resolved).catch(() => {
      throw new TuttiError("DATA_MISSING", `${file.given}: no such file (looked for ${file.resolved})`, { ...file });
    });
    hash.update(JSON.stringify([file.given, size, mtimeMs, labels?.numbers[row] ?? null]));
  }
  return hash.digest("hex");
}

/** What a cache was made from; undefined where there is none that can be used. */
async function cachedKey(file: DataFile): Promise<string | undefined> {
  try {
    const start = await openStart(file, 8);
    try {
      return (await readHeader(file, start)).metadata[keyName];
    } finally {
      await start.open.close();
    }
  } catch (error) {
    if (isTuttiError(error) && (error.code === "DATA_MISSING" || error.code === "CHECKPOINT_INVALID")) return undefined;
    throw error;
  }
}

/** A file's content. Throws DATA_MISSING, DATA_INVALID. */
export async function contentOf(file: DataFile): Promise<Buffer> {
  try {
    return await readFile(file.resolved);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT")
      throw new TuttiError("DATA_MISSING", `${file.given}: no such file (looked for ${file.resolved})`, { ...file });
    throw new TuttiError("DATA_INVALID", `${file.given}: cannot be read (${code}, ${file.resolved})`, { ...file });
  }
}
