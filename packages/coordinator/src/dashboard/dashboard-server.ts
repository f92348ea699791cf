import { randomBytes } from "node:crypto";
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { hostname } from "node:os";
import { isTuttiError, TuttiError } from "@tutti/core/errors";
import type { ControlRequest } from "@tutti/core/events";
import { ConnectionGuard } from "../connection-guard.ts";
import { isLoopback, type TlsOptions } from "../server.ts";
import { checkToken, tokenRecipe } from "../token.ts";
import { readControlRequest } from "./control-request.ts";
import { exposition, expositionContentType } from "./exposition.ts";
import { json, LiveFeed } from "./live-feed.ts";
import { readPage } from "./page-files.ts";
import { mayRead, maySteer, originRefusal, type RequestRules } from "./request-rules.ts";
import type { RunHistory } from "./run-history.ts";
import { runMetrics } from "./run-metrics.ts";

/** The port that is tried first when none is named. */
export const dashboardPort = 7071;

export interface DashboardOptions {
  /** 127.0.0.1 by default. */
  readonly host?: string;
  /** Without one `dashboardPort`, or a free one where that is taken; 0 takes a free one. */
  readonly port?: number;
  /** What others than loopback's must send as a bearer token to read; needed for any bind but loopback. */
  readonly token?: string | undefined;
  readonly tls?: TlsOptions | undefined;
  readonly runs: readonly RunHistory[];
  /** Carries out what a person asks for. Throws BAD_OPTION where that is not possible now. Without it nothing can be steered. */
  readonly control?: (request: ControlRequest) => void;
}

export interface Dashboard {
  /** Where the page is; the fragment, if there is one, is the secret that lets a person steer. */
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

const limits = {
  connections: 128,
  connectionsPerAddress: 128,
  unauthenticated: 64,
  unauthenticatedPerAddress: 64,
  handshakeMs: 10_000,
};
const maxReaders = 32;

/** What keeps a page of ours from doing anything but talk to us, and others from embedding it. */
const securityHeaders = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
} as const;

/**
 * Serves the page, `/status`, `/metrics`, `/healthz` and `/events` of runs, and takes orders for a live one. Never keeps
 * the process alive. Throws PORT_IN_USE, BAD_OPTION.
 */
export async function serveDashboard(options: DashboardOptions): Promise<Dashboard> {
  const { host = "127.0.0.1", token, tls, runs, control } = options;
  if (token !== undefined) checkToken(token);
  else if (!isLoopback(host)) {
    throw new TuttiError(
      "BAD_OPTION",
      `--dashboard-host ${host} can be reached from other machines: set TUTTI_TOKEN or --token-file to a secret; \`${tokenRecipe}\` makes one`,
    );
  }
  const rules: RequestRules = {
    isLoopback: isLoopback(host),
    readToken: token,
    controlToken: randomBytes(32).toString("base64url"),
  };
  const feed = new LiveFeed(randomBytes(8).toString("hex"), runs);
  const page = readPage();

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    guard.authenticated(request.socket); // a whole request came in time
    const refused = originRefusal(request, rules);
    if (refused !== undefined) return send(response, refused.status, refused.reason);
    const path = (request.url ?? "/").split("?", 1)[0]!;
    if (path === "/control") return steer(request, response);
    if (request.method !== "GET" && request.method !== "HEAD")
      return send(response, 405, "only GET is answered here", { allow: "GET, HEAD" });
    const file = page.get(path);
    if (file !== undefined) {
      const headers = { "content-type": file.contentType, etag: file.etag, "cache-control": "no-cache" };
      if (request.headers["if-none-match"] === file.etag) return end(response, 304, headers, "");
      return end(response, 200, headers, file.bytes);
    }
    const read = readable[path];
    if (read === undefined) return send(response, 404, "there is nothing here");
    if (path !== "/healthz" && !mayRead(request, rules))
      return send(response, 401, "a token is needed", { "www-authenticate": 'Bearer realm="tutti"' });
    read(request, response);
  };

  const readable: Readonly<Record<string, (request: IncomingMessage, response: ServerResponse) => void>> = {
    "/healthz": (_request, response) => {
      const hasFailed = runs.some((run) => run.isLive && run.status().state === "failed");
      send(response, hasFailed ? 503 : 200, hasFailed ? "the run failed" : "ok");
    },
    "/status": (_request, response) => {
      const body = json({ runs: runs.map((run) => run.status()) });
      end(response, 200, { "content-type": "application/json", "cache-control": "no-store" }, body);
    },
    "/metrics": (_request, response) => {
      const live = runs.find((run) => run.isLive);
      const body = live === undefined ? "" : exposition(runMetrics(live));
      end(response, 200, { "content-type": expositionContentType, "cache-control": "no-store" }, body);
    },
    "/events": (request, response) => {
      if (feed.readers >= maxReaders) return send(response, 503, `${maxReaders} pages are open already`);
      response.writeHead(200, {
        ...securityHeaders,
        "content-type": "text/event-stream",
        "cache-control": "no-store",
        "x-accel-buffering": "no",
      });
      if (request.method === "HEAD") response.end();
      else feed.add(response, control !== undefined && maySteer(request, rules));
    },
  };

  const steer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.method !== "POST") return send(response, 405, "orders are sent by POST", { allow: "POST" });
    if (!maySteer(request, rules))
      return send(response, 401, "open the address that was printed at the start: its fragment is needed to steer", {
        "www-authenticate": 'Bearer realm="tutti"',
      });
    if (control === undefined) return send(response, 409, "nothing is being trained here");
    const order = await readControlRequest(request);
    if ("status" in order) return send(response, order.status, order.reason, { connection: "close" });
    try {
      control(order);
    } catch (error) {
      if (!isTuttiError(error) || error.code !== "BAD_OPTION") throw error;
      return send(response, 409, error.message);
    }
    send(response, 202, "it will be done after the step under way");
  };

  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    answer(request, response).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else send(response, 500, error instanceof Error ? error.message : String(error));
    });
  };
  const timing = { connectionsCheckingInterval: 1000, maxHeaderSize: 16 * 1024 };
  const http =
    tls === undefined
      ? createHttpServer(timing, handle)
      : createHttpsServer({ ...timing, cert: tls.cert, key: tls.key, minVersion: "TLSv1.2" }, handle);
  http.headersTimeout = limits.handshakeMs;
  http.requestTimeout = limits.handshakeMs;
  http.keepAliveTimeout = 5000;
  const guard = new ConnectionGuard(http, limits);
  http.on("connection", (socket) => socket.unref());
  await listen(http, host, options.port);
  http.unref();
  const { port } = http.address() as AddressInfo; // listening on TCP
  const secret = control === undefined && rules.isLoopback ? "" : `#${rules.controlToken}`;
  return {
    url: `${tls === undefined ? "http" : "https"}://${shownHost(host)}:${port}/${secret}`,
    port,
    close: async () => {
      const closed = new Promise<void>((resolve) => http.close(() => resolve()));
      feed.close();
      http.closeIdleConnections();
      const cut = setTimeout(() => http.closeAllConnections(), 500);
      await closed;
      clearTimeout(cut);
    },
  };
}

async function listen(
  http: ReturnType<typeof createHttpServer>,
  host: string,
  wanted: number | undefined,
): Promise<void> {
  const tryPort = (port: number): Promise<void> =>
    new Promise((resolve, reject) => {
      http.once("error", reject);
      http.listen(port, host, () => {
        http.off("error", reject);
        resolve();
      });
    });
  try {
    await tryPort(wanted ?? dashboardPort);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EADDRINUSE" && wanted === undefined) return tryPort(0);
    const isTaken = code === "EADDRINUSE";
    const why = isTaken ? "is in use: choose another with --dashboard-port, or 0 for any free one" : String(error);
    throw new TuttiError(
      isTaken ? "PORT_IN_USE" : "BAD_OPTION",
      `port ${wanted ?? dashboardPort} on ${host} for the dashboard ${why}`,
      {},
      { cause: error },
    );
  }
}

/** What a person can type into a browser on another machine. */
function shownHost(host: string): string {
  if (host === "0.0.0.0" || host === "::") return hostname();
  return host.includes(":") ? `[${host}]` : host;
}

function send(
  response: ServerResponse,
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const own = { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store", ...headers };
  end(response, status, own, `${text}\n`);
}

function end(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string | Uint8Array,
): void {
  response.writeHead(status, {
    ...securityHeaders,
    ...headers,
    ...(status === 304 ? {} : { "content-length": String(Buffer.byteLength(body)) }),
  });
  response.end(response.req.method === "HEAD" ? undefined : body);
}
