import { isTuttiError } from "@tutti/core/errors";
import type { DoneEvent, RunEvent } from "@tutti/core/events";
import { type Observer, Observers } from "./observers.ts";
import type { OutputPaths } from "./output-directory.ts";

/** What a run leaves behind. */
export interface TrainResult {
  readonly done: DoneEvent;
  /** Files written, when there is an output directory. */
  readonly out?: OutputPaths;
  /** Final values by parameter name; row-major, the caller's. */
  readonly parameters: ReadonlyMap<string, Float32Array>;
}

/** A run under way: iterate it for its events, await it for its result. */
export interface TrainingHandle extends AsyncIterable<RunEvent>, PromiseLike<TrainResult> {
  /** Ends after the step under way, with a checkpoint. */
  stop(): void;
}

interface ListenerOptions {
  readonly signal?: AbortSignal | undefined;
  readonly observers?: readonly Observer[] | undefined;
}

export class Training implements TrainingHandle {
  readonly #result: Promise<TrainResult>;
  readonly #listeners = new Set<EventQueue>();
  readonly #stop = new AbortController();
  readonly #observers: Observers;

  /** @param run trains until the end, or until it is told to stop; what it emits goes to all listeners. */
  constructor(
    run: (stop: AbortSignal, emit: (event: RunEvent) => void) => Promise<TrainResult>,
    { signal, observers = [] }: ListenerOptions,
  ) {
    signal?.addEventListener("abort", () => this.#stop.abort(), { once: true });
    if (signal?.aborted) this.#stop.abort();
    const emit = (event: RunEvent): void => {
      for (const queue of this.#listeners) queue.push(event);
      this.#observers.notify(event);
    };
    this.#observers = new Observers(observers, (message) => emit({ type: "notice", message }));
    this.#result = this.#observed(run, emit);
    this.#result.then(
      () => this.#endQueues(undefined),
      (error: unknown) => this.#endQueues(error),
    );
  }

  stop(): void {
    this.#stop.abort();
  }

  // biome-ignore lint/suspicious/noThenProperty: a run is awaited for its result
  then<A = TrainResult, B = never>(
    fulfilled?: ((result: TrainResult) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#result.then(fulfilled, rejected);
  }

  [Symbol.asyncIterator](): AsyncIterator<RunEvent> {
    const queue = new EventQueue(() => this.#listeners.delete(queue));
    this.#listeners.add(queue);
    return queue;
  }

  async #observed(
    run: (stop: AbortSignal, emit: (event: RunEvent) => void) => Promise<TrainResult>,
    emit: (event: RunEvent) => void,
  ): Promise<TrainResult> {
    await Promise.resolve(); // so that whoever iterates this handle right away misses nothing
    try {
      return await run(this.#stop.signal, emit);
    } catch (error) {
      const code = isTuttiError(error) ? error.code : "INTERNAL";
      // To observers alone: whoever iterates or awaits gets the error itself.
      this.#observers.notify({ type: "error", code, message: error instanceof Error ? error.message : String(error) });
      throw error;
    } finally {
      await this.#observers.settled();
    }
  }

  #endQueues(error: unknown): void {
    for (const queue of this.#listeners) queue.end(error);
  }
}

/** Events between a run and one iteration over it. */
class EventQueue implements AsyncIterator<RunEvent> {
  readonly #onReturn: () => void;
  #events: RunEvent[] = [];
  #waiting: { resolve(result: IteratorResult<RunEvent>): void; reject(error: unknown): void } | undefined;
  #end: { readonly error: unknown } | undefined;

  constructor(onReturn: () => void) {
    this.#onReturn = onReturn;
  }

  push(event: RunEvent): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) this.#events.push(event);
    else waiting.resolve({ value: event, done: false });
  }

  end(error: unknown): void {
    this.#end = { error };
    if (error === undefined) this.#waiting?.resolve({ value: undefined, done: true });
    else this.#waiting?.reject(error);
  }

  next(): Promise<IteratorResult<RunEvent>> {
    const event = this.#events.shift();
    if (event !== undefined) return Promise.resolve({ value: event, done: false });
    if (this.#end !== undefined) {
      return this.#end.error === undefined
        ? Promise.resolve({ value: undefined, done: true })
        : Promise.reject(this.#end.error);
    }
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  return(): Promise<IteratorResult<RunEvent>> {
    this.#onReturn();
    return Promise.resolve({ value: undefined, done: true });
  }
}
