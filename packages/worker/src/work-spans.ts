import type { Clock } from "@tutti/core/clock";
import type { TreeNode } from "@tutti/core/step";
import type { MessageOf, ToCoordinator } from "@tutti/core/wire";

type Span = MessageOf<ToCoordinator, "spans">["spans"][number];

/** Spans of one message, and those kept while none can be sent. */
const mostTold = 256;
const mostKept = 4096;

/** What this worker does and when, for the coordinator's trace. There is one only while the run is traced. */
export class WorkSpans {
  readonly #clock: Clock;
  /** Rows of each kind that something is under way in. */
  readonly #busy = new Map<Span["name"], Set<number>>();
  #done: Span[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Begins a span; what it returns ends it. Spans of a kind at the same time get rows of their own, the first that is free. */
  begin(name: Span["name"], step: number, node?: TreeNode): () => void {
    const busy = this.#busy.get(name) ?? new Set();
    this.#busy.set(name, busy);
    let row = 0;
    while (busy.has(row)) row++;
    busy.add(row);
    const beginMs = this.#clock.now();
    return () => {
      if (!busy.delete(row)) return;
      if (this.#done.length === mostKept) this.#done.shift();
      const which = node === undefined ? {} : { node: { lo: node.lo, hi: node.hi } };
      this.#done.push({ name, row, beginMs, endMs: this.#clock.now(), step, ...which });
    };
  }

  /** The oldest that have ended and were not taken yet, as many as fit into a message. */
  take(): Span[] {
    return this.#done.splice(0, mostTold);
  }
}
