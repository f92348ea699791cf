import type { Clock } from "@tutti/core/clock";
import type { Dataset } from "@tutti/core/data";
import type { Lanes } from "@tutti/core/engine";
import type { ShardProgram } from "@tutti/core/step";
import type { Connection, ToCoordinator, ToWorker } from "@tutti/core/wire";
import type { PeerTransport } from "./mesh/peer-transport.ts";
import type { WorkerMemory } from "./worker-memory.ts";

/** Programs and the rows to compute them on, so that the coordinator learns how this machine rounds. */
export interface CanaryTask {
  readonly programs: readonly { readonly program: ShardProgram; readonly columns: number }[];
  readonly parameters: number;
  readonly generation: number;
}

export interface WorkerParts {
  readonly connection: Connection<ToCoordinator, ToWorker>;
  readonly lanes: Lanes;
  /** How other workers are reached; undefined if they cannot be. */
  readonly peers?: PeerTransport | undefined;
  /** Kept by the process while it leaves and joins. */
  readonly memory: WorkerMemory;
  readonly clock: Clock;
  /** Refuses a graph that this worker should not run; throws GRAPH_INVALID. */
  readonly checkProgram: (onnx: Uint8Array) => void;
  /** Hash of all the canary's outputs. */
  readonly numericClass: (task: CanaryTask) => Promise<string>;
  readonly identity: {
    readonly instance: string;
    readonly host: string;
    readonly pid: number;
    readonly engine: string;
    readonly node: string;
  };
  readonly log: (message: string) => void;
  /** The data sets that this worker has for itself, by name; stays the caller's to close. */
  readonly data?: ReadonlyMap<string, Dataset>;
}

/** How a worker's membership ended. */
export interface Parting {
  /** over: the run has ended · refused: this worker is not wanted · lost: the connection broke, try again. */
  readonly kind: "over" | "refused" | "lost";
  readonly message: string;
  readonly code: string;
}
