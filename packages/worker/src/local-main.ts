// Entry of a worker process that `tutti train` starts on its own machine: what to join comes over the IPC channel, which
// closes when the parent is gone. Until then the engine is loaded.
import { setImmediate } from "node:timers/promises";
import type { DataPlaces } from "@tutti/core/data";
import { isTuttiError } from "@tutti/core/errors";
import { type Arena, MemoryFile } from "@tutti/core/memory";
import { SharedBlocks, SharedFile } from "@tutti/core/wire";
import { openComputing, runWorker } from "./run-worker.ts";

/** What the parent says once its coordinator listens. */
interface ToJoin {
  readonly url: string;
  readonly token: string;
  readonly data: DataPlaces;
  readonly dataMemoryBytes?: number;
  /** The coordinator's shared blocks are seen where they are, and it sees those of this process. */
  readonly sharesMemory: boolean;
}

const { TUTTI_LANES: lanes = "1", TUTTI_SHARED_FILE: sharedFile, TUTTI_SHARED_MEMORY: sharedMemory } = process.env;
/** "NAME DESCRIPTOR" of a file that the parent has opened. */
const [, name, descriptor] = /^(\S+) (\d+)$/.exec(sharedFile ?? "") ?? [];
const leaving = new AbortController();
// Ctrl-C reaches the whole process group: the parent finishes its step, and this worker is needed for it.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => leaving.abort());
process.on("disconnect", () => {
  leaving.abort();
  setTimeout(() => process.exit(1), 2000).unref(); // a lane in the middle of a long shard may not answer
});
try {
  const joining = told();
  const computing = openComputing(Number(lanes));
  await setImmediate(); // the lanes' threads are started: they take longer than what follows
  const files = memoryFiles();
  const { url, token, data, dataMemoryBytes, sharesMemory } = await joining;
  const blocks = sharesMemory && files !== undefined ? share(computing.memory.arena, files) : undefined;
  const file = new SharedFile(Number(descriptor), "child", blocks);
  const log = (line: string): void => console.error(line);
  const { code, message } = await runWorker({
    url,
    token,
    lanes: Number(lanes),
    computing,
    data,
    dataMemoryBytes,
    ...(name === undefined ? {} : { shared: { name, file } }),
    signal: leaving.signal,
    log,
  });
  if (code === "DRAINED" && process.connected)
    process.send?.({ code, message }, undefined, undefined, () => process.disconnect());
  else if (process.connected) process.disconnect();
} catch (error) {
  const report = {
    code: isTuttiError(error) ? error.code : "INTERNAL",
    message: error instanceof Error ? error.message : String(error),
  };
  process.exitCode = 1;
  if (report.code === "LANE_HUNG") process.exit(1); // a thread that computes cannot be ended otherwise
  if (process.connected) process.send?.(report, undefined, undefined, () => process.disconnect());
}

/** Ends the process if it is to leave before the parent has said anything: nothing is under way. */
function told(): Promise<ToJoin> {
  return new Promise((resolve) => {
    const end = (): never => process.exit(0);
    if (!process.connected) end(); // while this was loaded
    leaving.signal.addEventListener("abort", end, { once: true });
    process.once("message", (message) => {
      leaving.signal.removeEventListener("abort", end);
      resolve(message as ToJoin);
    });
  });
}

/** "OWN COORDINATORS": descriptors of what the parent has opened. */
function memoryFiles(): { readonly own: MemoryFile; readonly coordinators: MemoryFile } | undefined {
  const [, ownDescriptor, theirs] = /^(\d+) (\d+)$/.exec(sharedMemory ?? "") ?? [];
  if (ownDescriptor === undefined) return undefined;
  const own = MemoryFile.inherited(Number(ownDescriptor));
  const coordinators = MemoryFile.inherited(Number(theirs));
  return own && coordinators && { own, coordinators };
}

/** From now on the arena's shared blocks lie in this process's own file. */
function share(arena: Arena, { own, coordinators }: NonNullable<ReturnType<typeof memoryFiles>>): SharedBlocks {
  arena.shareBlocks((pages) => own.layOver(arena.memory, pages));
  return new SharedBlocks(arena, coordinators);
}
