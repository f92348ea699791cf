import { isIPv6, type Server, type Socket } from "node:net";

/** How many connections may be open, and how long one may take to show who it is. */
export interface ConnectionLimits {
  readonly connections: number;
  readonly connectionsPerAddress: number;
  /** Of them, those whose handshake (TCP, TLS, HTTP, token) is not over. */
  readonly unauthenticated: number;
  readonly unauthenticatedPerAddress: number;
  /** From accepting the TCP connection to the end of the handshake; then it is cut. */
  readonly handshakeMs: number;
}

interface Guest {
  readonly address: string;
  readonly deadline: ReturnType<typeof setTimeout>;
  isAuthenticated: boolean;
}

/**
 * Counts the connections of a server from the moment TCP has accepted them, and cuts those that are too many or too slow:
 * before TLS, before HTTP, before a byte is read. Whoever opens connections and says nothing (slow loris) holds at most
 * its own few places, for `handshakeMs`.
 */
export class ConnectionGuard {
  readonly #limits: ConnectionLimits;
  /** By remote address and port. */
  readonly #guests = new Map<string, Guest>();
  readonly #perAddress = new Map<string, { all: number; unauthenticated: number }>();
  #unauthenticated = 0;

  constructor(server: Server, limits: ConnectionLimits) {
    this.#limits = limits;
    server.on("connection", (socket) => this.#arrive(socket));
  }

  /** The connection that `socket` (the TCP socket, or TLS over it) belongs to has shown who it is. */
  authenticated(socket: Pick<Socket, "remoteAddress" | "remotePort">): void {
    const guest = this.#guests.get(keyOf(socket));
    if (guest === undefined || guest.isAuthenticated) return;
    clearTimeout(guest.deadline);
    guest.isAuthenticated = true;
    this.#unauthenticated--;
    this.#of(guest.address).unauthenticated--;
  }

  #arrive(socket: Socket): void {
    const { connections, connectionsPerAddress, unauthenticated, unauthenticatedPerAddress, handshakeMs } =
      this.#limits;
    const key = keyOf(socket);
    const address = networkOf(socket.remoteAddress ?? "");
    const own = this.#of(address);
    const isTooMany =
      this.#guests.size >= connections ||
      this.#unauthenticated >= unauthenticated ||
      own.all >= connectionsPerAddress ||
      own.unauthenticated >= unauthenticatedPerAddress;
    if (isTooMany) {
      if (own.all === 0) this.#perAddress.delete(address);
      socket.destroy();
      return;
    }
    own.all++;
    own.unauthenticated++;
    this.#unauthenticated++;
    const deadline = setTimeout(() => socket.destroy(), handshakeMs);
    this.#guests.set(key, { address, deadline, isAuthenticated: false });
    socket.once("close", () => this.#leave(key));
  }

  #leave(key: string): void {
    const guest = this.#guests.get(key);
    if (guest === undefined) return;
    this.#guests.delete(key);
    clearTimeout(guest.deadline);
    const own = this.#of(guest.address);
    own.all--;
    if (!guest.isAuthenticated) {
      own.unauthenticated--;
      this.#unauthenticated--;
    }
    if (own.all === 0) this.#perAddress.delete(guest.address);
  }

  #of(address: string): { all: number; unauthenticated: number } {
    let own = this.#perAddress.get(address);
    if (own === undefined) {
      own = { all: 0, unauthenticated: 0 };
      this.#perAddress.set(address, own);
    }
    return own;
  }
}

function keyOf({ remoteAddress, remotePort }: Pick<Socket, "remoteAddress" | "remotePort">): string {
  return `${remoteAddress} ${remotePort}`;
}

/** Who counts as one: an IPv4 address, or the /64 network that a single IPv6 host has for itself. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!isIPv6(address)) return address;
  const [head = "", tail] = address.replace(/%.*$/, "").split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...new Array<string>(Math.max(0, zeros)).fill("0"), ...right];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(":")}::/64`;
}
