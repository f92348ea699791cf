import { Worker } from "node:worker_threads";
import type { SharedMemory } from "../memory/index.ts";
import type { CompiledOptimizer, OptimizerLayout } from "../optim/index.ts";
import { type RangeTools, type RangeWork, stretchFloats, workOnRange } from "./range-work.ts";
import { SharedRanges } from "./shared-ranges.ts";
import type { UpdateThreadData } from "./update-thread.ts";

/** A range takes some 0.02 ms, a thread that was not done with one in this time is stuck. */
const stuckMs = 100;

export interface UpdateThreadsOptions {
  /** Threads beside the calling one. */
  readonly count: number;
  /** Less is done by the calling thread alone: waking another takes up to 0.1 ms. Default 262,144, some 0.2 ms of RMSprop. */
  readonly leastFloats?: number;
  /** They start when so much was to be done as often: not beside a run's first step. Default 8. */
  readonly startAfter?: number;
  /** What the threads run; update-thread.ts by default. */
  readonly entry?: URL;
}

export interface UpdateThreadsParts extends UpdateThreadsOptions {
  readonly memory: SharedMemory;
  readonly optimizer: CompiledOptimizer;
  readonly layout: OptimizerLayout;
  readonly normBlockFloats: number;
}

/**
 * Threads that apply updates together with the calling one, which waits for them: for cores that have nothing to do then. Every range is a
 * function of t and the gradient, written beside t, so that no bit depends on who does it, or on whether it is done twice.
 */
export class UpdateThreads {
  /** Sum of squares by block of the layout, as in RangeTools. */
  readonly blockSquares: Float64Array<SharedArrayBuffer>;
  readonly #parts: UpdateThreadsParts;
  readonly #ranges: SharedRanges;
  readonly #threads: Worker[] = [];
  readonly #leastFloats: number;
  #untilStart: number;
  #isReady = false;
  #rangesByOthers = 0;
  #isOver = false;
  #ending: Promise<void> | undefined;

  constructor(parts: UpdateThreadsParts) {
    const { layout, normBlockFloats, optimizer, leastFloats = 262_144, startAfter = 8 } = parts;
    this.#parts = parts;
    this.#leastFloats = leastFloats;
    this.#untilStart = startAfter;
    this.#ranges = new SharedRanges(optimizer.slots.length);
    const blocks = Math.ceil(layout.totalFloats / normBlockFloats);
    this.blockSquares = new Float64Array(new SharedArrayBuffer(8 * blocks));
  }

  /** Ranges that other threads than the calling one have taken, of all jobs. */
  get rangesByOthers(): number {
    return this.#rangesByOthers;
  }

  /** True while other threads take part in what is large enough. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** True once the threads were ended, or one has ended by itself: then the calling thread does all. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * A thread did not come back, and is being ended. Until then it may still write t+1, the same bits as are there, but not what
   * lies there later: nothing may be written in the place of t before that. Undefined if there is none.
   */
  get ending(): Promise<void> | undefined {
    return this.#ending;
  }

  /** As `workOnRange` with these tools. Blocks until all is done. */
  run(tools: RangeTools, work: RangeWork, begin: number, end: number): void {
    if (end - begin < this.#leastFloats || this.#parts.count < 1) {
      workOnRange(tools, work, begin, end);
      return;
    }
    if (!this.#isReady) {
      if (!this.#isOver && --this.#untilStart === 0) this.#start();
      workOnRange(tools, work, begin, end);
      return;
    }
    const ranges = this.#ranges;
    const rangeFloats = stretchFloats(tools);
    ranges.begin(work, { begin, end }, rangeFloats);
    let others = Math.ceil((end - begin) / rangeFloats);
    for (let range = ranges.take(); range !== undefined; range = ranges.take()) {
      workOnRange(tools, work, range.begin, range.end);
      ranges.finished();
      others--;
    }
    this.#rangesByOthers += others;
    if (ranges.waitUntilDone(stuckMs)) return;
    this.#end();
    workOnRange(tools, work, begin, end);
  }

  /** Ends the threads. */
  async close(): Promise<void> {
    this.#end();
    await this.#ending;
  }

  #start(): void {
    const { memory, optimizer, layout, normBlockFloats, count, entry = threadEntry() } = this.#parts;
    const workerData: UpdateThreadData = {
      ...{ memory, layout, normBlockFloats },
      optimizer: optimizer.definition,
      ranges: this.#ranges.buffer,
      blockSquares: this.blockSquares.buffer,
    };
    for (let i = 0; i < count; i++) {
      const thread = new Worker(entry, {
        workerData,
        // A thread that inherits --input-type (of `node --eval`) refuses to start from a file.
        ...(process.execArgv.some((flag) => flag.startsWith("--input-type")) ? { execArgv: [] } : {}),
        resourceLimits: { maxYoungGenerationSizeMb: 2 },
      });
      thread.unref();
      thread.on("message", () => {
        this.#isReady = !this.#isOver;
      });
      thread.on("error", () => this.#end()); // it only helps: without it the calling thread does all
      thread.on("exit", () => this.#end());
      this.#threads.push(thread);
    }
  }

  #end(): void {
    this.#isReady = false;
    if (this.#isOver) return;
    this.#isOver = true;
    this.#ending = Promise.all(this.#threads.map((thread) => thread.terminate())).then(() => {
      this.#ending = undefined;
    });
  }
}

/** The built entry, beside the built caller; for a caller run from its source, where the build puts it. */
function threadEntry(): URL {
  const entry = import.meta.url.endsWith(".ts") ? "../../dist/exchange/update-thread.js" : "./update-thread.js";
  return new URL(entry, import.meta.url);
}
