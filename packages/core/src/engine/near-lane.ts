import type { ShardProgram } from "../step/shard-program.ts";
import type { Lane } from "./lane.ts";

/** Loading a program once more takes longer than this many small tasks save. */
const patience = 32;

/**
 * A lane in the calling thread, for tasks that take less time than waking another thread and being woken by it. It opens
 * when enough tasks in a row were that small, beside the work that goes on; the bits are those of any lane.
 */
export class NearLane {
  readonly #open: () => Promise<Lane>;
  readonly #ready = new Set<string>();
  readonly #asked = new Set<string>();
  #lane: Promise<Lane> | undefined;
  #opened: Lane | undefined;
  #isBusy = false;
  #smallTasks = 0;

  constructor(open: () => Promise<Lane>) {
    this.#open = open;
  }

  /** Runs `work` on the lane if it is free and has the programs; undefined if it is not, or not yet. */
  use<Result>(programs: readonly ShardProgram[], work: (lane: Lane) => Promise<Result>): Promise<Result> | undefined {
    if (++this.#smallTasks < patience || this.#isBusy) return undefined;
    const missing = programs.filter(({ id }) => !this.#ready.has(id));
    if (missing.length > 0 || this.#opened === undefined) {
      for (const program of missing) this.#load(program);
      return undefined;
    }
    this.#isBusy = true;
    return work(this.#opened).finally(() => {
      this.#isBusy = false;
    });
  }

  /** A task was too large. */
  reset(): void {
    this.#smallTasks = 0;
  }

  async close(): Promise<void> {
    const lane = await this.#lane?.catch(() => undefined);
    await lane?.close();
  }

  #load(program: ShardProgram): void {
    if (this.#asked.has(program.id)) return;
    this.#asked.add(program.id);
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
