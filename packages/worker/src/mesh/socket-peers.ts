import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { TuttiError } from "@tutti/core/errors";
import type { ComputeMemory } from "@tutti/core/kernels";
import {
  BatchingSocket,
  bearsToken,
  FramedConnection,
  maxFrameBytes,
  PayloadChecksum,
  type PeerMessage,
  type PeerRules,
  peerCodec,
  subprotocol,
} from "@tutti/core/wire";
import { WebSocket, WebSocketServer } from "ws";
import type { PeerConnection, PeerListener, PeerTransport } from "./peer-transport.ts";

type Rules = PeerRules<PeerMessage, PeerMessage>;

export interface SocketPeersOptions {
  /** Address to listen on for other workers. */
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** Where most of what is sent lies. */
  readonly memory?: ComputeMemory;
}

/** Connections at the same time, more than workers that could share a run's shards; and what a handshake may take. */
const mostConnections = 1024;
const mostUnauthenticated = 64;
const handshakeMs = 5000;

/** Other workers over WebSocket, as coordinators are reached; only who shows the run's key gets one. */
export class SocketPeers implements PeerTransport {
  readonly #options: SocketPeersOptions;
  readonly #checksum: PayloadChecksum;

  constructor(options: SocketPeersOptions) {
    this.#options = options;
    this.#checksum = new PayloadChecksum(options.memory);
  }

  async listen(key: string, rules: () => Rules, accept: (connection: PeerConnection) => void): Promise<PeerListener> {
    const { host, port } = this.#options;
    const http = createServer({ connectionsCheckingInterval: 1000 }, (_request, response) => {
      response.writeHead(426, { "content-type": "text/plain", connection: "close" });
      response.end("Tutti speaks WebSocket here\n");
    });
    http.headersTimeout = handshakeMs;
    http.requestTimeout = handshakeMs;
    http.maxConnections = mostConnections + mostUnauthenticated;
    const sockets = new WebSocketServer({
      noServer: true,
      perMessageDeflate: false,
      maxPayload: maxFrameBytes,
      maxFragments: 64,
      autoPong: false, // FramedConnection answers, and counts
      handleProtocols: (offered) => (offered.has(subprotocol) ? subprotocol : false),
    });
    let unauthenticated = 0;
    http.on("connection", (socket) => {
      if (++unauthenticated > mostUnauthenticated) socket.destroy();
      const deadline = setTimeout(() => socket.destroy(), handshakeMs); // cleared when it has become a WebSocket
      const over = (): void => {
        clearTimeout(deadline);
        unauthenticated--;
        socket.off("close", over);
      };
      socket.once("close", over);
      socket.once("authenticated", over);
    });
    http.on("upgrade", (request, socket, head) => {
      socket.on("error", () => socket.destroy());
      const refusal = refusalOf(request, key, sockets.clients.size);
      if (refusal !== undefined) {
        socket.once("finish", () => socket.destroy());
        socket.end(`HTTP/1.1 ${refusal}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
        return;
      }
      sockets.handleUpgrade(request, socket, head, (webSocket) => {
        request.socket.emit("authenticated");
        const batching = new BatchingSocket(webSocket);
        batching.opened(request.socket);
        const bytesRead = (): number => request.socket.bytesRead;
        accept(new FramedConnection(batching, peerCodec(), rules(), { bytesRead, checksum: this.#checksum }));
      });
    });
    await new Promise<void>((resolve, reject) => {
      http.once("error", reject);
      http.listen(port, host, resolve);
    });
    const bound = http.address() as AddressInfo; // listening on TCP
    return { host: bound.address, port: bound.port, close: () => void http.close() };
  }

  connect(host: string, port: number, key: string, rules: Rules): Promise<PeerConnection> {
    const url = `ws://${host.includes(":") ? `[${host}]` : host}:${port}`;
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url, subprotocol, {
        handshakeTimeout: handshakeMs,
        perMessageDeflate: false,
        maxPayload: maxFrameBytes,
        maxFragments: 64,
        autoPong: false,
        generateMask: (mask) => mask.fill(0), // see connect.ts
        headers: { authorization: `Bearer ${key}` },
      });
      let tcp: Socket | undefined;
      socket.once("upgrade", (response) => {
        tcp = response.socket;
      });
      const batching = new BatchingSocket(socket);
      const connection = new FramedConnection(batching, peerCodec(), rules, {
        bytesRead: () => tcp?.bytesRead ?? 0,
        checksum: this.#checksum,
      });
      const failed = (error: Error): void => reject(new TuttiError("UNREACHABLE", `${url}: ${error.message}`));
      socket.once("error", failed);
      socket.once("open", () => {
        socket.off("error", failed);
        if (tcp !== undefined) batching.opened(tcp);
        resolve(connection);
      });
    });
  }
}

/** A status line, if a request may not become a WebSocket. */
function refusalOf(request: IncomingMessage, key: string, connections: number): string | undefined {
  if (!bearsToken(request.headers.authorization, key)) return "401 Unauthorized";
  if (request.headers.origin !== undefined) return "403 Forbidden"; // only browsers send it
  return connections >= mostConnections ? "503 Service Unavailable" : undefined;
}
