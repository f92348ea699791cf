import { randomUUID } from "node:crypto";
import { constants, copyFileSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { TuttiError } from "../errors/index.ts";
import { outputNotWritable } from "./output-error.ts";
import { mayBeAlive, ownIdentity } from "./process-identity.ts";

/** A lock that is held. */
export interface DirectoryLock {
  readonly path: string;
  /** Gives the directory free. Repeating it does nothing; the end of the process does it too. */
  release(): void;
}

const recordSchema = v.object({
  host: v.string(),
  pid: v.pipe(v.number(), v.integer(), v.minValue(1)),
  started: v.string(),
  token: v.pipe(v.string(), v.uuid()),
});
type LockRecord = v.InferOutput<typeof recordSchema>;

const lockName = "tutti.lock";

/**
 * Locks an output directory for this process; makes the directory. A lock whose process is gone from this host is taken
 * over; any other is refused.
 *
 * A record is made whole and put in place by link(2), which fails where there is one. A dead record is never removed
 * by who finds it (two could find it): its successor is the file named after its token, made the same way, so one
 * process wins. The holder is the end of this chain; it then puts itself at the chain's start.
 *
 * Throws OUTPUT_LOCKED (naming pid and host), OUTPUT_NOT_WRITABLE.
 */
export function lockDirectory(directory: string): DirectoryLock {
  const record: LockRecord = { ...ownIdentity(), token: randomUUID() };
  const path = join(directory, lockName);
  const draft = join(directory, `${lockName}.new-${record.token}`);
  try {
    mkdirSync(directory, { recursive: true });
    writeFileSync(draft, JSON.stringify(record), { flag: "wx" });
  } catch (error) {
    throw outputNotWritable(directory, error);
  }
  try {
    while (!tryChain(path, draft)) {
      // Each turn means that another process took or gave up the lock in between.
    }
  } catch (error) {
    throw error instanceof TuttiError ? error : outputNotWritable(directory, error);
  } finally {
    rmSync(draft, { force: true });
  }
  return heldLock(path, record);
}

/** @returns false when the chain changed while it was walked. */
function tryChain(path: string, draft: string): boolean {
  const start = readRecord(path);
  const walked: string[] = [];
  let place = path;
  for (let holder = start; holder !== undefined; holder = readRecord(place)) {
    if (mayBeAlive(holder)) throw locked(path, holder);
    place = `${path}.${holder.token}`;
    walked.push(place);
  }
  if (!placeRecord(draft, place)) return false;
  if (start === undefined) return true;
  if (readRecord(path)?.token !== start.token) {
    // The one who held the chain's end has moved to its start and tidied up, so this was no end any more.
    rmSync(place, { force: true });
    return false;
  }
  renameSync(draft, path);
  for (const passed of walked) rmSync(passed, { force: true });
  return true;
}

/** @returns false when there is a record at this place. */
function placeRecord(draft: string, place: string): boolean {
  try {
    linkSync(draft, place);
    return true;
  } catch (error) {
    if (hasCode(error, "EEXIST")) return false;
  }
  try {
    // No links on this file system. A reader may see this record half-written; it then takes it for a lock that is held.
    copyFileSync(draft, place, constants.COPYFILE_EXCL);
    return true;
  } catch (error) {
    if (hasCode(error, "EEXIST")) return false;
    throw error;
  }
}

function hasCode(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException).code === code;
}

function readRecord(path: string): LockRecord | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw error;
  }
  const result = v.safeParse(v.pipe(v.string(), v.parseJson(), recordSchema), text);
  if (result.success) return result.output;
  throw new TuttiError("OUTPUT_LOCKED", `${path} cannot be read as a lock; delete it if no run uses this directory`, {
    path,
  });
}

function heldLock(path: string, record: LockRecord): DirectoryLock {
  const release = () => {
    process.off("exit", release);
    try {
      if (readRecord(path)?.token === record.token) rmSync(path, { force: true });
    } catch {
      // Nobody listens at the end of a process; the record of a dead process is taken over anyway.
    }
  };
  process.on("exit", release);
  return { path, release };
}

function locked(path: string, holder: LockRecord): TuttiError {
  const advice = `wait for it, stop it, or choose another output directory (delete ${path} if it is long gone)`;
  return new TuttiError(
    "OUTPUT_LOCKED",
    `process ${holder.pid} on ${holder.host} uses this output directory: ${advice}`,
    {
      path,
      pid: holder.pid,
      host: holder.host,
    },
  );
}
