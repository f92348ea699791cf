import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { TuttiError } from "@tutti/core/errors";
import type { ComputeMemory } from "@tutti/core/kernels";
import {
  BatchingSocket,
  bearsToken,
  type Connection,
  coordinatorCodec,
  FramedConnection,
  maxFrameBytes,
  PayloadChecksum,
  type PeerRules,
  protocolVersion,
  type SharedFile,
  sharedFileHeader,
  subprotocol,
  type ToCoordinator,
  type ToWorker,
} from "@tutti/core/wire";
import { WebSocketServer } from "ws";
import { ConnectionGuard, type ConnectionLimits } from "./connection-guard.ts";
import { checkToken, tokenRecipe } from "./token.ts";
import { WorkerRules } from "./worker-rules.ts";

export type { ConnectionLimits } from "./connection-guard.ts";

/** PEM texts. */
export interface TlsOptions {
  /** The certificate, followed by those it was signed with. */
  readonly cert: string;
  readonly key: string;
}

export interface ServerOptions {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** Workers must send it as a bearer token. Required for any bind but loopback; at least 128 bits. */
  readonly token?: string | undefined;
  /** Speaks wss:// only. */
  readonly tls?: TlsOptions | undefined;
  /** @param address where it comes from. */
  readonly accept: (connection: Connection<ToWorker, ToCoordinator>, address: string) => void;
  /** Where most of what is sent lies. */
  readonly memory?: ComputeMemory;
  readonly limits?: Partial<ConnectionLimits>;
  /** Makes what a connection's worker is held to; by default `WorkerRules`. */
  readonly rules?: () => PeerRules<ToWorker, ToCoordinator>;
  /** The file that a worker shares with this process, by what it says in the header `sharedFileHeader`. */
  readonly sharedFile?: (name: string) => SharedFile | undefined;
}

export interface Server {
  readonly url: string;
  readonly port: number;
  /** Stops listening and lets open connections finish; those still open after `graceMs` are cut. */
  close(graceMs?: number): Promise<void>;
}

const loopbackLimits: ConnectionLimits = {
  connections: 2048,
  connectionsPerAddress: 2048,
  unauthenticated: 256,
  unauthenticatedPerAddress: 256,
  handshakeMs: 10_000,
};

/** Local workers share one address; those of other machines do not. */
export const defaultLimits = {
  loopback: loopbackLimits,
  network: { ...loopbackLimits, connectionsPerAddress: 256, unauthenticatedPerAddress: 32 },
} as const;

/** How long open connections have when a server closes. */
export const closeGraceMs = 2000;

/** Listens for workers. Throws PORT_IN_USE, BAD_OPTION. */
export async function serve(options: ServerOptions): Promise<Server> {
  const { host, port, token, tls, accept, rules = () => new WorkerRules() } = options;
  if (token !== undefined) checkToken(token);
  else if (!isLoopback(host)) {
    throw new TuttiError(
      "BAD_OPTION",
      `--host ${host} can be reached from other machines: set TUTTI_TOKEN or --token-file to a secret, here and for the workers; \`${tokenRecipe}\` makes one`,
    );
  }
  const limits = { ...defaultLimits[isLoopback(host) ? "loopback" : "network"], ...options.limits };
  const http = httpServer(tls);
  http.headersTimeout = limits.handshakeMs;
  http.requestTimeout = limits.handshakeMs;
  const checksum = new PayloadChecksum(options.memory);
  const guard = new ConnectionGuard(http, limits);
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: maxFrameBytes,
    maxFragments: 64, // workers send none; a proxy may cut a message
    autoPong: false, // FramedConnection answers, and counts
    // A worker of another version is told so instead of being met with silence.
    handleProtocols: (offered) => [...offered].find((name) => name.startsWith("tutti.v")) ?? false,
  });
  http.on("upgrade", (request, socket, head) => {
    socket.on("error", () => socket.destroy()); // Node has taken its own listener away
    const refusal = refusalOf(request, token);
    if (refusal !== undefined) {
      refuse(socket, refusal);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      guard.authenticated(request.socket);
      const [name = "", blocks] = String(request.headers[sharedFileHeader] ?? "").split(" ");
      const file = options.sharedFile?.(name);
      const sharesMemory = file !== undefined && blocks === "blocks";
      const batching = new BatchingSocket(webSocket);
      batching.opened(request.socket);
      const socket = file?.wrap(batching, sharesMemory) ?? batching;
      const connection = new FramedConnection(socket, coordinatorCodec(), rules(), {
        bytesRead: () => request.socket.bytesRead,
        sharesMemory,
        checksum,
      });
      if (webSocket.protocol === subprotocol) {
        accept(connection, (request.socket.remoteAddress ?? "").replace(/^::ffff:/, ""));
        return;
      }
      const message = `this coordinator speaks ${subprotocol}, the worker ${webSocket.protocol || "no Tutti protocol"}: install the same version of Tutti on both`;
      connection.send({ type: "goodbye", code: "PROTOCOL", message, rejoin: false });
      connection.destroy(`protocol ${protocolVersion} expected`);
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
    url: `${tls === undefined ? "ws" : "wss"}://${host.includes(":") ? `[${host}]` : host}:${bound.port}`,
    port: bound.port,
    close: async (graceMs = closeGraceMs) => {
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

function httpServer(tls: TlsOptions | undefined) {
  const answer = (_request: IncomingMessage, response: ServerResponse): void => {
    response.writeHead(426, { "content-type": "text/plain", connection: "close" });
    response.end("Tutti speaks WebSocket here\n");
  };
  const connectionsCheckingInterval = 1000;
  if (tls === undefined) return createHttpServer({ connectionsCheckingInterval }, answer);
  try {
    const { cert, key } = tls;
    return createHttpsServer({ cert, key, minVersion: "TLSv1.2", connectionsCheckingInterval }, answer);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new TuttiError(
      "BAD_OPTION",
      `--tls-cert and --tls-key: expected a certificate and its key as PEM texts (${why})`,
      {},
      { cause: error },
    );
  }
}

/** A status line, if a request may not become a WebSocket. */
function refusalOf(request: IncomingMessage, token: string | undefined): string | undefined {
  if (token !== undefined && !bearsToken(request.headers.authorization, token)) return "401 Unauthorized";
  // Only browsers send it. Any web page that someone on this machine opens could otherwise reach a coordinator on loopback.
  if (request.headers.origin !== undefined) return "403 Forbidden";
  return undefined;
}

function refuse(socket: Duplex, status: string): void {
  socket.once("finish", () => socket.destroy());
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}
