import { type AddressInfo, createServer, type Server, type Socket, connect as tcpConnect } from "node:net";

/** Up: from the worker to the coordinator. */
export type Direction = "up" | "down";

export interface LinkOptions {
  /** Port of the coordinator on this machine; undefined while there is none. */
  readonly coordinatorPort: () => number | undefined;
  /** Told of all bytes that arrive at the link. */
  readonly onBytes: (count: number) => void;
}

/** Bytes that may wait in one direction of a connection before its sender has to. */
const highWaterBytes = 1 << 20;

/** What holds for all connections of a link, now and to come. */
interface Conditions {
  delayMs: number;
  bytesPerSecond: number;
  isDown: boolean;
}

/**
 * A worker's way to the coordinator: a relay on loopback that behaves like a network at its worst. Deterministic about
 * what it does to bytes; when they come is the machine's business.
 */
export class Link {
  readonly #server: Server;
  readonly #options: LinkOptions;
  readonly #passages = new Set<Passage>();
  readonly #conditions: Conditions = { delayMs: 0, bytesPerSecond: Number.POSITIVE_INFINITY, isDown: false };

  static async open(options: LinkOptions): Promise<Link> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", resolve);
    });
    return new Link(server, options);
  }

  private constructor(server: Server, options: LinkOptions) {
    this.#server = server;
    this.#options = options;
    server.on("connection", (worker) => {
      const port = options.coordinatorPort();
      if (port === undefined) {
        worker.on("error", () => {});
        worker.resetAndDestroy();
        return;
      }
      const coordinator = tcpConnect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true });
      const passage = new Passage(worker, coordinator, this.#conditions, this.#options.onBytes);
      this.#passages.add(passage);
      passage.onGone = () => this.#passages.delete(passage);
    });
  }

  /** Where the worker connects to. */
  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}`; // it listens on TCP
  }

  /** Whether a connection goes through it both ways. */
  get isConnected(): boolean {
    return [...this.#passages].some(({ isSwallowed }) => !isSwallowed);
  }

  /** Ends the connections; with a reset, what is under way is lost. */
  cut(withReset: boolean): void {
    for (const passage of this.#passages) passage.cut(withReset);
  }

  /** What is sent on today's connections in these directions vanishes, and neither side learns of the other's end. */
  swallow(directions: readonly Direction[]): void {
    for (const passage of this.#passages) for (const direction of directions) passage.swallow(direction);
  }

  /** Nothing gets through, and nothing is lost, until `up()`. */
  down(): void {
    this.#conditions.isDown = true;
  }

  up(): void {
    this.#conditions.isDown = false;
    for (const passage of this.#passages) passage.pump();
  }

  /** Makes every byte arrive later. 0 ends it. */
  delay(ms: number): void {
    this.#conditions.delayMs = ms;
  }

  /** Infinity ends it. */
  limit(bytesPerSecond: number): void {
    this.#conditions.bytesPerSecond = bytesPerSecond;
    if (bytesPerSecond === Number.POSITIVE_INFINITY) for (const passage of this.#passages) passage.pump();
  }

  /** Flips one bit (0 to 7) of the byte that comes after `afterBytes` more in a direction. */
  corrupt(direction: Direction, afterBytes: number, bit: number): void {
    for (const passage of this.#passages) passage.corrupt(direction, afterBytes, bit);
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.cut(false);
    await closed;
  }
}

/** One connection through a link: a socket to each end, a pipe for each direction. */
class Passage {
  onGone: () => void = () => {};
  readonly #ends: readonly [Socket, Socket];
  readonly #pipes: Readonly<Record<Direction, Pipe>>;
  #open = 2;

  constructor(worker: Socket, coordinator: Socket, conditions: Conditions, onBytes: (count: number) => void) {
    this.#ends = [worker, coordinator];
    this.#pipes = {
      up: new Pipe(worker, coordinator, conditions, onBytes),
      down: new Pipe(coordinator, worker, conditions, onBytes),
    };
    for (const end of this.#ends) {
      end.on("error", () => {}); // "close" follows
      end.once("close", () => {
        this.#open--;
        if (this.#open === 0) this.onGone();
      });
    }
  }

  get isSwallowed(): boolean {
    return this.#pipes.up.isSwallowed || this.#pipes.down.isSwallowed;
  }

  cut(withReset: boolean): void {
    for (const end of this.#ends) {
      if (withReset) end.resetAndDestroy();
      else end.destroy();
    }
  }

  swallow(direction: Direction): void {
    this.#pipes[direction].isSwallowed = true;
  }

  corrupt(direction: Direction, afterBytes: number, bit: number): void {
    this.#pipes[direction].damage = { afterBytes, bit };
  }

  pump(): void {
    for (const pipe of Object.values(this.#pipes)) pipe.pump();
  }
}

/** One direction of a connection. */
class Pipe {
  isSwallowed = false;
  damage: { readonly afterBytes: number; readonly bit: number } | undefined;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #conditions: Conditions;
  /** In order; undefined is the end of the stream. */
  readonly #waiting: { readonly chunk: Buffer | undefined; readonly dueMs: number }[] = [];
  #waitingBytes = 0;
  #freeAtMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(from: Socket, to: Socket, conditions: Conditions, onBytes: (count: number) => void) {
    this.#from = from;
    this.#to = to;
    this.#conditions = conditions;
    from.on("data", (chunk: Buffer) => {
      if (this.isSwallowed) return;
      onBytes(chunk.byteLength);
      this.#enqueue(this.#damaged(chunk));
    });
    from.once("end", () => this.#enqueue(undefined));
    from.once("close", (hadError) => {
      if (!this.isSwallowed && (hadError || !from.readableEnded)) to.destroy();
    });
    to.once("close", () => clearTimeout(this.#timer));
    to.on("drain", () => this.pump());
  }

  /** Hands on what may go. */
  pump(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (;;) {
      const next = this.#waiting[0];
      if (next === undefined || this.#conditions.isDown || this.#to.writableNeedDrain) break;
      const nowMs = performance.now();
      const waitMs = Math.max(next.dueMs, this.#freeAtMs) - nowMs;
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.pump(), waitMs);
        break;
      }
      this.#waiting.shift();
      if (this.isSwallowed) continue;
      if (next.chunk === undefined) {
        this.#to.end();
        continue;
      }
      this.#waitingBytes -= next.chunk.byteLength;
      this.#freeAtMs = nowMs + (next.chunk.byteLength / this.#conditions.bytesPerSecond) * 1000;
      this.#to.write(next.chunk);
    }
    if (this.#waitingBytes < highWaterBytes) this.#from.resume();
  }

  /** A narrow link lets bytes trickle, as networks do, instead of coming in lumps. */
  #enqueue(chunk: Buffer | undefined): void {
    const dueMs = performance.now() + this.#conditions.delayMs;
    const most = Math.max(512, Math.ceil(this.#conditions.bytesPerSecond / 50));
    if (chunk === undefined || chunk.byteLength <= most) this.#waiting.push({ chunk, dueMs });
    else
      for (let at = 0; at < chunk.byteLength; at += most)
        this.#waiting.push({ chunk: chunk.subarray(at, at + most), dueMs });
    this.#waitingBytes += chunk?.byteLength ?? 0;
    if (this.#waitingBytes >= highWaterBytes) this.#from.pause();
    this.pump();
  }

  #damaged(chunk: Buffer): Buffer {
    if (this.damage === undefined) return chunk;
    const { afterBytes, bit } = this.damage;
    if (afterBytes >= chunk.byteLength) {
      this.damage = { afterBytes: afterBytes - chunk.byteLength, bit };
      return chunk;
    }
    this.damage = undefined;
    const copy = Buffer.from(chunk);
    copy[afterBytes]! ^= 1 << bit;
    return copy;
  }
}
