import type { Clock } from "@tutti/core/clock";
import type { TimeSplit } from "@tutti/core/events";

export type Phase = "data" | "reduce" | "update" | "download";

/**
 * Splits a step's wall time into exclusive parts. What the coordinator does itself is measured where it happens, nested
 * parts counted once; what it waits for is told apart by the last answer: how long it took to compute, then to arrive.
 */
export class PhaseClock {
  readonly #clock: Clock;
  #startedMs = 0;
  #spans: Record<Phase, number> = { data: 0, reduce: 0, update: 0, download: 0 };
  #stack: { phase: Phase; sinceMs: number }[] = [];
  #dealtMs = 0;
  #busyAtDealMs = 0;
  #resultMs = 0;
  #busyAtResultMs = 0;
  #completeMs = 0;
  #busyAtCompleteMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  start(): void {
    this.#startedMs = this.#clock.now();
    this.#spans = { data: 0, reduce: 0, update: 0, download: 0 };
    this.#dealtMs = this.#resultMs = this.#completeMs = this.#startedMs;
    this.#busyAtDealMs = this.#busyAtResultMs = this.#busyAtCompleteMs = 0;
  }

  /** Runs `work` and counts its time as `phase`, less what it spends in phases of its own. */
  run<T>(phase: Phase, work: () => T): T {
    const now = this.#clock.now();
    const outer = this.#stack.at(-1);
    if (outer !== undefined) this.#spans[outer.phase] += now - outer.sinceMs;
    const own = { phase, sinceMs: now };
    this.#stack.push(own);
    try {
      return work();
    } finally {
      const end = this.#clock.now();
      this.#spans[phase] += end - own.sinceMs;
      this.#stack.pop();
      if (outer !== undefined) outer.sinceMs = end;
    }
  }

  /** Adds time spent waiting for a phase's input. */
  add(phase: Phase, ms: number): void {
    this.#spans[phase] += ms;
  }

  /** The first lease is out. */
  dealt(): void {
    this.#dealtMs = this.#clock.now();
    this.#busyAtDealMs = this.#busy();
  }

  /** An answer was announced: its computing is over, its sums are still on the way. */
  announced(): void {
    this.#resultMs = this.#clock.now();
    this.#busyAtResultMs = this.#busy();
  }

  /** The last sums are in. */
  complete(): void {
    this.#completeMs = this.#clock.now();
    this.#busyAtCompleteMs = this.#busy();
  }

  /** Ends the step. @param computeMs what the last announced answer took to compute, by its worker's clock. */
  split(computeMs: number): { wallMs: number; time: TimeSplit } {
    const wallMs = this.#clock.now() - this.#startedMs;
    const untilResult = this.#resultMs - this.#dealtMs - (this.#busyAtResultMs - this.#busyAtDealMs);
    const upload = this.#completeMs - this.#resultMs - (this.#busyAtCompleteMs - this.#busyAtResultMs);
    const compute = Math.max(0, Math.min(computeMs, untilResult));
    const uploadMs = Math.max(0, upload);
    const waitMs = Math.max(0, wallMs - this.#busy() - compute - uploadMs);
    const { data, reduce, update, download } = this.#spans;
    return {
      wallMs,
      time: {
        dataMs: data,
        computeMs: compute,
        uploadMs,
        reduceMs: reduce,
        updateMs: update,
        downloadMs: download,
        waitMs,
      },
    };
  }

  #busy(): number {
    const { data, reduce, update, download } = this.#spans;
    return data + reduce + update + download;
  }
}
