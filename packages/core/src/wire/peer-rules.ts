import type { Message } from "./messages.ts";

/**
 * What the peer of a connection may say now. Sees both directions, so that each message can be judged by what came
 * before it; a peer that breaks a rule is dropped. The coordinator's and the worker's differ.
 */
export interface PeerRules<Out extends Message, In extends Message> {
  /** Largest header frame that the peer may send now, in bytes. */
  readonly maxHeaderBytes: number;
  /** Called with every message of this side, before it is written. */
  sent(message: Out): void;
  /** Throws PROTOCOL for what the peer may not say now. Called before anything is allocated for its payload. */
  received(message: In): void;
}

/** Lets bursts of `burst` pass, and `perSecond` in the long run. */
export class RateLimit {
  readonly #burst: number;
  readonly #perSecond: number;
  readonly #now: () => number;
  #left: number;
  #sinceMs: number;

  /** @param now milliseconds of any steady clock. */
  constructor(burst: number, perSecond: number, now: () => number = () => performance.now()) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#now = now;
    this.#left = burst;
    this.#sinceMs = now();
  }

  /** False when it is one too many. */
  take(): boolean {
    const nowMs = this.#now();
    this.#left = Math.min(this.#burst, this.#left + ((nowMs - this.#sinceMs) / 1000) * this.#perSecond);
    this.#sinceMs = nowMs;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
