// Entry of a worker process that `tutti train` starts on its own machine: what to join comes in the environment, and
// the IPC channel closes when the parent is gone.
import type { DataPlaces } from "@tutti/core/data";
import { isTuttiError } from "@tutti/core/errors";
import { SharedFile } from "@tutti/core/wire";
import { runWorker } from "./run-worker.ts";

const { TUTTI_URL: url = "", TUTTI_TOKEN: token, TUTTI_LANES: lanes = "1", TUTTI_DATA: data = "{}" } = process.env;
const { TUTTI_SHARED_FILE: sharedFile, TUTTI_DATA_MEMORY: dataMemory } = process.env;
/** "NAME DESCRIPTOR" of a file that the parent has opened. */
const [, name, descriptor] = /^(\S+) (\d+)$/.exec(sharedFile ?? "") ?? [];
const shared = name === undefined ? undefined : { name, file: new SharedFile(Number(descriptor), "child") };
const leaving = new AbortController();
// Ctrl-C reaches the whole process group: the parent finishes its step, and this worker is needed for it.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => leaving.abort());
process.on("disconnect", () => {
  leaving.abort();
  setTimeout(() => process.exit(1), 2000).unref(); // a lane in the middle of a long shard may not answer
});
try {
  const log = (line: string): void => console.error(line);
  const { code, message } = await runWorker({
    url,
    token,
    lanes: Number(lanes),
    data: JSON.parse(data) as DataPlaces,
    dataMemoryBytes: dataMemory === undefined ? undefined : Number(dataMemory),
    ...(shared === undefined ? {} : { shared }),
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
