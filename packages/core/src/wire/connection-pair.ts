import type { Connection, ConnectionHandlers } from "./connection.ts";
import type { Message, ToCoordinator, ToWorker } from "./messages.ts";

/**
 * The two ends of a connection within one process. Messages arrive in order, never within `send`.
 * @param sharesMemory both ends use one arena.
 */
export function connectionPair(sharesMemory = false): {
  coordinatorEnd: Connection<ToWorker, ToCoordinator>;
  workerEnd: Connection<ToCoordinator, ToWorker>;
} {
  const coordinatorEnd = new LocalEnd<ToWorker, ToCoordinator>(sharesMemory);
  const workerEnd = new LocalEnd<ToCoordinator, ToWorker>(sharesMemory);
  coordinatorEnd.peer = workerEnd;
  workerEnd.peer = coordinatorEnd;
  return { coordinatorEnd, workerEnd };
}

interface Parcel<M> {
  readonly message: M;
  readonly payload: Uint8Array | undefined;
  readonly onFlushed: (() => void) | undefined;
}

class LocalEnd<Out extends Message, In extends Message> implements Connection<Out, In> {
  peer: LocalEnd<In, Out> | undefined;
  #handlers: ConnectionHandlers<In> | undefined;
  #closed = false;
  #inbox: Parcel<In>[] = [];
  #scheduled = false;

  readonly sharesMemory: boolean;
  readonly bufferedBytes = 0;
  arrivedBytes = 0;

  constructor(sharesMemory: boolean) {
    this.sharesMemory = sharesMemory;
  }

  listen(handlers: ConnectionHandlers<In>): void {
    this.#handlers = handlers;
  }

  send(message: Out, payload?: Uint8Array, onFlushed?: () => void): void {
    if (!this.#closed) this.peer?.receive({ message, payload, onFlushed });
  }

  /** What is sent arrives in a microtask. */
  flush(): void {}

  close(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.peer?.receive(undefined, reason);
    setImmediate(() => this.#handlers?.closed(reason));
  }

  destroy(): void {
    this.close("destroyed");
  }

  receive(parcel: Parcel<In> | undefined, closeReason = ""): void {
    if (parcel === undefined) {
      setImmediate(() => {
        if (this.#closed) return;
        this.#closed = true;
        this.#handlers?.closed(closeReason);
      });
      return;
    }
    this.arrivedBytes++;
    this.#inbox.push(parcel);
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => this.#drain());
  }

  #drain(): void {
    this.#scheduled = false;
    const parcels = this.#inbox;
    this.#inbox = [];
    for (const { message, payload, onFlushed } of parcels) {
      if (this.#closed) return;
      this.#handlers?.message(message, payload);
      onFlushed?.();
    }
  }
}
