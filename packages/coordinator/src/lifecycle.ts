import { Signal } from "./signal.ts";

/**
 * Where a run is between its first worker and its end, and everything that its main path waits for. Waiting ends when
 * what was waited for has come, or at once with what made the run fail.
 */
export class Lifecycle {
  /** Notified when members come and go, answers are complete, sockets are flushed, or the run is to stop. */
  readonly changed = new Signal();
  #state: "waiting" | "training" | "stopping" | "over" = "waiting";
  #failure: { readonly error: unknown } | undefined;
  #rejectWaiting: (error: unknown) => void = () => {};

  get state(): "waiting" | "training" | "stopping" | "over" {
    return this.#state;
  }

  get isStopping(): boolean {
    return this.#state === "stopping";
  }

  get isOver(): boolean {
    return this.#state === "over";
  }

  /** The first step may begin. */
  begin(): void {
    this.#state = "training";
  }

  stop(): void {
    if (this.#state !== "over") this.#state = "stopping";
    this.changed.notify();
  }

  /** The first failure counts: whatever is being waited for, now or later, rejects with it. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#rejectWaiting(error);
  }

  end(): void {
    this.#state = "over";
  }

  /** Waits, unless the run fails first. Only the main path waits, for one thing at a time. */
  orFailure<T>(promise: Promise<T> | T): Promise<T> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error);
    return new Promise<T>((resolve, reject) => {
      this.#rejectWaiting = reject;
      Promise.resolve(promise).then(resolve, reject);
    });
  }

  /** Waits until `isSo`, which is asked again whenever something has changed. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await this.orFailure(this.changed.wait());
  }
}
