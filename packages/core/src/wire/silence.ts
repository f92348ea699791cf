/** How often in a heartbeat's time an end of a connection looks for signs of life. */
export const checksPerHeartbeat = 5;

/**
 * How long nothing has arrived on a connection, not even a part of a message: a payload that takes minutes over a slow
 * link is no silence. Time in which this process did not run (its machine slept, it was stopped) is not held against the
 * other side, whose messages may be waiting to be read.
 */
export class Silence {
  readonly #connection: { readonly arrivedBytes: number };
  readonly #checkMs: number;
  #arrivedBytes: number;
  #heardMs: number;
  #checkedMs: number;
  #lastMs = 0;

  /** @param checkMs how often `measure` is going to be called. */
  constructor(connection: { readonly arrivedBytes: number }, checkMs: number, nowMs: number) {
    this.#connection = connection;
    this.#checkMs = checkMs;
    this.#arrivedBytes = connection.arrivedBytes;
    this.#heardMs = nowMs;
    this.#checkedMs = nowMs;
  }

  /** What was measured last. */
  get lastMs(): number {
    return this.#lastMs;
  }

  /** Milliseconds of silence; up to `checkMs` less than the truth. */
  measure(nowMs: number): number {
    const lateMs = nowMs - this.#checkedMs - this.#checkMs;
    this.#checkedMs = nowMs;
    if (lateMs > this.#checkMs) this.#heardMs += lateMs;
    const { arrivedBytes } = this.#connection;
    if (arrivedBytes !== this.#arrivedBytes) this.#heardMs = nowMs;
    this.#arrivedBytes = arrivedBytes;
    this.#lastMs = nowMs - this.#heardMs;
    return this.#lastMs;
  }
}
