import { TuttiError } from "../errors/index.ts";
import type { Arena } from "../memory/index.ts";
import { Executor } from "./executor.ts";
import { LaneSet } from "./lane-set.ts";
import type { Lanes } from "./lanes.ts";
import { NearLane } from "./near-lane.ts";
import { disableTelemetry, loadEngine } from "./runtime.ts";
import { ShortNodes } from "./short-nodes.ts";
import { ThreadLane } from "./thread-lane.ts";

export interface LanesOptions {
  readonly arena: Arena;
  /** False makes lanes copy even where the runtime takes shared memory; the bits are the same. Default true. */
  readonly zeroCopy?: boolean;
}

export interface LaneThreadsOptions extends LanesOptions {
  readonly count: number;
  /**
   * Computes in the calling thread, too, in place of one of the others: shards of at most 10 ms, once they have shown to be
   * that short. An engine that does not come back then takes the whole process with it, heartbeats and signals too: not for a process
   * that others wait for. Default false.
   */
  readonly near?: boolean;
}

/** Starts `count` lanes, each a thread of its own. Throws ENGINE_MISSING, BAD_OPTION. */
export async function openLanes({ arena, count, zeroCopy = true, near = false }: LaneThreadsOptions): Promise<Lanes> {
  if (!Number.isInteger(count) || count < 1) {
    throw new TuttiError("BAD_OPTION", `lanes: expected a whole number from 1, found ${count}`);
  }
  disableTelemetry();
  const opening = Array.from({ length: count }, () => ThreadLane.open(arena.memory, zeroCopy));
  const opened = await Promise.allSettled(opening);
  const lanes = opened.flatMap((lane) => (lane.status === "fulfilled" ? [lane.value] : []));
  const failed = opened.find((lane) => lane.status === "rejected");
  if (failed !== undefined) {
    await Promise.all(lanes.map((lane) => lane.close()));
    throw failed.reason;
  }
  if (!near) return new LaneSet(arena, lanes);
  const nearLane = new NearLane(async () => new Executor(await loadEngine(), arena.memory, zeroCopy));
  return new LaneSet(arena, lanes, nearLane, zeroCopy ? new ShortNodes(loadEngine, arena) : undefined);
}

/** One lane in the calling thread, which computing blocks, a shard at a time. Throws ENGINE_MISSING. */
export async function inlineLane({ arena, zeroCopy = true }: LanesOptions): Promise<Lanes> {
  return new LaneSet(arena, [new Executor(await loadEngine(), arena.memory, zeroCopy)]);
}
