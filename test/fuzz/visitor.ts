import {
  type Codec,
  FramedConnection,
  HeaderChecksums,
  type Message,
  type MessageOf,
  type PeerMessage,
  peerCodec,
  subprotocol,
  type ToCoordinator,
  type ToWorker,
  workerCodec,
} from "@tutti/core/wire";
import { WebSocket } from "ws";
import { type Frame, type Header, sealed } from "./mutate.ts";

export interface Target {
  readonly url: string;
  readonly port: number;
  readonly token: string;
  /** What the run's workers say when they are ready. */
  readonly numericClass: string;
}

/** How a visit ended, as the visitor saw it. */
export interface Ending {
  /** Close code of the WebSocket, or status of the HTTP answer; 0 when the socket was closed without one. */
  readonly code: number;
  readonly reason: string;
}

const anything = { maxHeaderBytes: Number.POSITIVE_INFINITY, sent(): void {}, received(): void {} };

/** A WebSocket by which any frames can be sent, in any order, by somebody who should say `Says` and hear `Hears`. */
export class Visitor<Says extends Message = ToCoordinator, Hears extends Message = ToWorker> {
  readonly socket: WebSocket;
  readonly ended: Promise<Ending>;
  readonly #codec: Codec<Says, Hears>;
  readonly #checksums = new HeaderChecksums();
  readonly #heard: Hears[] = [];
  readonly #waiting = new Set<(message: Hears) => void>();

  private constructor(socket: WebSocket, codec: Codec<Says, Hears>) {
    this.socket = socket;
    this.#codec = codec;
    this.ended = new Promise((resolve) => {
      socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    new FramedConnection<Says, Hears>(socket, codec, anything).listen({
      message: (message) => {
        this.#heard.push(message);
        for (const tell of [...this.#waiting]) tell(message);
      },
      closed: () => {},
    });
  }

  /** To a coordinator. */
  static open(target: Target, protocol: string = subprotocol): Promise<Visitor> {
    return opened(target, protocol, (socket) => new Visitor(socket, workerCodec()));
  }

  /** To a worker's port for other workers; `target.token` is the run's key. */
  static openPeer(target: Target): Promise<Visitor<PeerMessage, PeerMessage>> {
    return opened(target, subprotocol, (socket) => new Visitor(socket, peerCodec()));
  }

  get heard(): readonly Hears[] {
    return this.#heard;
  }

  encode(message: Says, payload?: Uint8Array): Header {
    return { bytes: this.#codec.encode(message), payload };
  }

  say(message: Says): void {
    this.raw(this.encode(message));
  }

  /** Does nothing once the connection is closing. */
  raw(frame: Frame): void {
    this.socket.send(sealed(frame, this.#checksums), { binary: typeof frame !== "string" }, () => {});
  }

  /** The first message of that type, past or to come within `withinMs`; undefined otherwise. */
  hears<T extends Hears["type"]>(type: T, withinMs: number): Promise<MessageOf<Hears, T> | undefined> {
    const isIt = (message: Hears): message is MessageOf<Hears, T> => message.type === type;
    const past = this.#heard.find(isIt);
    if (past !== undefined) return Promise.resolve(past);
    return new Promise((resolve) => {
      const finish = (found: MessageOf<Hears, T> | undefined): void => {
        clearTimeout(deadline);
        this.#waiting.delete(tell);
        resolve(found);
      };
      const tell = (message: Hears): void => {
        if (isIt(message)) finish(message);
      };
      const deadline = setTimeout(() => finish(undefined), withinMs);
      this.#waiting.add(tell);
      void this.ended.then(() => finish(undefined));
    });
  }
}

function opened<T>(target: Target, protocol: string, visitor: (socket: WebSocket) => T): Promise<T> {
  const socket = new WebSocket(target.url, protocol === "" ? [] : protocol, {
    headers: { authorization: `Bearer ${target.token}` },
  });
  const found = visitor(socket);
  return new Promise((resolve, reject) => {
    socket.once("open", () => resolve(found));
    socket.once("error", reject);
  });
}

/** Sends frames, then one that no state allows, and waits for the end. */
export async function afterwards(
  visitor: { readonly ended: Promise<Ending>; raw(frame: Frame): void },
  frames: readonly Frame[],
): Promise<Ending> {
  for (const frame of frames) visitor.raw(frame);
  visitor.raw("and good night");
  return visitor.ended;
}
