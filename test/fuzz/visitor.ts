import {
  FramedConnection,
  HeaderChecksums,
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

/** A WebSocket to a coordinator by which any frames can be sent, in any order. */
export class Visitor {
  readonly socket: WebSocket;
  readonly ended: Promise<Ending>;
  readonly #codec = workerCodec();
  readonly #checksums = new HeaderChecksums();
  readonly #heard: ToWorker[] = [];
  readonly #waiting = new Set<(message: ToWorker) => void>();

  private constructor(socket: WebSocket) {
    this.socket = socket;
    this.ended = new Promise((resolve) => {
      socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    new FramedConnection<ToCoordinator, ToWorker>(socket, this.#codec, anything).listen({
      message: (message) => {
        this.#heard.push(message);
        for (const tell of [...this.#waiting]) tell(message);
      },
      closed: () => {},
    });
  }

  static open(target: Target, protocol: string = subprotocol): Promise<Visitor> {
    const socket = new WebSocket(target.url, protocol === "" ? [] : protocol, {
      headers: { authorization: `Bearer ${target.token}` },
    });
    const visitor = new Visitor(socket);
    return new Promise((resolve, reject) => {
      socket.once("open", () => resolve(visitor));
      socket.once("error", reject);
    });
  }

  get heard(): readonly ToWorker[] {
    return this.#heard;
  }

  encode(message: ToCoordinator, payload?: Uint8Array): Header {
    return { bytes: this.#codec.encode(message), payload };
  }

  say(message: ToCoordinator): void {
    this.raw(this.encode(message));
  }

  /** Does nothing once the connection is closing. */
  raw(frame: Frame): void {
    this.socket.send(sealed(frame, this.#checksums), { binary: typeof frame !== "string" }, () => {});
  }

  /** The first message of that type, past or to come within `withinMs`; undefined otherwise. */
  hears<T extends ToWorker["type"]>(type: T, withinMs: number): Promise<Extract<ToWorker, { type: T }> | undefined> {
    const isIt = (message: ToWorker): message is Extract<ToWorker, { type: T }> => message.type === type;
    const past = this.#heard.find(isIt);
    if (past !== undefined) return Promise.resolve(past);
    return new Promise((resolve) => {
      const finish = (found: Extract<ToWorker, { type: T }> | undefined): void => {
        clearTimeout(deadline);
        this.#waiting.delete(tell);
        resolve(found);
      };
      const tell = (message: ToWorker): void => {
        if (isIt(message)) finish(message);
      };
      const deadline = setTimeout(() => finish(undefined), withinMs);
      this.#waiting.add(tell);
      void this.ended.then(() => finish(undefined));
    });
  }
}
