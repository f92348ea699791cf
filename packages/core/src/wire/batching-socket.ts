import type { MessageSocket } from "./connection.ts";

/** What a TCP socket offers to write several things at once. */
export interface Corkable {
  cork(): void;
  uncork(): void;
}

/**
 * Writes all frames of one turn of the event loop at once. A step's exchange is many small frames, and each write by itself
 * wakes the other end.
 */
export class BatchingSocket implements MessageSocket {
  readonly #socket: MessageSocket;
  readonly #stream: Corkable;
  #isCorked = false;

  /** @param stream what `socket` writes to. */
  constructor(socket: MessageSocket, stream: Corkable) {
    this.#socket = socket;
    this.#stream = stream;
  }

  get bufferedAmount(): number {
    return this.#socket.bufferedAmount;
  }

  send(data: Uint8Array, options: { binary: boolean; compress: boolean }, callback?: (error?: Error) => void): void {
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#stream.cork();
      setImmediate(() => this.#flush());
    }
    this.#socket.send(data, options, callback);
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  terminate(): void {
    this.#socket.terminate();
  }

  pong(data: Buffer): void {
    this.#socket.pong(data);
  }

  on(event: "message", listener: (data: Buffer, isBinary: boolean) => void): unknown;
  on(event: "ping", listener: (data: Buffer) => void): unknown;
  on(event: "close", listener: (code: number, reason: Buffer) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "message" | "ping" | "close" | "error", listener: (...args: never[]) => void): unknown {
    return this.#socket.on(event as "ping", listener as (data: Buffer) => void);
  }

  #flush(): void {
    this.#isCorked = false;
    this.#stream.uncork();
  }
}
