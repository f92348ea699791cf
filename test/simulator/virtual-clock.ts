import type { Clock } from "@tutti/core/clock";

interface Event {
  readonly atMs: number;
  readonly order: number;
  fire: (() => void) | undefined;
}

/** Time that passes only when the next event is taken. Events of the same moment come in the order they were set. */
export class VirtualClock implements Clock {
  #nowMs = 0;
  #order = 0;
  readonly #heap: Event[] = [];

  now(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, fire: () => void): { cancel(): void } {
    return this.at(this.#nowMs + Math.max(0, delayMs), fire);
  }

  /** Exactly then: a delay is rounded, and could overtake another that ends at the same moment. */
  at(atMs: number, fire: () => void): { cancel(): void } {
    const event: Event = { atMs: Math.max(this.#nowMs, atMs), order: this.#order++, fire };
    this.#push(event);
    return {
      cancel: () => {
        event.fire = undefined;
      },
    };
  }

  /** Takes the next event; false when there is none. */
  advance(): boolean {
    for (;;) {
      const event = this.#pop();
      if (event === undefined) return false;
      if (event.fire === undefined) continue;
      this.#nowMs = event.atMs;
      event.fire();
      return true;
    }
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(heap[parent]!, event)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): Event | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (isBefore(last, heap[child]!)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
