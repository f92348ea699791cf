import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { setTimeout as delay, setImmediate } from "node:timers/promises";
import { systemClock } from "@tutti/core/clock";
import type { DataPlaces, Dataset } from "@tutti/core/data";
import { engineName, type Lanes, numericClass, openLanes } from "@tutti/core/engine";
import { isTuttiError, TuttiError } from "@tutti/core/errors";
import { type ComputeMemory, computeMemory } from "@tutti/core/kernels";
import { type ConnectOptions, connect } from "./connect.ts";
import { CoordinatorRules, KnownRun } from "./coordinator-rules.ts";
import type { GraphCheck } from "./graph-check.ts";
import { SocketPeers } from "./mesh/socket-peers.ts";
import { drainMs, Worker } from "./worker.ts";
import { WorkerMemory } from "./worker-memory.ts";
import type { Parting } from "./worker-parts.ts";

/** What computes, the memory that it computes in, and what checks graphs before they are computed. */
export interface Computing {
  readonly memory: ComputeMemory;
  readonly lanes: Promise<Lanes>;
  readonly graphCheck: Promise<GraphCheck>;
}

export interface RunWorkerOptions {
  readonly url: string;
  readonly lanes: number;
  /** Opened already, with as many lanes, by who did not know the url yet. */
  readonly computing?: Computing;
  readonly token?: string | undefined;
  /** For wss: certificates (PEM) to trust instead of the system's. */
  readonly ca?: string | undefined;
  /** How long to keep trying to reach a coordinator, at first and after losing it. */
  readonly retryForMs?: number;
  /** Data sets that this worker has for itself: relative paths start from the working directory. */
  readonly data?: DataPlaces;
  /** Memory for the columns of each of them; the rest is read from the files, by position. 256 MiB by default. */
  readonly dataMemoryBytes?: number | undefined;
  /** What this process shares with the coordinator's, which started it. */
  readonly shared?: ConnectOptions["shared"];
  /** Where to listen for other workers, if the run wants them to exchange sums; loopback and any free port by default. */
  readonly peerHost?: string | undefined;
  readonly peerPort?: number | undefined;
  readonly signal?: AbortSignal;
  readonly log: (message: string) => void;
}

/** Largest graph taken from a coordinator. */
const graphLimits = { maxBytes: 1 << 28, maxNodes: 1_000_000 };

export const connectMs = { timeoutMs: 5000, firstMessageMs: 30_000, afterGoodbyeMs: 5000 };

/** How long a worker tries to reach a coordinator, at first and after losing it. */
export const defaultRetryMs = 30_000;

/** How long the engine may take to start: seconds where it is read from a slow disk. */
export const openingMs = 60_000;

/** Memberships in a row that may end because the coordinator broke the protocol, or handling what it said failed. */
const mostBrokenMemberships = 5;

/** Begins to start lanes; that they cannot be (ENGINE_MISSING, BAD_OPTION), the worker says that uses them. */
export function openComputing(count: number): Computing {
  const memory = computeMemory();
  const lanes = openLanes({ arena: memory.arena, count });
  lanes.catch(() => {});
  return { memory, lanes, graphCheck: loadGraphCheck() };
}

async function loadGraphCheck(): Promise<GraphCheck> {
  await setImmediate(); // lanes' threads are started first: they take longest
  const { graphCheck } = await import("./graph-check.ts");
  return graphCheck;
}

/**
 * Works for the coordinator at `url` until its run is over; reconnects with backoff when the connection is lost.
 * Throws UNREACHABLE after `retryForMs` without success, UNAUTHORIZED, TLS_FAILED, GRAPH_INVALID, PROTOCOL at once from what is no coordinator
 * and after breaking it five times in a row from one that is, what a refusal says, and LANE_HUNG: then the process cannot
 * end by itself and must be made to.
 */
export async function runWorker(options: RunWorkerOptions): Promise<Parting> {
  const { url, token, ca, shared, signal, log, retryForMs = defaultRetryMs } = options;
  // Before connecting: a large set takes its time, and a coordinator does not wait for a greeting.
  const data = await openedPlaces(options.data, options.dataMemoryBytes);
  const computing = options.computing ?? openComputing(options.lanes);
  const memory = new WorkerMemory(computing.memory);
  const known = new KnownRun();
  const peers = new SocketPeers({
    host: options.peerHost ?? "127.0.0.1",
    port: options.peerPort ?? 0,
    memory: computing.memory,
  });
  const connectOnce = () =>
    connect({ url, token, ca, shared, memory: computing.memory, rules: new CoordinatorRules(known), ...connectMs });
  // Connecting while the engine loads: both take their time.
  const firstConnection = connectOnce();
  firstConnection.catch(() => {});
  const lanes = await unlessHung(computing.lanes, "starting", openingMs, signal);
  const check = await computing.graphCheck;
  const instance = randomUUID();
  let isHung = false;
  try {
    let triedSinceMs = performance.now();
    let pauseMs = 100;
    let broken = 0;
    let connecting: ReturnType<typeof connect> | undefined = firstConnection;
    for (;;) {
      if (signal?.aborted) return { kind: "over", code: "LEFT", message: "interrupted" };
      try {
        const connection = await (connecting ?? connectOnce());
        connecting = undefined;
        const worker = new Worker({
          connection,
          lanes,
          peers,
          memory,
          clock: systemClock(),
          checkProgram: (onnx) => check(onnx, graphLimits),
          numericClass: (task) => numericClass({ ...task, lanes, memory: computing.memory }),
          identity: {
            instance,
            host: hostname(),
            pid: process.pid,
            engine: engineName(),
            node: process.version,
          },
          log,
          data,
        });
        const leave = (): void => worker.leave("interrupted");
        signal?.addEventListener("abort", leave);
        const parting = await worker.run();
        signal?.removeEventListener("abort", leave);
        if (parting.kind === "over") return parting;
        if (parting.code === "LANE_HUNG") isHung = true;
        if (parting.kind === "refused") throw new TuttiError(errorCodeOf(parting.code), parting.message);
        const isBroken = parting.code === "PROTOCOL" || parting.code === "INTERNAL";
        broken = isBroken ? broken + 1 : 0;
        if (parting.code === "GRAPH_INVALID" || broken >= mostBrokenMemberships)
          throw new TuttiError(errorCodeOf(parting.code), parting.message);
        log(`connection lost: ${parting.message}; trying again`);
        triedSinceMs = performance.now();
        if (!isBroken) pauseMs = 100;
      } catch (error) {
        connecting = undefined;
        if (!isTuttiError(error) || error.code !== "UNREACHABLE") throw error;
        if (performance.now() - triedSinceMs > retryForMs) throw error;
        log(`${error.message}; trying again`);
      }
      await delay(pauseMs, undefined, signal === undefined ? {} : { signal }).catch(() => {});
      pauseMs = Math.min(2 * pauseMs, 2000);
    }
  } finally {
    if (!isHung) await unlessHung(lanes.close(), "computing", drainMs);
    for (const dataset of data.values()) await dataset.close();
  }
}

/** What lanes do; once the signal has come, for `drainMs` only. Throws LANE_HUNG. */
function unlessHung<Result>(
  work: Promise<Result>,
  doing: string,
  limitMs: number,
  signal?: AbortSignal,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const watch = (ms: number): NodeJS.Timeout =>
      setTimeout(() => {
        const message = `a lane is still ${doing} after ${ms / 1000} s; this process must be ended`;
        reject(new TuttiError("LANE_HUNG", message));
      }, ms);
    let timer = watch(signal?.aborted === true ? drainMs : limitMs);
    const hurry = (): void => {
      clearTimeout(timer);
      timer = watch(drainMs);
    };
    signal?.addEventListener("abort", hurry, { once: true });
    const settled = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", hurry);
    };
    work.finally(settled).then(resolve, reject);
  });
}

async function openedPlaces(
  places: DataPlaces = {},
  memoryBytes: number | undefined,
): Promise<ReadonlyMap<string, Dataset>> {
  if (Object.keys(places).length === 0) return new Map();
  const { openPlaces } = await import("@tutti/core/data"); // most workers are sent their rows
  return openPlaces(places, { baseDirectory: process.cwd(), ...(memoryBytes === undefined ? {} : { memoryBytes }) });
}

function errorCodeOf(
  code: string,
):
  | "DATA_DIFFERS"
  | "LANE_HUNG"
  | "QUARANTINED"
  | "NUMERIC_CLASS"
  | "PROTOCOL"
  | "UNAUTHORIZED"
  | "ENGINE_FAILED"
  | "GRAPH_INVALID"
  | "INTERNAL" {
  switch (code) {
    case "DATA_DIFFERS":
    case "LANE_HUNG":
    case "NUMERIC_CLASS":
    case "QUARANTINED":
    case "PROTOCOL":
    case "UNAUTHORIZED":
    case "ENGINE_FAILED":
    case "GRAPH_INVALID":
      return code;
    default:
      return "INTERNAL";
  }
}
