import type { MessageSocket } from "./connection.ts";
import { RelayedSocket } from "./relayed-socket.ts";

/** What a TCP socket offers to write several things at once. */
export interface Corkable {
  cork(): void;
  uncork(): void;
}

/**
 * Writes all frames of one turn of the event loop at once. A step's exchange is many small frames, and each write by itself
 * wakes the other end.
 */
export class BatchingSocket extends RelayedSocket {
  readonly #stream: Corkable;
  #isCorked = false;

  /** @param stream what `socket` writes to. */
  constructor(socket: MessageSocket, stream: Corkable) {
    super(socket);
    this.#stream = stream;
  }

  override send(
    data: Uint8Array,
    options: { binary: boolean; compress: boolean },
    callback?: (error?: Error) => void,
  ): void {
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#stream.cork();
      setImmediate(() => this.#flush());
    }
    super.send(data, options, callback);
  }

  #flush(): void {
    this.#isCorked = false;
    this.#stream.uncork();
  }
}
