import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { systemClock } from "@tutti/core/clock";
import { engineVersion, numericClass, openLanes } from "@tutti/core/engine";
import { isTuttiError, TuttiError } from "@tutti/core/errors";
import { computeMemory } from "@tutti/core/kernels";
import { Arena } from "@tutti/core/memory";
import { connect } from "./connect.ts";
import { type Parting, Worker } from "./worker.ts";
import { WorkerMemory } from "./worker-memory.ts";

export interface RunWorkerOptions {
  readonly url: string;
  readonly lanes: number;
  readonly token?: string | undefined;
  /** How long to keep trying to reach a coordinator, at first and after losing it. */
  readonly retryForMs?: number;
  readonly signal?: AbortSignal;
  readonly log: (message: string) => void;
}

/** Largest graph taken from a coordinator. */
const graphLimits = { maxBytes: 1 << 28, maxNodes: 1_000_000 };

/** Largest payload taken from a coordinator: a program's graph, or the rows of one shard. */
const maxPayloadBytes = 1 << 30;

/**
 * Works for the coordinator at `url` until its run is over; reconnects with backoff when the connection is lost.
 * Throws UNREACHABLE after `retryForMs` without success, UNAUTHORIZED, PROTOCOL, what a refusal says, and LANE_HUNG: then the process cannot
 * end by itself and must be made to.
 */
export async function runWorker(options: RunWorkerOptions): Promise<Parting> {
  const { url, token, signal, log, retryForMs = 30_000 } = options;
  const arena = new Arena();
  const memory = new WorkerMemory(computeMemory(arena));
  const connectOnce = () => connect({ url, token, timeoutMs: 5000, maxPayloadBytes });
  // Connecting while the engine loads: both take their time.
  const firstConnection = connectOnce();
  firstConnection.catch(() => {});
  const lanes = await openLanes({ arena, count: options.lanes });
  const { checkGraph } = await import("@tutti/core/graph");
  const instance = randomUUID();
  let isHung = false;
  try {
    let triedSinceMs = performance.now();
    let pauseMs = 100;
    let connecting: ReturnType<typeof connect> | undefined = firstConnection;
    for (;;) {
      if (signal?.aborted) return { kind: "over", code: "LEFT", message: "interrupted" };
      try {
        const connection = await (connecting ?? connectOnce());
        connecting = undefined;
        const worker = new Worker({
          connection,
          lanes,
          memory,
          clock: systemClock(),
          checkProgram: (onnx) => void checkGraph(onnx, graphLimits),
          numericClass: (task) => numericClass({ ...task, lanes, arena }),
          identity: {
            instance,
            host: hostname(),
            pid: process.pid,
            engine: `onnxruntime ${engineVersion()}`,
            node: process.version,
          },
          log,
        });
        const leave = (): void => worker.leave("interrupted");
        signal?.addEventListener("abort", leave);
        const parting = await worker.run();
        signal?.removeEventListener("abort", leave);
        if (parting.kind === "over") return parting;
        if (parting.code === "LANE_HUNG") isHung = true;
        if (parting.kind === "refused") throw new TuttiError(errorCodeOf(parting.code), parting.message);
        log(`connection lost: ${parting.message}; trying again`);
        triedSinceMs = performance.now();
        pauseMs = 100;
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
    if (!isHung) await lanes.close(); // it waits for what is computing
  }
}

function errorCodeOf(
  code: string,
):
  | "LANE_HUNG"
  | "QUARANTINED"
  | "NUMERIC_CLASS"
  | "PROTOCOL"
  | "UNAUTHORIZED"
  | "ENGINE_FAILED"
  | "GRAPH_INVALID"
  | "INTERNAL" {
  switch (code) {
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
