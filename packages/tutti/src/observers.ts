import type { RunEvent } from "@tutti/core/events";

/**
 * Callbacks by the type of event, called for each one as it happens. They observe and cannot steer: events are read-only, a
 * step never waits for what a callback returns, and one that throws or rejects is told of in a notice and not called again.
 * `train` resolves after all that they returned has settled. `error` comes last when the run fails.
 */
export type Observer = {
  readonly [Type in RunEvent["type"]]?: (event: Extract<RunEvent, { type: Type }>) => void | Promise<void>;
};

/** Calls a run's observers and keeps their failures from it. */
export class Observers {
  readonly #observers: Set<Observer>;
  /** What was returned and has not settled yet. */
  readonly #pending = new Set<Promise<void>>();
  readonly #failed: (message: string) => void;

  /** @param failed tells the run's listeners that an observer has failed. */
  constructor(observers: readonly Observer[], failed: (message: string) => void) {
    this.#observers = new Set(observers);
    this.#failed = failed;
  }

  notify(event: RunEvent): void {
    for (const observer of [...this.#observers]) this.#call(observer, event);
  }

  /** Resolves when everything that observers returned has settled. */
  async settled(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
  }

  #call(observer: Observer, event: RunEvent): void {
    // The member of an event's type takes that event.
    const callback = observer[event.type] as ((event: RunEvent) => void | Promise<void>) | undefined;
    if (callback === undefined) return;
    try {
      const returned = callback.call(observer, event);
      if (!(returned instanceof Promise)) return;
      const settled: Promise<void> = returned
        .catch((error: unknown) => this.#drop(observer, event, error))
        .finally(() => this.#pending.delete(settled));
      this.#pending.add(settled);
    } catch (error) {
      this.#drop(observer, event, error);
    }
  }

  #drop(observer: Observer, { type }: RunEvent, error: unknown): void {
    if (!this.#observers.delete(observer)) return;
    const reason = error instanceof Error ? error.message : String(error);
    this.#failed(`a callback for ${type} events failed and is not called again: ${reason}`);
  }
}
