import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { OnMessage } from "./connection.ts";
import { RelayedSocket } from "./relayed-socket.ts";

/** What a TCP socket offers to write several things at once, and to see what is read from it. */
export interface ByteStream {
  cork(): void;
  uncork(): void;
  on(event: "data", listener: (bytes: Uint8Array) => void): unknown;
}

/**
 * A WebSocket over a stream of bytes. It writes all frames of one turn of the event loop at once, up to a MiB of them or a call of `flush`: a step's exchange is
 * many small frames, and each write by itself wakes the other end. And it frees the memory that messages were read into as soon as they were
 * heard: every 64 KiB that a socket reads are a buffer of their own, and waiting for the garbage collector, which such buffers
 * call once in a few MB, took a quarter of the time of a step's exchange. So a message is only valid during the call.
 */
export class BatchingSocket extends RelayedSocket {
  readonly #freeing = new Freeing();
  #stream: ByteStream | undefined;
  #isCorked = false;
  #corkedBytes = 0;
  #willFlush = false;
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
      this.#corkedBytes = 0;
      this.#stream.cork();
      if (!this.#willFlush) setImmediate(() => this.#endTurn());
      this.#willFlush = true;
    }
    super.send(data, options, callback);
    this.#corkedBytes += data.byteLength;
    if (this.#corkedBytes >= mostCorkedBytes) this.flush();
  }

  override flush(): void {
    if (!this.#isCorked) return;
    this.#isCorked = false;
    this.#stream?.uncork();
  }

  /** With a copy: it may be written after what the ping was read into is freed. */
  override pong(data: Buffer): void {
    super.pong(Buffer.from(data));
  }

  /** A message ends in what is being read now: all that was read before is over with it. */
  protected override listen(listener: OnMessage): unknown {
    return super.listen((data, isBinary, place) => {
      listener(data, isBinary, place);
      this.#freeing.free(data);
      for (const bytes of this.#read.splice(0)) this.#freeing.free(bytes);
    });
  }

  #endTurn(): void {
    this.#willFlush = false;
    this.flush();
  }
}

/** So much is written without waiting for the turn to end: the other end can begin with it. */
const mostCorkedBytes = 1 << 20;

const leastFreedBytes = 4096;

/** Gives memory back that is nobody else's. */
class Freeing {
  /** For Node 20: what is transferred to a closed port has no owner any more. */
  readonly #nowhere = canTransfer ? undefined : closedPort();

  free({ buffer, byteLength }: Uint8Array): void {
    if (byteLength < leastFreedBytes || buffer.byteLength !== byteLength || !(buffer instanceof ArrayBuffer)) return;
    if (hasTransfer(buffer)) buffer.transfer(0);
    else this.#nowhere?.postMessage(undefined, [buffer]);
  }
}

function closedPort(): MessagePort {
  const { port1, port2 } = new MessageChannel();
  port1.close();
  port2.close();
  return port1;
}

/** ECMAScript 2024. */
interface TransferableBuffer {
  transfer(newLength: number): unknown;
}

const canTransfer = hasTransfer(ArrayBuffer.prototype);

function hasTransfer(buffer: object): buffer is TransferableBuffer {
  return "transfer" in buffer;
}
