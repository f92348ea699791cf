import { type ChildProcess, fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline";
import type { DataPlaces } from "@tutti/core/data";
import { TuttiError } from "@tutti/core/errors";
import { SharedFile } from "@tutti/core/wire";
import { localWorkerFile } from "./own-package.ts";

export interface LocalWorkersOptions {
  readonly url: string;
  readonly token: string;
  readonly lanes: number;
  /** Data sets that they read for themselves. */
  readonly data: DataPlaces;
  /** Memory for the columns of each of these; undefined: what workers take by default. */
  readonly dataMemoryBytes: number | undefined;
  readonly log: (line: string) => void;
  /** True once the run has ended, when workers end by themselves. */
  readonly isOver: () => boolean;
  /** Called when workers keep failing: nothing more is started. */
  readonly failed: (error: TuttiError) => void;
}

/**
 * A worker's numbers lie outside of V8's heap, which needs no room for tens of MB of new objects, nor a thread for each core to
 * clean up after them.
 */
const leanFlags = ["--max-semi-space-size=1", "--v8-pool-size=1"];

/** Its place behind standard input, output, error and the IPC channel. */
const inheritedDescriptor = 4;

/** How often a worker's place is filled again, and how long one must have lived for its end not to count. */
const maxRestarts = 5;
const healthyMs = 10_000;

/** How long processes have to end by themselves when their run is over. */
export const endGraceMs = 3000;

/**
 * Worker processes of this machine. One that dies is started again; its IPC channel tells it when this process is gone.
 */
export class LocalWorkers {
  readonly #options: LocalWorkersOptions;
  readonly #children = new Set<ChildProcess>();
  /** What is shared with the children that live, by the name that they are told. */
  readonly #sharedFiles = new Map<string, SharedFile>();
  #isClosing = false;
  #nextPlace = 1;

  constructor(options: LocalWorkersOptions) {
    this.#options = options;
  }

  /** Process ids of those running. */
  get pids(): readonly number[] {
    return [...this.#children].flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
  }

  /** Ends a process of ours that makes no progress; another takes its place. */
  kill(pid: number): void {
    for (const child of this.#children) if (child.pid === pid) child.kill("SIGKILL");
  }

  sharedFile(name: string): SharedFile | undefined {
    return this.#sharedFiles.get(name);
  }

  start(count: number): void {
    for (let i = 0; i < count; i++) this.#start(`worker ${this.#nextPlace++}`, 0);
  }

  /** Waits for all to end by themselves, which they do when the run is over; kills those that do not within `graceMs`. */
  async close(graceMs = endGraceMs): Promise<void> {
    this.#isClosing = true;
    // "exit", for "close" does not come after a disconnect() of this side.
    const alive = [...this.#children].filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
    const ended = alive.map((child) => new Promise<void>((resolve) => child.once("exit", () => resolve())));
    for (const child of this.#children) if (child.connected) child.disconnect();
    const timer = setTimeout(() => {
      for (const child of this.#children) child.kill("SIGKILL");
    }, graceMs);
    await Promise.all(ended);
    clearTimeout(timer);
  }

  #start(place: string, failures: number): void {
    const { url, token, lanes, data, dataMemoryBytes, log, failed, isOver } = this.#options;
    const startedMs = performance.now();
    let reported: { code: string; message: string } | undefined;
    const file = SharedFile.create();
    const name = randomUUID();
    if (file !== undefined) this.#sharedFiles.set(name, file);
    const child = fork(localWorkerFile, [], {
      env: {
        MALLOC_ARENA_MAX: String(1 + lanes), // glibc keeps what is freed for each of up to 8 times as many as there are cores
        ...process.env,
        TUTTI_URL: url,
        TUTTI_TOKEN: token,
        TUTTI_LANES: String(lanes),
        TUTTI_DATA: JSON.stringify(data),
        ...(dataMemoryBytes === undefined ? {} : { TUTTI_DATA_MEMORY: String(dataMemoryBytes) }),
        ...(file === undefined ? {} : { TUTTI_SHARED_FILE: `${name} ${inheritedDescriptor}` }),
      },
      execArgv: [...process.execArgv, ...leanFlags],
      stdio: ["ignore", "pipe", "pipe", "ipc", file === undefined ? "ignore" : file.descriptor],
      detached: false,
    });
    this.#children.add(child);
    for (const stream of [child.stdout, child.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on("line", (line) => log(`${place}: ${line}`));
    }
    child.on("message", (message) => {
      if (isReport(message)) reported = message;
    });
    child.on("error", (error) => log(`${place}: ${error.message}`));
    child.on("close", (code, signal) => {
      this.#children.delete(child);
      this.#sharedFiles.delete(name);
      file?.close();
      if (this.#isClosing || isOver()) return;
      if (reported?.code === "DRAINED") {
        log(`${place} was drained and is not started again`);
        return;
      }
      if (reported?.code === "QUARANTINED") {
        log(`${place} computes wrong and is not started again`);
        if (this.#children.size === 0)
          failed(new TuttiError("WORKER_FAILED", `${place} was the last worker: ${reported.message}`));
        return;
      }
      const why = reported?.message ?? (signal === null ? `exit code ${code}` : signal);
      const failuresNow = performance.now() - startedMs > healthyMs ? 1 : failures + 1;
      if (failuresNow > maxRestarts || reported !== undefined) {
        failed(new TuttiError("WORKER_FAILED", `${place} could not work: ${why}`));
        return;
      }
      log(`${place} ended (${why}); starting another`);
      this.#start(place, failuresNow);
    });
  }
}

function isReport(message: unknown): message is { code: string; message: string } {
  return (
    typeof message === "object" &&
    message !== null &&
    "code" in message &&
    "message" in message &&
    typeof message.message === "string"
  );
}
