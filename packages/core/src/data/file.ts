import { type FileHandle, open } from "node:fs/promises";
import { resolve } from "node:path";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { TuttiError } from "../errors/index.ts";

/** A data file by the path the user wrote; messages show that one. */
export interface DataFile {
  readonly given: string;
  readonly resolved: string;
}

export function dataFile(baseDirectory: string, path: string): DataFile {
  return { given: path, resolved: resolve(baseDirectory, path) };
}

/** Opens a data file for reading. Throws DATA_MISSING when it is not there, DATA_INVALID when it is no readable file. */
export async function openDataFile(file: DataFile): Promise<FileHandle> {
  try {
    const handle = await open(file.resolved, "r");
    if ((await handle.stat()).isFile()) return handle;
    await handle.close();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") {
      throw new TuttiError("DATA_MISSING", `${file.given}: no such file (looked for ${file.resolved})`, { ...file });
    }
    throw new TuttiError("DATA_INVALID", `${file.given}: cannot be read (${code}, ${file.resolved})`, { ...file });
  }
  throw new TuttiError("DATA_INVALID", `${file.given}: expected a file, found a folder or device`, { ...file });
}

/** A parser takes a chunk in one turn of the event loop: 2 ms at 130 MB/s, so that heartbeats come in between. */
const chunkBytes = 256 * 1024;

const gzipMagic = [0x1f, 0x8b] as const;

/** True for a file that starts so: with gzip's magic number. */
export function isGzip(start: Uint8Array): boolean {
  return start[0] === gzipMagic[0] && start[1] === gzipMagic[1];
}

/** The file's bytes as a stream, decompressed when it starts with gzip's magic number (RFC 1952). Closes the handle. */
export async function readStream(handle: FileHandle): Promise<Readable> {
  const magic = new Uint8Array(2);
  await handle.read(magic, 0, 2, 0);
  const raw = handle.createReadStream({ start: 0, highWaterMark: chunkBytes });
  if (!isGzip(magic)) return raw;
  const gunzip = createGunzip({ chunkSize: chunkBytes });
  raw.on("error", (error) => gunzip.destroy(error));
  gunzip.on("close", () => raw.destroy());
  return raw.pipe(gunzip);
}

/** Says in the user's words why reading a stream failed: a damaged archive or a disk error. */
export function readFailure(file: DataFile, error: unknown): TuttiError {
  const reason = error instanceof Error ? error.message : String(error);
  return new TuttiError("DATA_INVALID", `${file.given}: cannot be read to its end: ${reason}`, { ...file });
}
