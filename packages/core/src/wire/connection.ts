import { TuttiError } from "../errors/index.ts";
import type { Codec } from "./codec.ts";
import type { Message } from "./messages.ts";

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
  /** Bytes queued and not yet handed to the system. */
  readonly bufferedBytes: number;
  /** Set once, before the first message. The payload is only valid during the call. */
  listen(handlers: ConnectionHandlers<In>): void;
  /** Closes with a code and reason; what is queued is still sent. */
  close(reason: string): void;
  /** Cuts the connection at once. */
  destroy(): void;
}

export interface ConnectionHandlers<In extends Message> {
  message(message: In, payload: Uint8Array | undefined): void;
  /** Called once. `error` is set when the peer broke the protocol or the connection failed. */
  closed(reason: string, error?: TuttiError): void;
}

/** What a `ws` WebSocket offers of itself; structural, so that core has no sockets. */
export interface MessageSocket {
  readonly bufferedAmount: number;
  send(data: Uint8Array, options: { binary: boolean; compress: boolean }, callback?: (error?: Error) => void): void;
  close(code: number, reason: string): void;
  terminate(): void;
  on(event: "message", listener: (data: Buffer, isBinary: boolean) => void): unknown;
  on(event: "close", listener: (code: number, reason: Buffer) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
}

/** Largest raw message; longer payloads are cut into several. */
export const frameBytes = 1 << 20;

/** Close codes of the private range (RFC 6455, section 7.4.2). */
export const closeCodes = { normal: 1000, protocol: 4000 } as const;

/**
 * Messages over a WebSocket: one header frame (MessagePack), then the payload as raw binary frames of at most
 * `frameBytes`, without a copy on the sending side. A payload of one frame is handed over as it arrived; longer ones are
 * assembled in a buffer whose size was declared in the header and checked against `maxPayloadBytes`.
 */
export class FramedConnection<Out extends Message, In extends Message> implements Connection<Out, In> {
  readonly #socket: MessageSocket;
  readonly #codec: Codec<Out, In>;
  readonly #maxPayloadBytes: number;
  #handlers: ConnectionHandlers<In> | undefined;
  #pending: PendingPayload<In> | undefined;
  #state: "open" | "closing" | "closed" = "open";
  #failure: TuttiError | undefined;

  constructor(socket: MessageSocket, codec: Codec<Out, In>, limits: { maxPayloadBytes: number }) {
    this.#socket = socket;
    this.#codec = codec;
    this.#maxPayloadBytes = limits.maxPayloadBytes;
    socket.on("message", (data, isBinary) => this.#receive(data, isBinary));
    socket.on("error", (error) => {
      this.#failure ??= new TuttiError("CONNECTION_LOST", `the connection failed: ${error.message}`);
    });
    socket.on("close", (code, reason) => {
      if (this.#state === "closed") return;
      this.#state = "closed";
      this.#handlers?.closed(reason.toString() || `closed with code ${code}`, this.#failure);
    });
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  listen(handlers: ConnectionHandlers<In>): void {
    this.#handlers = handlers;
  }

  send(message: Out, payload?: Uint8Array, onFlushed?: () => void): void {
    if (this.#state !== "open") return;
    const binary = { binary: true, compress: false };
    const last = payload === undefined || payload.byteLength === 0;
    this.#socket.send(this.#codec.encode(message), binary, last ? onFlushed : undefined);
    if (last) return;
    for (let at = 0; at < payload.byteLength; at += frameBytes) {
      const frame = payload.subarray(at, at + frameBytes);
      const isLast = at + frameBytes >= payload.byteLength;
      this.#socket.send(frame, binary, isLast ? onFlushed : undefined);
    }
  }

  close(reason: string): void {
    if (this.#state !== "open") return;
    this.#state = "closing";
    this.#socket.close(closeCodes.normal, truncate(reason));
  }

  destroy(): void {
    if (this.#state === "closed") return;
    this.#state = "closing";
    this.#socket.terminate();
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (this.#state !== "open") return;
    try {
      if (!isBinary) throw new TuttiError("PROTOCOL", "a text frame: expected binary frames only");
      if (this.#pending === undefined) this.#receiveHeader(data);
      else this.#receivePayload(this.#pending, data);
    } catch (error) {
      this.#fail(error);
    }
  }

  #receiveHeader(data: Buffer): void {
    const message = this.#codec.decode(data);
    const bytes = "payloadBytes" in message ? message.payloadBytes : 0;
    if (bytes > this.#maxPayloadBytes) {
      throw new TuttiError(
        "PROTOCOL",
        `${message.type} declares ${bytes} payload bytes, more than the limit of ${this.#maxPayloadBytes}`,
      );
    }
    if (bytes === 0) this.#handlers?.message(message, undefined);
    else this.#pending = { message, bytes, assembled: undefined, received: 0 };
  }

  #receivePayload(pending: PendingPayload<In>, data: Buffer): void {
    const { message, bytes } = pending;
    if (pending.received + data.byteLength > bytes) {
      throw new TuttiError("PROTOCOL", `${message.type}: more payload than the ${bytes} bytes declared`);
    }
    if (data.byteLength === bytes) {
      this.#pending = undefined;
      this.#handlers?.message(message, data);
      return;
    }
    pending.assembled ??= new Uint8Array(bytes);
    pending.assembled.set(data, pending.received);
    pending.received += data.byteLength;
    if (pending.received < bytes) return;
    this.#pending = undefined;
    this.#handlers?.message(message, pending.assembled);
  }

  #fail(error: unknown): void {
    this.#failure =
      error instanceof TuttiError
        ? error
        : new TuttiError("INTERNAL", `handling a message failed: ${String(error)}`, {}, { cause: error });
    this.#state = "closing";
    this.#socket.close(closeCodes.protocol, truncate(this.#failure.message));
    this.#socket.terminate();
  }
}

/** A header whose payload has not all come. */
interface PendingPayload<In> {
  readonly message: In;
  readonly bytes: number;
  assembled: Uint8Array | undefined;
  received: number;
}

/** A close reason may hold 123 bytes (RFC 6455, section 5.5). */
function truncate(reason: string): string {
  let text = reason;
  while (Buffer.byteLength(text) > 123) text = text.slice(0, -1);
  return text;
}
