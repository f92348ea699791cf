import { createHash, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { TuttiError } from "@tutti/core/errors";
import {
  type Connection,
  coordinatorCodec,
  FramedConnection,
  protocolVersion,
  subprotocol,
  type ToCoordinator,
  type ToWorker,
} from "@tutti/core/wire";
import { WebSocketServer } from "ws";

export interface ServerOptions {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** Workers must send it as a bearer token. Required for any bind but loopback. */
  readonly token?: string | undefined;
  readonly accept: (connection: Connection<ToWorker, ToCoordinator>) => void;
  readonly maxPayloadBytes?: number;
  readonly maxConnections?: number;
}

export interface Server {
  readonly url: string;
  readonly port: number;
  /** Stops listening and lets open connections finish; those still open after `graceMs` are cut. */
  close(graceMs?: number): Promise<void>;
}

/** Listens for workers. Throws PORT_IN_USE, BAD_OPTION. */
export async function serve(options: ServerOptions): Promise<Server> {
  const { host, port, token, accept, maxPayloadBytes = 1 << 28, maxConnections = 1024 } = options;
  if (!isLoopback(host) && token === undefined) {
    throw new TuttiError(
      "BAD_OPTION",
      `--host ${host} can be reached from other machines: set TUTTI_TOKEN to a secret of at least 32 characters, here and for the workers`,
    );
  }
  const http = createServer((_request, response) =>
    response.writeHead(426, { "content-type": "text/plain" }).end("Tutti speaks WebSocket here\n"),
  );
  http.headersTimeout = 10_000;
  http.maxConnections = maxConnections;
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: 1 << 21,
    // A worker of another version is told so instead of being met with silence.
    handleProtocols: (offered) => [...offered].find((name) => name.startsWith("tutti.v")) ?? false,
  });
  http.on("upgrade", (request, socket, head) => {
    if (token !== undefined && !bears(request, token)) {
      socket.end("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
      return;
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      const connection = new FramedConnection(webSocket, coordinatorCodec(), { maxPayloadBytes });
      if (webSocket.protocol === subprotocol) {
        accept(connection);
        return;
      }
      const message = `this coordinator speaks ${subprotocol}, the worker ${webSocket.protocol || "no Tutti protocol"}: install the same version of Tutti on both`;
      connection.send({ type: "goodbye", code: "PROTOCOL", message, rejoin: false });
      connection.close(`protocol ${protocolVersion} expected`);
    });
  });
  await new Promise<void>((resolve, reject) => {
    http.once("error", (error: NodeJS.ErrnoException) => {
      const what =
        error.code === "EADDRINUSE" ? "is in use: choose another with --port, or 0 for any free one" : error.message;
      const code = error.code === "EADDRINUSE" ? "PORT_IN_USE" : "BAD_OPTION";
      reject(new TuttiError(code, `port ${port} on ${host} ${what}`, {}, { cause: error }));
    });
    http.listen(port, host, resolve);
  });
  const bound = http.address() as AddressInfo; // listening on TCP
  return {
    url: `ws://${host.includes(":") ? `[${host}]` : host}:${bound.port}`,
    port: bound.port,
    close: async (graceMs = 2000) => {
      const closed = new Promise<void>((resolve) => http.close(() => resolve()));
      const cut = setTimeout(() => {
        for (const webSocket of sockets.clients) webSocket.terminate();
        http.closeAllConnections();
      }, graceMs);
      if (sockets.clients.size === 0) http.closeAllConnections();
      await closed;
      clearTimeout(cut);
    },
  };
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Compares digests in constant time, so that neither content nor length leaks. */
function bears(request: IncomingMessage, token: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(request.headers.authorization ?? ""), digest(`Bearer ${token}`));
}
