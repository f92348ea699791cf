import type { Connection, ConnectionHandlers, Message, ToCoordinator, ToWorker } from "@tutti/core/wire";
import type { Dice } from "../../packages/tutti/src/chaos/dice.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** What can be done to a link while it is up. */
export interface Link {
  readonly coordinatorEnd: Connection<ToWorker, ToCoordinator>;
  readonly workerEnd: Connection<ToCoordinator, ToWorker>;
  /** From now on nothing arrives in this direction, and nobody is told. */
  silence(direction: "toWorker" | "toCoordinator" | "both"): void;
  /** Adds to the delay of all that is sent from now on. */
  slowDown(extraMs: number): void;
  /** The worker's process is gone: both ends learn of it after the network's delay. */
  kill(): void;
  /** Calls back when the worker has sent so many more messages, before it sends another. */
  afterSent(messages: number, call: () => void): void;
}

interface Direction {
  isSilent: boolean;
  extraMs: number;
  lastFlushMs: number;
  lastArrivalMs: number;
}

/**
 * A connection with random delays. Order within a direction is kept, as TCP does; between links there is none. A payload
 * is read when it is flushed, some time after it was sent: whoever overwrites it before is found out.
 */
export function virtualLink(clock: VirtualClock, dice: Dice): Link {
  const toWorker: Direction = { isSilent: false, extraMs: 0, lastFlushMs: 0, lastArrivalMs: 0 };
  const toCoordinator: Direction = { isSilent: false, extraMs: 0, lastFlushMs: 0, lastArrivalMs: 0 };
  const coordinatorEnd = new VirtualEnd<ToWorker, ToCoordinator>(clock, dice, toWorker);
  const workerEnd = new VirtualEnd<ToCoordinator, ToWorker>(clock, dice, toCoordinator);
  coordinatorEnd.peer = workerEnd;
  workerEnd.peer = coordinatorEnd;
  return {
    coordinatorEnd,
    workerEnd,
    silence(direction) {
      if (direction !== "toCoordinator") toWorker.isSilent = true;
      if (direction !== "toWorker") toCoordinator.isSilent = true;
    },
    slowDown(extraMs) {
      toWorker.extraMs += extraMs;
      toCoordinator.extraMs += extraMs;
    },
    kill() {
      workerEnd.cut("killed");
      clock.setTimer(dice.uniform() * 5, () => coordinatorEnd.cut("the worker's process is gone"));
    },
    afterSent(messages, call) {
      workerEnd.watch = { messages, call };
    },
  };
}

class VirtualEnd<Out extends Message, In extends Message> implements Connection<Out, In> {
  readonly bufferedBytes = 0;
  peer: VirtualEnd<In, Out> | undefined;
  watch: { messages: number; readonly call: () => void } | undefined;
  readonly #clock: VirtualClock;
  readonly #dice: Dice;
  readonly #out: Direction;
  #handlers: ConnectionHandlers<In> | undefined;
  #isClosed = false;

  constructor(clock: VirtualClock, dice: Dice, out: Direction) {
    this.#clock = clock;
    this.#dice = dice;
    this.#out = out;
  }

  listen(handlers: ConnectionHandlers<In>): void {
    this.#handlers = handlers;
  }

  send(message: Out, payload?: Uint8Array, onFlushed?: () => void): void {
    if (this.#isClosed) return;
    const arrivalMs = this.#arrival();
    const earliestMs = Math.max(this.#clock.now(), this.#out.lastFlushMs);
    const flushMs = earliestMs + this.#dice.uniform() * (arrivalMs - earliestMs);
    this.#out.lastFlushMs = flushMs;
    const letter = structuredClone(message);
    let read: Uint8Array | undefined;
    this.#clock.setTimer(flushMs - this.#clock.now(), () => {
      read = payload === undefined ? undefined : Uint8Array.from(payload);
      if (!this.#isClosed) onFlushed?.();
    });
    this.#deliver(arrivalMs, (peer) => peer.arrive(letter, read));
    if (this.watch !== undefined && --this.watch.messages === 0) this.watch.call();
  }

  close(reason: string): void {
    if (this.#isClosed) return;
    this.#deliver(this.#arrival(), (peer) => peer.cut(reason));
    this.cut(reason);
  }

  destroy(): void {
    this.close("destroyed");
  }

  /** This end is closed and told so, in a later event. */
  cut(reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#clock.setTimer(0, () => this.#handlers?.closed(reason));
  }

  arrive(message: In, payload: Uint8Array | undefined): void {
    if (!this.#isClosed) this.#handlers?.message(message, payload);
  }

  #arrival(): number {
    const delayMs = this.#dice.uniform() * (this.#dice.chance(0.05) ? 40 : 3) + this.#out.extraMs;
    this.#out.lastArrivalMs = Math.max(this.#out.lastArrivalMs, this.#clock.now() + delayMs);
    return this.#out.lastArrivalMs;
  }

  #deliver(atMs: number, arrive: (peer: VirtualEnd<In, Out>) => void): void {
    this.#clock.setTimer(atMs - this.#clock.now(), () => {
      if (this.peer !== undefined && !this.#out.isSilent) arrive(this.peer);
    });
  }
}
