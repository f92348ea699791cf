import { TuttiError } from "@tutti/core/errors";
import type { ComputeMemory } from "@tutti/core/kernels";
import {
  BatchingSocket,
  type ByteStream,
  FramedConnection,
  maxFrameBytes,
  PayloadChecksum,
  type PeerRules,
  type SharedFile,
  sharedFileHeader,
  subprotocol,
  type ToCoordinator,
  type ToWorker,
  workerCodec,
} from "@tutti/core/wire";
import { WebSocket } from "ws";

export interface ConnectOptions {
  /** ws://host:port or wss://host:port of a coordinator. */
  readonly url: string;
  readonly token?: string | undefined;
  /** For wss: certificates (PEM) to trust instead of the system's. */
  readonly ca?: string | undefined;
  readonly rules: PeerRules<ToCoordinator, ToWorker>;
  /** Where most of what is sent lies. */
  readonly memory?: ComputeMemory | undefined;
  /** What this process shares with the coordinator's, and the name the coordinator knows it by. */
  readonly shared?: { readonly name: string; readonly file: SharedFile } | undefined;
  /** Deadline for TCP, TLS and HTTP. */
  readonly timeoutMs: number;
  /** Deadline for the coordinator's first message. */
  readonly firstMessageMs: number;
  /** How long a coordinator may keep the connection after its goodbye. */
  readonly afterGoodbyeMs: number;
}

/**
 * Opens a WebSocket to a coordinator. Frames carry an all-zero masking key (RFC 6455, section 5.3), for which `ws`
 * skips the masking loop: masking protects shared HTTP proxies from scripts in browsers, which is not the case here.
 * Throws UNREACHABLE, UNAUTHORIZED, TLS_FAILED or PROTOCOL.
 */
export function connect(options: ConnectOptions): Promise<FramedConnection<ToCoordinator, ToWorker>> {
  const { url, token, ca, timeoutMs, shared } = options;
  const headers = {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(shared === undefined ? {} : { [sharedFileHeader]: shared.file.header(shared.name) }),
  };
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, subprotocol, {
      handshakeTimeout: timeoutMs,
      perMessageDeflate: false,
      maxPayload: maxFrameBytes,
      maxFragments: 64, // coordinators send none; a proxy may cut a message
      autoPong: false, // FramedConnection answers, and counts
      generateMask: (mask) => mask.fill(0),
      ...(ca === undefined ? {} : { ca }),
      headers,
    });
    const deadlines = new Deadlines(options);
    // Until the server has answered there is no stream, and nothing is sent.
    let tcp: (ByteStream & { readonly bytesRead: number }) | undefined;
    socket.once("upgrade", (response) => {
      tcp = response.socket;
    });
    const batching = new BatchingSocket(socket);
    const connection = new FramedConnection(shared?.file.wrap(batching) ?? batching, workerCodec(), deadlines, {
      bytesRead: () => tcp?.bytesRead ?? 0,
      sharesMemory: shared?.file.sharesBlocks ?? false,
      checksum: new PayloadChecksum(options.memory),
    });
    const fail = (error: TuttiError): void => {
      socket.removeAllListeners("error");
      socket.on("error", () => {});
      socket.terminate();
      reject(error);
    };
    const unreachable = (error: Error): void => fail(reasonFor(url, error));
    socket.once("open", () => {
      // From now on errors are the connection's: a socket cut with unread bytes resets, which overtakes the close frame.
      socket.off("error", unreachable);
      if (tcp !== undefined) batching.opened(tcp);
      deadlines.opened((reason) => connection.destroy(reason));
      resolve(connection);
    });
    socket.once("close", () => deadlines.cancel());
    socket.once("unexpected-response", (_request, response) => {
      const status = response.statusCode ?? 0;
      if (status === 401)
        fail(
          new TuttiError(
            "UNAUTHORIZED",
            `${url} wants another token: set TUTTI_TOKEN or --token-file to the coordinator's`,
          ),
        );
      else
        fail(new TuttiError("PROTOCOL", `${url} answered HTTP ${status}: is it a Tutti coordinator of this version?`));
    });
    socket.once("error", unreachable);
  });
}

/** The rules, and the waits on a coordinator that only they see the ends of: silence after connecting, and after goodbye. */
class Deadlines implements PeerRules<ToCoordinator, ToWorker> {
  readonly #options: ConnectOptions;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #expire: (reason: string) => void = () => {};

  constructor(options: ConnectOptions) {
    this.#options = options;
  }

  get maxHeaderBytes(): number {
    return this.#options.rules.maxHeaderBytes;
  }

  opened(expire: (reason: string) => void): void {
    this.#expire = expire;
    const { firstMessageMs } = this.#options;
    this.#start(firstMessageMs, `the coordinator said nothing within ${firstMessageMs} ms`);
  }

  sent(message: ToCoordinator): void {
    this.#options.rules.sent(message);
  }

  received(message: ToWorker): void {
    this.#options.rules.received(message);
    this.cancel();
    if (message.type === "goodbye") this.#start(this.#options.afterGoodbyeMs, message.message);
  }

  cancel(): void {
    clearTimeout(this.#timer);
  }

  #start(ms: number, reason: string): void {
    this.#timer = setTimeout(() => this.#expire(reason), ms);
  }
}

/** Errors of certificates, as Node names them. */
const certificateErrors = /^(CERT_|ERR_TLS_CERT|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|CRL_|HOSTNAME_MISMATCH|INVALID_CA)/;

function reasonFor(url: string, error: Error): TuttiError {
  const code = "code" in error ? String(error.code) : "";
  const why = error.message === "" ? code : error.message;
  if (certificateErrors.test(code)) {
    return new TuttiError(
      "TLS_FAILED",
      `the certificate of ${url} is not trusted (${why}): give the one it was signed with as --tls-ca, and a host name that it is for`,
      {},
      { cause: error },
    );
  }
  if (code === "EPROTO" || code.startsWith("ERR_SSL")) {
    return new TuttiError(
      "TLS_FAILED",
      `no TLS connection can be made to ${url}: is it a coordinator without TLS? Then its address begins with ws://`,
      {},
      { cause: error },
    );
  }
  const hint =
    url.startsWith("ws:") && /hang up|ECONNRESET/.test(`${why} ${code}`)
      ? " (with TLS, its address begins with wss://)"
      : "";
  return new TuttiError("UNREACHABLE", `no coordinator answers at ${url}: ${why}${hint}`, {}, { cause: error });
}
