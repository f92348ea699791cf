import { type ChildProcess, fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline";
import type { DataPlaces } from "@tutti/core/data";
import { TuttiError } from "@tutti/core/errors";
import { Arena, MemoryFile } from "@tutti/core/memory";
import { SharedBlocks, SharedFile } from "@tutti/core/wire";
import { compileCacheFolder } from "./compile-cache.ts";
import { localWorkerFile } from "./own-package.ts";

/** What they join. */
export interface LocalRun {
  readonly url: string;
  readonly token: string;
  /** Data sets that they read for themselves. */
  readonly data: DataPlaces;
  /** Memory for the columns of each of these; undefined: what workers take by default. */
  readonly dataMemoryBytes: number | undefined;
  /** The coordinator computes in these processes' `arena`, and they see its shared blocks where they are; false: they are sent copies. */
  readonly sharesMemory: boolean;
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

/** Places behind standard input, output, error and the IPC channel: the ring, the worker's memory, the coordinator's. */
const inherited = { ring: 4, own: 5, coordinators: 6 } as const;

/** How often a worker's place is filled again, and how long one must have lived for its end not to count. */
const maxRestarts = 5;
const healthyMs = 10_000;

/** How long processes have to end by themselves when their run is over. */
export const endGraceMs = 3000;

/**
 * Worker processes of this machine. They are started before there is anything to join, so that they load their code and the engine
 * while this process reads the run. One that dies is started again; its IPC channel tells it what to join and when this
 * process is gone.
 */
export class LocalWorkers {
  /** Whose shared blocks they can see; undefined where there is no memory that processes share. */
  readonly arena: Arena | undefined;
  readonly #file: MemoryFile | undefined;
  readonly #lanes: number;
  readonly #children = new Set<ChildProcess>();
  /** What is shared with the children that live, by the name that they are told. */
  readonly #sharedFiles = new Map<string, SharedFile>();
  #run: LocalRun | undefined;
  /** What happened before there was a run to tell. */
  #failure: TuttiError | undefined;
  readonly #lines: string[] = [];
  #isClosing = false;
  #nextPlace = 1;

  /** @param lanes computing threads of each. */
  static start(count: number, lanes: number): LocalWorkers {
    const workers = new LocalWorkers(lanes);
    workers.start(count);
    return workers;
  }

  /** @param lanes computing threads of each. */
  constructor(lanes: number) {
    this.#lanes = lanes;
    const file = MemoryFile.create();
    if (file === undefined) return;
    const arena = new Arena();
    arena.shareBlocks((pages) => file.layOver(arena.memory, pages));
    this.arena = arena;
    this.#file = file;
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

  /** Tells all of them, and those that take the places of others, what to join. To be called once. */
  join(run: LocalRun): void {
    this.#run = run;
    for (const line of this.#lines) run.log(line);
    if (this.#failure !== undefined) run.failed(this.#failure);
    for (const child of this.#children) tell(child, run);
  }

  /** Waits for all to end by themselves, which they do when the run is over; kills those that do not within `graceMs`. */
  async close(graceMs = endGraceMs): Promise<void> {
    if (!this.#isClosing) this.#file?.close(); // what is mapped stays
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
    const log = (line: string): void => this.#log(line);
    const startedMs = performance.now();
    let reported: { code: string; message: string } | undefined;
    const shared = this.#shareWithOne();
    const name = randomUUID();
    if (shared !== undefined) this.#sharedFiles.set(name, shared.file);
    const child = fork(localWorkerFile, [], {
      env: {
        MALLOC_ARENA_MAX: String(1 + this.#lanes), // glibc keeps what is freed for each of up to 8 times as many as there are cores
        ...process.env,
        NODE_COMPILE_CACHE: compileCacheFolder(),
        TUTTI_LANES: String(this.#lanes),
        ...(shared === undefined ? {} : { TUTTI_SHARED_FILE: `${name} ${inherited.ring}` }),
        ...(shared === undefined || shared.descriptors.length === 1
          ? {}
          : { TUTTI_SHARED_MEMORY: `${inherited.own} ${inherited.coordinators}` }),
      },
      execArgv: [...process.execArgv, ...leanFlags],
      stdio: ["ignore", "pipe", "pipe", "ipc", ...(shared?.descriptors ?? [])],
      detached: false,
    });
    this.#children.add(child);
    if (this.#run !== undefined) tell(child, this.#run);
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
      shared?.file.close();
      if (this.#isClosing || this.#run?.isOver()) return;
      if (reported?.code === "DRAINED") {
        log(`${place} was drained and is not started again`);
        return;
      }
      if (reported?.code === "QUARANTINED") {
        log(`${place} computes wrong and is not started again`);
        if (this.#children.size === 0)
          this.#failed(new TuttiError("WORKER_FAILED", `${place} was the last worker: ${reported.message}`));
        return;
      }
      const why = reported?.message ?? (signal === null ? `exit code ${code}` : signal);
      const failuresNow = performance.now() - startedMs > healthyMs ? 1 : failures + 1;
      if (failuresNow > maxRestarts || reported !== undefined) {
        this.#failed(new TuttiError("WORKER_FAILED", `${place} could not work: ${why}`));
        return;
      }
      log(`${place} ended (${why}); starting another`);
      this.#start(place, failuresNow);
    });
  }

  /** What one child shares with this process, and the descriptors that it inherits for it, in the order of `inherited`. */
  #shareWithOne(): { readonly file: SharedFile; readonly descriptors: readonly number[] } | undefined {
    const own = this.#file === undefined ? undefined : MemoryFile.create();
    if (this.arena === undefined || this.#file === undefined || own === undefined) {
      const file = SharedFile.create();
      return file && { file, descriptors: [file.descriptor] };
    }
    const file = SharedFile.create(new SharedBlocks(this.arena, own));
    if (file === undefined) own.close();
    return file && { file, descriptors: [file.descriptor, own.descriptor, this.#file.descriptor] };
  }

  #log(line: string): void {
    if (this.#run === undefined) this.#lines.push(line);
    else this.#run.log(line);
  }

  #failed(error: TuttiError): void {
    this.#failure = error;
    this.#run?.failed(error);
  }
}

/** A child that has just died cannot be told; its "close" says so. */
function tell(child: ChildProcess, { url, token, data, dataMemoryBytes, sharesMemory }: LocalRun): void {
  if (child.connected) child.send({ url, token, data, dataMemoryBytes, sharesMemory }, () => {});
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
