import { fileURLToPath } from "node:url";
import type { Piscina } from "piscina";
import { TuttiError } from "../errors/index.ts";
import type { SharedMemory } from "../memory/index.ts";
import type { ShardProgram } from "../step/shard-program.ts";
import type { Lane } from "./lane.ts";
import type { LaneThreadData } from "./lane-thread.ts";
import type { EngineFailure, Piece, PieceOutcome } from "./piece.ts";

/**
 * A piscina pool of exactly one thread, which holds the sessions. A thread that dies, such as for want of memory, fails the piece that it
 * computed; piscina puts another in its place, which is given the programs again.
 */
export class ThreadLane implements Lane {
  readonly #pool: Piscina;
  readonly #programs = new Map<string, ShardProgram>();

  private constructor(pool: Piscina) {
    this.#pool = pool;
  }

  /** Starts the thread and loads the engine in it. Throws ENGINE_MISSING. */
  static async open(memory: SharedMemory, zeroCopy: boolean): Promise<ThreadLane> {
    const piscina = await import("piscina"); // 20 ms that a process without lanes need not spend
    const workerData: LaneThreadData = { memory, zeroCopy };
    const filename = fileURLToPath(laneThreadUrl(import.meta.url));
    const pool = new piscina.Piscina({
      filename,
      workerData,
      minThreads: 1,
      maxThreads: 1,
      atomics: "sync", // the quickest of the three to answer, and nothing else runs in the thread
      // A thread that inherits --input-type (of `node --eval`) refuses to start from a file.
      ...(process.execArgv.some((flag) => flag.startsWith("--input-type")) ? { execArgv: [] } : {}),
    });
    const lane = new ThreadLane(pool);
    try {
      await lane.#call("start");
      return lane;
    } catch (error) {
      await lane.#pool.destroy();
      throw error;
    }
  }

  async load(program: ShardProgram): Promise<void> {
    await this.#call("load", program);
    this.#programs.set(program.id, program);
  }

  async run(piece: Piece): Promise<PieceOutcome> {
    const outcome: RunAnswer = await this.#pool.run(piece, { name: "run" });
    if (outcome.status !== "unloaded") return outcome;
    for (const program of this.#programs.values()) await this.#call("load", program);
    const again: RunAnswer = await this.#pool.run(piece, { name: "run" });
    if (again.status !== "unloaded") return again;
    throw new TuttiError("INTERNAL", `shards of node ${piece.node.lo}-${piece.node.hi}: not all programs were loaded`);
  }

  async close(): Promise<void> {
    await this.#call("close");
    await this.#pool.close(); // the thread is idle: ending it during a run would abort the process
  }

  async #call(name: "start" | "load" | "close", argument?: ShardProgram): Promise<void> {
    const failure: EngineFailure | undefined = await this.#pool.run(argument, { name });
    if (failure !== undefined) throw new TuttiError(failure.code, failure.message, failure.details);
  }
}

type RunAnswer = Awaited<ReturnType<typeof import("./lane-thread.ts").run>>;

/** The built thread entry, beside the built caller; for a caller run from its source, where the build puts it. */
export function laneThreadUrl(callerUrl: string): URL {
  return callerUrl.endsWith(".ts")
    ? new URL("../../dist/engine/lane-thread.js", callerUrl)
    : new URL("lane-thread.js", callerUrl);
}
