import { workerData } from "node:worker_threads";
import type { SharedMemory } from "../memory/index.ts";
import type { ShardProgram } from "../step/shard-program.ts";
import { Executor } from "./executor.ts";
import { type EngineFailure, failureOf, type Piece, type PieceOutcome } from "./piece.ts";
import { loadEngine } from "./runtime.ts";

/** What a lane's thread is started with. */
export interface LaneThreadData {
  readonly memory: SharedMemory;
  /** False to copy even where the runtime would take shared memory. */
  readonly zeroCopy: boolean;
}

// The thread is the lane: its one executor lives as long as the thread does. Piscina calls the functions below by name.
const { memory, zeroCopy } = workerData as LaneThreadData;
const executor = loadEngine().then((engine) => new Executor(engine, memory, zeroCopy));
executor.catch(() => {}); // `start` reports it

export function start(): Promise<EngineFailure | undefined> {
  return failing(async () => {
    await executor;
  });
}

export function load(program: ShardProgram): Promise<EngineFailure | undefined> {
  return failing(async () => (await executor).load(program));
}

/** "unloaded": nothing was computed, as programs of the piece were not loaded in this thread. */
export async function run(piece: Piece): Promise<PieceOutcome | { readonly status: "unloaded" }> {
  const lane = await executor;
  return lane.holds(piece) ? lane.run(piece) : { status: "unloaded" };
}

export function close(): Promise<EngineFailure | undefined> {
  return failing(async () => (await executor).close());
}

async function failing(work: () => Promise<void>): Promise<EngineFailure | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return failureOf(error);
  }
}
