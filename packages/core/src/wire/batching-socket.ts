import type { OnMessage } from "./connection.ts";
import { RelayedSocket } from "./relayed-socket.ts";

/** What a TCP socket offers to write several things at once, and to see what is read from it. */
export interface ByteStream {
  cork(): void;
  uncork(): void;
  on(event: "data", listener: (bytes: Uint8Array) => void): unknown;
}

/**
 * A WebSocket over a stream of bytes. It writes all frames of one turn of the event loop at once: a step's exchange is many small
 * frames, and each write by itself wakes the other end. And it frees the memory that messages were read into as soon as they were
 * heard: every 64 KiB that a socket reads are a buffer of their own, and waiting for the garbage collector, which such buffers
 * call once in a few MB, took a quarter of the time of a step's exchange. So a message is only valid during the call.
 */
export class BatchingSocket extends RelayedSocket {
  #stream: ByteStream | undefined;
  #isCorked = false;
  /** What was read, and perhaps not heard. */
  #read: Uint8Array[] = [];

  /** Once `socket` itself listens to `stream`, which it writes to: what it gets first, it has taken when it is heard of here. */
  opened(stream: ByteStream): void {
    this.#stream = stream;
    stream.on("data", (bytes) => this.#read.push(bytes));
  }

  override send(
    data: Uint8Array,
    options: { binary: boolean; compress: boolean },
    callback?: (error?: Error) => void,
  ): void {
    if (!this.#isCorked && this.#stream !== undefined) {
      this.#isCorked = true;
      this.#stream.cork();
      setImmediate(() => this.#flush());
    }
    super.send(data, options, callback);
  }

  /** With a copy: it may be written after what the ping was read into is freed. */
  override pong(data: Buffer): void {
    super.pong(Buffer.from(data));
  }

  /** A message ends in what is being read now: all that was read before is over with it. */
  protected override listen(listener: OnMessage): unknown {
    return super.listen((data, isBinary, place) => {
      listener(data, isBinary, place);
      free(data);
      for (const bytes of this.#read.splice(0)) free(bytes);
    });
  }

  #flush(): void {
    this.#isCorked = false;
    this.#stream?.uncork();
  }
}

/** Gives memory back that is nobody else's; before Node 22 there is no way to. */
function free({ buffer, byteLength }: Uint8Array): void {
  if (byteLength < leastFreedBytes || buffer.byteLength !== byteLength) return;
  if (buffer instanceof ArrayBuffer && hasTransfer(buffer)) buffer.transfer(0);
}

const leastFreedBytes = 4096;

/** ECMAScript 2024. */
interface TransferableBuffer {
  transfer(newLength: number): unknown;
}

function hasTransfer(buffer: object): buffer is TransferableBuffer {
  return "transfer" in buffer;
}
