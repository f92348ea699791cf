import type { ShardProgram } from "../step/shard-program.ts";
import type { Lane } from "./lane.ts";

/** Loading a program once more takes longer than this many tasks save. */
const patience = 16;

/**
 * A lane in the calling thread. It opens, and loads a program, when enough tasks were wanted of it, beside the work that goes
 * on; the bits are those of any lane.
 */
export class NearLane {
  readonly #open: () => Promise<Lane>;
  readonly #ready = new Set<string>();
  readonly #wanted = new Map<string, number>();
  #lane: Promise<Lane> | undefined;
  #opened: Lane | undefined;
  #isBusy = false;

  constructor(open: () => Promise<Lane>) {
    this.#open = open;
  }

  /** True if the lane is free and has the programs. */
  isReady(programs: readonly ShardProgram[]): boolean {
    let isReady = !this.#isBusy && this.#opened !== undefined;
    for (const program of programs) {
      if (this.#ready.has(program.id)) continue;
      isReady = false;
      const wanted = (this.#wanted.get(program.id) ?? 0) + 1;
      this.#wanted.set(program.id, wanted);
      if (wanted === patience) this.#load(program);
    }
    return isReady;
  }

  /** Runs `work` on the lane, which is ready. */
  async run<Result>(work: (lane: Lane) => Promise<Result>): Promise<Result> {
    this.#isBusy = true;
    try {
      return await work(this.#opened!);
    } finally {
      this.#isBusy = false;
    }
  }

  async close(): Promise<void> {
    const lane = await this.#lane?.catch(() => undefined);
    await lane?.close();
  }

  #load(program: ShardProgram): void {
    this.#lane ??= this.#open();
    this.#lane
      .then(async (lane) => {
        await lane.load(program);
        this.#opened = lane;
        this.#ready.add(program.id);
      })
      .catch(() => {}); // the threads have it, so that nothing is missing
  }
}
