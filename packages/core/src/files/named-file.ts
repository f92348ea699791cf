import { readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, isAbsolute, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { isTuttiError, TuttiError } from "../errors/index.ts";
import type { ExternalData } from "../graph/index.ts";

/**
 * Reads a file that a run file names. A relative path starts from the folder of the file that called `caller`, or from the
 * current folder when that cannot be told.
 *
 * @param caller the function of ours that the run file called; its frame is left out.
 * @throws TuttiError DATA_MISSING when there is none, DATA_INVALID when it is no file or larger than `maxBytes`.
 */
export function readNamedFile(
  path: string | URL,
  caller: (...args: never[]) => unknown,
  maxBytes: number,
): { bytes: Buffer; resolved: string } {
  const resolved =
    typeof path === "string" ? resolve(isAbsolute(path) ? "/" : folderOf(caller), path) : fileURLToPath(path);
  const bytes = readRegular(resolved, String(path), maxBytes);
  return { bytes, resolved };
}

function readRegular(resolved: string, given: string, maxBytes: number): Buffer {
  try {
    const found = statSync(resolved);
    if (!found.isFile())
      throw new TuttiError("DATA_INVALID", `${given}: expected a file, found a folder or device (${resolved})`);
    if (found.size > maxBytes) {
      throw new TuttiError(
        "DATA_INVALID",
        `${given}: the file has ${found.size} bytes, allowed are ${maxBytes}; raise maxBytes if it is to be trusted`,
      );
    }
    return readFileSync(resolved);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "ENOTDIR") {
      throw new TuttiError("DATA_MISSING", `${given}: no such file (looked for ${resolved})`, {}, { cause: error });
    }
    if (isTuttiError(error)) throw error;
    throw new TuttiError(
      "DATA_INVALID",
      `${given}: cannot be read (${String(code)}, ${resolved})`,
      {},
      { cause: error },
    );
  }
}

/** Folder of the file whose code called `caller`. */
function folderOf(caller: (...args: never[]) => unknown): string {
  const holder: { stack?: string } = {};
  Error.captureStackTrace(holder, caller);
  const frame = (holder.stack ?? "").split("\n").find((line) => /^\s+at /.test(line));
  const place = frame && /\(?((?:file:\/\/)?\/[^()]+?|[A-Za-z]:\\[^()]+?):\d+:\d+\)?$/.exec(frame)?.[1];
  if (!place) return process.cwd();
  return dirname(place.startsWith("file://") ? fileURLToPath(place) : place);
}

/**
 * Reads what a model stores in other files: inside the model's own folder only, links resolved, and never more than
 * declared, `maxBytes` in all.
 *
 * @param modelPath the model's file, resolved.
 * @returns the reader; it throws GRAPH_INVALID for another place, and for a piece that the file does not have.
 */
export function externalReader(
  modelPath: string,
  maxBytes: number,
): (data: ExternalData, byteLength: number) => Uint8Array {
  const folder = realpathSync(dirname(modelPath));
  const files = new Map<string, Buffer>();
  let total = 0;
  return ({ location, offset, length }, byteLength) => {
    const path = insideOf(folder, location);
    let file = files.get(path);
    if (file === undefined) {
      file = readRegular(path, location, maxBytes - total);
      total += file.byteLength;
      files.set(path, file);
    }
    if ((length ?? byteLength) !== byteLength || offset + byteLength > file.byteLength) {
      throw new TuttiError(
        "GRAPH_INVALID",
        `${location}: a tensor of ${byteLength} bytes is said to be ${length ?? "the rest"} bytes at ${offset}; the file has ${file.byteLength}`,
      );
    }
    return file.subarray(offset, offset + byteLength);
  };
}

function insideOf(folder: string, location: string): string {
  const refused = new TuttiError(
    "GRAPH_INVALID",
    `the model keeps data in "${location}"; expected a file in its own folder`,
    { location },
  );
  if (location === "" || isAbsolute(location) || location.includes("\0")) throw refused;
  const wanted = resolve(folder, location);
  const isInside = (path: string): boolean => {
    const way = relative(folder, path);
    return way !== "" && way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way);
  };
  if (!isInside(wanted)) throw refused;
  let real: string;
  try {
    real = realpathSync(wanted);
  } catch (cause) {
    throw new TuttiError(
      "DATA_MISSING",
      `${location}: no such file beside the model (looked for ${wanted})`,
      {},
      { cause },
    );
  }
  if (!isInside(real)) throw refused;
  return real;
}
