import type { Clock } from "@tutti/core/clock";
import type { TimeSplit } from "@tutti/core/events";

export type Phase = "data" | "reduce" | "update" | "download";

type OnSpan = (what: Phase | "step", beginMs: number, endMs: number) => void;

/** A moment, and what had been done by then in all phases; of that, ahead for the next step. */
interface Mark {
  readonly atMs: number;
  readonly busyMs: number;
  readonly aheadMs: number;
}

/**
 * Splits a step's wall time into exclusive parts. What the coordinator does itself is measured where it happens, nested
 * parts counted once; what it waits for is told apart by the last answers: how long they took to compute, then to arrive.
 * A step begins where the one before ended, so that nothing in between is lost.
 */
export class PhaseClock {
  readonly #clock: Clock;
  readonly #onSpan: OnSpan | undefined;
  #startedMs = 0;
  #endedMs: number | undefined;
  #spans: Record<Phase, number> = { data: 0, reduce: 0, update: 0, download: 0 };
  #stack: { phase: Phase; sinceMs: number }[] = [];
  /** Part of the data phase. */
  #aheadMs = 0;
  #dealt: Mark = { atMs: 0, busyMs: 0, aheadMs: 0 };
  /** When each worker announced its last answer so far. */
  readonly #announced = new Map<string, Mark>();
  #completed: Mark = { atMs: 0, busyMs: 0, aheadMs: 0 };

  /** @param onSpan is told of everything that is measured, inner phases first; times are of the clock. */
  constructor(clock: Clock, onSpan?: OnSpan) {
    this.#clock = clock;
    this.#onSpan = onSpan;
  }

  /** A step begins: where the last one ended, if nothing else has been done since. */
  start(): void {
    this.#startedMs = this.#endedMs ?? this.#clock.now();
    this.#endedMs = undefined;
    this.#spans = { data: 0, reduce: 0, update: 0, download: 0 };
    this.#announced.clear();
    this.#aheadMs = 0;
    this.#dealt = this.#completed = { atMs: this.#startedMs, busyMs: 0, aheadMs: 0 };
  }

  /** Something that is no part of a step follows, such as a validation: the next step begins when `start` is called. */
  interrupt(): void {
    this.#endedMs = undefined;
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
      this.#onSpan?.(phase, now, end);
    }
  }

  /**
   * Runs `work` for the next step's data: no part of the data phase between the dealing of leases and the first answer, when everybody
   * waits for workers.
   */
  ahead(work: () => void): void {
    const beforeMs = this.#spans.data;
    this.run("data", work);
    this.#aheadMs += this.#spans.data - beforeMs;
  }

  /** The time since then was spent waiting for a phase's input. */
  waited(phase: Phase, sinceMs: number): void {
    const now = this.#clock.now();
    this.#spans[phase] += now - sinceMs;
    this.#onSpan?.(phase, sinceMs, now);
  }

  /** The first lease is out. */
  dealt(): void {
    this.#dealt = this.#mark();
  }

  /** A worker announced an answer: its computing is over, its sums are still on the way. */
  announced(worker: string): void {
    this.#announced.set(worker, this.#mark());
  }

  /** The last sums are in. */
  complete(): void {
    this.#completed = this.#mark();
  }

  /** Ends the step. @param computeMs what the last announced answer took to compute, by its worker's clock. */
  split(computeMs: number): { wallMs: number; time: TimeSplit } {
    const nowMs = this.#clock.now();
    this.#endedMs = nowMs;
    this.#onSpan?.("step", this.#startedMs, nowMs);
    const wallMs = nowMs - this.#startedMs;
    const marks = [...this.#announced.values()];
    const first = marks.reduce((a, b) => (b.atMs < a.atMs ? b : a), marks[0] ?? this.#dealt);
    const last = marks.reduce((a, b) => (b.atMs > a.atMs ? b : a), first);
    const stragglerMs = idleBetween(first, last);
    const uploadMs = idleBetween(last, this.#completed);
    const hidden = first.aheadMs - this.#dealt.aheadMs;
    const compute = Math.min(Math.max(0, computeMs - stragglerMs), idleBetween(this.#dealt, first) + hidden);
    const { data, reduce, update, download } = this.#spans;
    return {
      wallMs,
      time: {
        dataMs: data - hidden,
        computeMs: compute,
        stragglerMs,
        uploadMs,
        reduceMs: reduce,
        updateMs: update,
        downloadMs: download,
        waitMs: Math.max(0, wallMs - (this.#busy() - hidden) - compute - stragglerMs - uploadMs),
      },
    };
  }

  #mark(): Mark {
    const atMs = this.#clock.now();
    const underWay = this.#stack.at(-1);
    const busyMs = this.#busy() + (underWay === undefined ? 0 : atMs - underWay.sinceMs);
    return { atMs, busyMs, aheadMs: this.#aheadMs };
  }

  #busy(): number {
    const { data, reduce, update, download } = this.#spans;
    return data + reduce + update + download;
  }
}

/** Time between two moments in which nothing was measured. */
function idleBetween(from: Mark, to: Mark): number {
  return Math.max(0, to.atMs - from.atMs - (to.busyMs - from.busyMs));
}
