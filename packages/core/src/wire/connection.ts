import { type Clock, systemClock } from "../clock/index.ts";
import { TuttiError } from "../errors/index.ts";
import { checkPayload, frameBytes, HeaderChecksums, PayloadChecksum } from "./checksum.ts";
import type { Codec } from "./codec.ts";
import type { Message } from "./messages.ts";
import { type PeerRules, RateLimit } from "./peer-rules.ts";
import { printable } from "./printable.ts";

/**
 * An ordered, reliable stream of messages to one peer, each with an optional tensor payload. Over a WebSocket
 * (`FramedConnection`), in one process (`connectionPair`), or in the simulator.
 */
export interface Connection<Out extends Message, In extends Message> {
  /**
   * Queues a message. `payload` is not copied: its bytes must stay as they are until `onFlushed` is called (they were
   * handed to the peer) or the connection has closed. Does nothing once closed.
   */
  send(message: Out, payload?: Uint8Array, onFlushed?: () => void): void;
  /** Hands what is queued to the system now, not when this turn of the event loop ends: the peer can begin with it meanwhile. */
  flush(): void;
  /** Bytes queued and not yet handed to the system. */
  readonly bufferedBytes: number;
  /**
   * The other end reads what lies in shared memory where it is, instead of a copy: such a payload must stay as it is until
   * the round that it belongs to is over, not only until `onFlushed`.
   */
  readonly sharesMemory: boolean;
  /** Grows whenever something arrives, also by parts of a message: bytes, or messages within one process. */
  readonly arrivedBytes: number;
  /** Called once; what has happened until then is told now. The payload is only valid during the call. */
  listen(handlers: ConnectionHandlers<In>): void;
  /** Closes with a code and reason; what is queued is still sent. */
  close(reason: string): void;
  /** Ends the connection at once: nothing more is sent but the reason, and nothing received. */
  destroy(reason?: string): void;
}

export interface ConnectionHandlers<In extends Message> {
  message(message: In, payload: Uint8Array | undefined): void;
  /** Called once. `error` is set when the peer broke the protocol, the connection failed, or handling a message did. */
  closed(reason: string, error?: TuttiError): void;
}

/** @param place of data that the other end has named instead of sending it: a view of this end's memory. */
export type OnMessage = (data: Buffer, isBinary: boolean, place?: string) => void;

/** What a `ws` WebSocket offers of itself; structural, so that core has no sockets. */
export interface MessageSocket {
  readonly bufferedAmount: number;
  /** How `send` names these bytes to the other end, which sees them where they are; undefined if it sends them. */
  placeOf?(data: Uint8Array): string | undefined;
  send(data: Uint8Array, options: { binary: boolean; compress: boolean }, callback?: (error?: Error) => void): void;
  /** Writes what waits for the turn to end; a socket that writes at once has none. */
  flush?(): void;
  close(code: number, reason: string): void;
  terminate(): void;
  pong(data: Buffer): void;
  on(event: "ping", listener: (data: Buffer) => void): unknown;
  on(event: "message", listener: OnMessage): unknown;
  on(event: "close", listener: (code: number, reason: Buffer) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
}

/** Largest header frame of any state; what a WebSocket may buffer of one message. */
export const maxFrameBytes = 1 << 21;

/**
 * Close codes of the private range (RFC 6455, section 7.4.2). protocol: the peer broke the protocol · dropped: it is not
 * wanted any more, such as after silence · damaged: what came is not what was sent, which says nothing of the peer. And of
 * the registered ones, internal: this side failed, such as for want of memory.
 */
export const closeCodes = { normal: 1000, internal: 1011, protocol: 4000, dropped: 4001, damaged: 4002 } as const;

/** How long a peer that is cut off has to take note of the reason, and one that is closed to take what is queued. */
export const farewellMs = { cut: 1000, close: 10_000 } as const;

export interface FramedConnectionParts {
  /** The machine's by default. */
  readonly clock?: Clock;
  /** Bytes read from the socket below; without it only whole frames count as arrived. */
  readonly bytesRead?: () => number;
  /** Both ends name payloads in shared memory instead of sending them. False by default. */
  readonly sharesMemory?: boolean;
  /** Made for the memory that payloads lie in. */
  readonly checksum?: PayloadChecksum;
}

/**
 * Messages over a WebSocket: one header frame (MessagePack), then the payload as raw binary frames of exactly
 * `frameBytes` but for the last, without a copy on the sending side. A payload of one frame is handed over as it arrived;
 * longer ones are assembled in a buffer whose size was declared in the header and passed the rules. The socket must not
 * answer pings by itself.
 */
export class FramedConnection<Out extends Message, In extends Message> implements Connection<Out, In> {
  readonly sharesMemory: boolean;
  readonly #socket: MessageSocket;
  readonly #codec: Codec<Out, In>;
  readonly #rules: PeerRules<Out, In>;
  readonly #clock: Clock;
  readonly #bytesRead: () => number;
  readonly #pings: RateLimit;
  readonly #checksum: PayloadChecksum;
  readonly #sent: HeaderChecksums;
  readonly #received: HeaderChecksums;
  /** Messages that came before anybody listened; the rules keep them few. */
  readonly #early: { readonly message: In; readonly payload: Uint8Array | undefined }[] = [];
  #handlers: ConnectionHandlers<In> | undefined;
  #end: string | undefined;
  #pending: PendingPayload<In> | undefined;
  #state: "open" | "closing" | "closed" = "open";
  #failure: TuttiError | undefined;
  #reason: string | undefined;
  #farewell: { cancel(): void } | undefined;
  #frameBytes = 0;

  constructor(
    socket: MessageSocket,
    codec: Codec<Out, In>,
    rules: PeerRules<Out, In>,
    parts: FramedConnectionParts = {},
  ) {
    const { clock = systemClock(), bytesRead = () => this.#frameBytes, sharesMemory = false } = parts;
    this.sharesMemory = sharesMemory;
    this.#checksum = parts.checksum ?? new PayloadChecksum();
    this.#sent = new HeaderChecksums(this.#checksum);
    this.#received = new HeaderChecksums(this.#checksum);
    this.#socket = socket;
    this.#codec = codec;
    this.#rules = rules;
    this.#clock = clock;
    this.#bytesRead = bytesRead;
    this.#pings = new RateLimit(100, 1, () => clock.now());
    socket.on("message", (data, isBinary, place) => this.#receive(data, isBinary, place));
    socket.on("ping", (data) => this.#pong(data));
    socket.on("error", (error) => {
      const isProtocol = "code" in error && String(error.code).startsWith("WS_ERR_");
      this.#failure ??= new TuttiError(
        isProtocol ? "PROTOCOL" : "CONNECTION_LOST",
        `the connection failed: ${printable(error.message)}`,
      );
      if (this.#state !== "open") return;
      // `ws` has sent a close frame of its own, and reads on without looking at it what is still under way.
      this.#state = "closing";
      this.#terminateAfter(farewellMs.cut);
    });
    socket.on("close", (code, reason) => {
      this.#farewell?.cancel();
      const said = printable(reason.toString());
      if (code === closeCodes.protocol && this.#state === "open")
        this.#failure ??= new TuttiError("PROTOCOL", `the other side says that this one broke the protocol: ${said}`);
      this.#finish(this.#reason ?? (said || `closed with code ${code}`));
    });
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  get arrivedBytes(): number {
    return this.#bytesRead();
  }

  listen(handlers: ConnectionHandlers<In>): void {
    this.#handlers = handlers;
    const end = this.#end;
    try {
      for (const { message, payload } of this.#early.splice(0)) handlers.message(message, payload);
    } catch (error) {
      this.#fail(error);
    }
    if (end !== undefined) queueMicrotask(() => handlers.closed(end, this.#failure));
  }

  /** Throws PROTOCOL for a header that is larger than any peer accepts. */
  send(message: Out, payload?: Uint8Array, onFlushed?: () => void): void {
    if (this.#state !== "open") return;
    const binary = { binary: true, compress: false };
    const last = payload === undefined || payload.byteLength === 0;
    const place = last ? undefined : this.#socket.placeOf?.(payload);
    const isSummed = !last && !isCheckedLater(message);
    const summed = place === undefined ? (isSummed ? payload : undefined) : Buffer.from(place, "latin1");
    const header = this.#sent.seal(this.#codec.encode(message), summed);
    if (header.byteLength > maxFrameBytes) {
      throw new TuttiError(
        "PROTOCOL",
        `the header of ${message.type} has ${header.byteLength} bytes, at most ${maxFrameBytes} can be sent`,
      );
    }
    this.#rules.sent(message);
    this.#socket.send(header, binary, last ? onFlushed : undefined);
    if (last) return;
    if (place !== undefined) {
      this.#socket.send(payload, binary, onFlushed);
      return;
    }
    for (let at = 0; at < payload.byteLength; at += frameBytes) {
      const frame = payload.subarray(at, at + frameBytes);
      const isLast = at + frameBytes >= payload.byteLength;
      this.#socket.send(frame, binary, isLast ? onFlushed : undefined);
    }
  }

  flush(): void {
    if (this.#state === "open") this.#socket.flush?.();
  }

  close(reason: string): void {
    if (this.#state !== "open") return;
    this.#state = "closing";
    this.#socket.close(closeCodes.normal, truncate(reason));
    this.#terminateAfter(farewellMs.close);
  }

  destroy(reason = "dropped"): void {
    if (this.#state === "closed") return;
    this.#state = "closing";
    this.#reason = reason;
    this.#cut(closeCodes.dropped, reason);
  }

  #receive(data: Buffer, isBinary: boolean, place: string | undefined): void {
    this.#frameBytes += data.byteLength;
    if (this.#state !== "open") return;
    try {
      if (!isBinary) throw new TuttiError("PROTOCOL", "a text frame: expected binary frames only");
      if (place !== undefined) this.#receivePlace(data, place);
      else if (this.#pending === undefined) this.#receiveHeader(data);
      else this.#receivePayload(this.#pending, data);
    } catch (error) {
      this.#fail(error);
    }
  }

  #receiveHeader(data: Buffer): void {
    const { maxHeaderBytes } = this.#rules;
    if (data.byteLength > maxHeaderBytes) {
      throw new TuttiError(
        "PROTOCOL",
        `a header frame of ${data.byteLength} bytes: at most ${maxHeaderBytes} are accepted now`,
      );
    }
    const { header, payloadChecksum } = this.#received.open(data);
    const message = this.#codec.decode(Buffer.from(header)); // parts of a message are views of it
    this.#rules.received(message);
    const bytes = "payloadBytes" in message ? message.payloadBytes : 0;
    if (bytes === 0) this.#deliver(message, undefined);
    else this.#pending = { message, bytes, expected: payloadChecksum, checksum: 0n, assembled: undefined, received: 0 };
  }

  /** A payload that was not sent but named: whole, and as it is at the other end; what could be damaged is its name. */
  #receivePlace(data: Buffer, place: string): void {
    const pending = this.#pending;
    if (pending === undefined || pending.received > 0 || data.byteLength !== pending.bytes)
      throw new TuttiError("PROTOCOL", `${data.byteLength} bytes of shared memory that no header announced`);
    this.#pending = undefined;
    checkPayload(pending.message.type, this.#checksum.of(Buffer.from(place, "latin1")), pending.expected);
    this.#deliver(pending.message, data);
  }

  #receivePayload(pending: PendingPayload<In>, data: Buffer): void {
    const { message, bytes } = pending;
    const expected = Math.min(frameBytes, bytes - pending.received);
    if (data.byteLength !== expected) {
      throw new TuttiError(
        "PROTOCOL",
        `${message.type}: a payload frame of ${data.byteLength} bytes, expected ${expected} (${pending.received} of ${bytes} are here)`,
      );
    }
    if (!isCheckedLater(message)) pending.checksum = this.#checksum.continued(pending.checksum, data);
    pending.received += data.byteLength;
    if (data.byteLength < bytes) {
      pending.assembled ??= new Uint8Array(bytes);
      pending.assembled.set(data, pending.received - data.byteLength);
      if (pending.received < bytes) return;
    }
    this.#pending = undefined;
    if (!isCheckedLater(message)) checkPayload(message.type, pending.checksum, pending.expected);
    this.#deliver(message, pending.assembled ?? data);
  }

  #deliver(message: In, payload: Uint8Array | undefined): void {
    if (this.#handlers === undefined) this.#early.push({ message, payload: payload && Uint8Array.from(payload) });
    else this.#handlers.message(message, payload);
  }

  /** Answers a ping unless the peer does not read or floods: an answer may never wait in memory. */
  #pong(data: Buffer): void {
    if (this.#state !== "open") return;
    if (!this.#pings.take()) this.#fail(new TuttiError("PROTOCOL", "a flood of pings"));
    else if (this.#socket.bufferedAmount === 0) this.#socket.pong(data);
  }

  #fail(error: unknown): void {
    const failure =
      error instanceof TuttiError
        ? error
        : new TuttiError("INTERNAL", `handling a message failed: ${String(error)}`, {}, { cause: error });
    if (this.#state === "open") this.#cut(closeCodeOf(failure), failure.message);
    this.#failure = failure;
    this.#finish(failure.message);
  }

  /** Tells the peer why, if that does not have to wait behind much else, and does not wait long for it. */
  #cut(code: number, reason: string): void {
    if (this.#socket.bufferedAmount > frameBytes) {
      this.#socket.terminate();
      return;
    }
    this.#socket.close(code, truncate(reason));
    this.#terminateAfter(farewellMs.cut);
  }

  #terminateAfter(ms: number): void {
    this.#farewell?.cancel();
    this.#farewell = this.#clock.setTimer(ms, () => this.#socket.terminate());
  }

  #finish(reason: string): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#pending = undefined;
    this.#end = reason;
    this.#handlers?.closed(reason, this.#failure);
  }
}

/** A header whose payload has not all come. */
interface PendingPayload<In> {
  readonly message: In;
  readonly bytes: number;
  /** What the checksum is to be, and what it is up to here. */
  readonly expected: bigint;
  checksum: bigint;
  assembled: Uint8Array | undefined;
  received: number;
}

/** The commit carries the hash of all updates: a checksum of each would be paid for once more for every worker. */
function isCheckedLater({ type }: Message): boolean {
  return type === "update";
}

function closeCodeOf({ code }: TuttiError): number {
  if (code === "INTERNAL") return closeCodes.internal;
  return code === "CONNECTION_LOST" ? closeCodes.damaged : closeCodes.protocol;
}

/** A close reason may hold 123 bytes (RFC 6455, section 5.5). */
function truncate(reason: string): string {
  let text = reason.slice(0, 123);
  while (Buffer.byteLength(text) > 123) text = text.slice(0, -1);
  return text;
}
