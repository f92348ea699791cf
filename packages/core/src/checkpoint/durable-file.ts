import { closeSync, copyFileSync, fsyncSync, linkSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/** Ending of files that are being written; one left behind by a killed process is no checkpoint and can be removed. */
export const temporaryEnding = ".tmp";

const writeBytes = 16 * 1024 * 1024;

/**
 * Writes a file that is there whole or not at all, even when the power fails: temporary file in the same folder, fsync,
 * rename, fsync of the folder. Blocks: for the writing thread. On an error nothing is left behind and it is thrown.
 */
export function writeDurably(path: string, parts: readonly Uint8Array[]): void {
  replaceDurably(path, (temporary) => {
    const file = openSync(temporary, "w");
    try {
      for (const part of parts) writeFully(file, part);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  });
}

/** Makes `path` the same file as `existing`, which must never be written to again; a copy where links do not exist. */
export function linkDurably(existing: string, path: string): void {
  replaceDurably(path, (temporary) => {
    rmSync(temporary, { force: true });
    try {
      linkSync(existing, temporary);
    } catch {
      copyFileSync(existing, temporary);
      syncPath(temporary, "r+");
    }
  });
}

function replaceDurably(path: string, write: (temporary: string) => void): void {
  const temporary = path + temporaryEnding;
  try {
    write(temporary);
    renameSync(temporary, path);
  } catch (error) {
    removeQuietly(temporary);
    throw error;
  }
  // Windows cannot open folders, and its renames are journaled.
  if (process.platform !== "win32") syncPath(dirname(path), "r");
}

function writeFully(file: number, bytes: Uint8Array): void {
  for (let from = 0; from < bytes.byteLength; ) {
    from += writeSync(file, bytes, from, Math.min(writeBytes, bytes.byteLength - from));
  }
}

function syncPath(path: string, flags: string): void {
  const handle = openSync(path, flags);
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function removeQuietly(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // The first error says more; an unremovable temporary file is never read.
  }
}
