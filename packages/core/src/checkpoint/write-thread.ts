import { rmSync } from "node:fs";
import { linkDurably, writeDurably } from "./durable-file.ts";
import { encodeSnapshot, type Snapshot } from "./snapshot.ts";

/** What the store asks of its writing thread. */
export interface WriteJob {
  readonly snapshot: Snapshot;
  /** The file to write. */
  readonly path: string;
  /** A second name for the same content. */
  readonly alsoAs: string | undefined;
  /** Older files, removed once the new one is safe. */
  readonly thenRemove: readonly string[];
}

export type WriteResult =
  | { readonly kind: "written"; readonly bytes: number }
  | { readonly kind: "failed"; readonly reason: string };

/** Entry of the writing thread: hashes, writes, syncs and renames; errors come back as text. */
export function write(job: WriteJob): WriteResult {
  try {
    const { header, data } = encodeSnapshot(job.snapshot);
    writeDurably(job.path, [header, ...data]);
    if (job.alsoAs !== undefined) linkDurably(job.path, job.alsoAs);
    for (const path of job.thenRemove) removeOutdated(path);
    return { kind: "written", bytes: data.reduce((sum, part) => sum + part.byteLength, header.byteLength) };
  } catch (error) {
    return { kind: "failed", reason: error instanceof Error ? error.message : String(error) };
  }
}

function removeOutdated(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // The new checkpoint is safe, which is what was asked for; the next save tries again.
  }
}
