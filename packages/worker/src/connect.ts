import { TuttiError } from "@tutti/core/errors";
import { FramedConnection, subprotocol, type ToCoordinator, type ToWorker, workerCodec } from "@tutti/core/wire";
import { WebSocket } from "ws";

export interface ConnectOptions {
  /** ws://host:port or wss://host:port of a coordinator. */
  readonly url: string;
  readonly token?: string | undefined;
  readonly timeoutMs: number;
  readonly maxPayloadBytes: number;
}

/**
 * Opens a WebSocket to a coordinator. Frames carry an all-zero masking key (RFC 6455, section 5.3), for which `ws`
 * skips the masking loop: masking protects shared HTTP proxies from scripts in browsers, which is not the case here.
 * Throws UNREACHABLE, UNAUTHORIZED or PROTOCOL.
 */
export function connect(options: ConnectOptions): Promise<FramedConnection<ToCoordinator, ToWorker>> {
  const { url, token, timeoutMs, maxPayloadBytes } = options;
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, subprotocol, {
      handshakeTimeout: timeoutMs,
      perMessageDeflate: false,
      maxPayload: 1 << 21,
      generateMask: (mask) => mask.fill(0),
      ...(token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }),
    });
    const connection = new FramedConnection(socket, workerCodec(), { maxPayloadBytes });
    const fail = (error: TuttiError): void => {
      socket.removeAllListeners("error");
      socket.on("error", () => {});
      socket.terminate();
      reject(error);
    };
    socket.once("open", () => resolve(connection));
    socket.once("unexpected-response", (_request, response) => {
      const status = response.statusCode ?? 0;
      if (status === 401)
        fail(new TuttiError("UNAUTHORIZED", `${url} wants another token: set TUTTI_TOKEN to the coordinator's`));
      else
        fail(new TuttiError("PROTOCOL", `${url} answered HTTP ${status}: is it a Tutti coordinator of this version?`));
    });
    socket.once("error", (error) => {
      fail(new TuttiError("UNREACHABLE", `no coordinator answers at ${url}: ${reasonOf(error)}`, {}, { cause: error }));
    });
  });
}

function reasonOf(error: Error): string {
  return error.message === "" && "code" in error ? String(error.code) : error.message;
}
