import type { Clock } from "@tutti/core/clock";
import { TuttiError } from "@tutti/core/errors";
import {
  checksPerHeartbeat,
  type MessageOf,
  type PeerMessage,
  protocolVersion,
  Silence,
  type ToWorker,
} from "@tutti/core/wire";
import { PeerLinkRules } from "./peer-link-rules.ts";
import type { PeerConnection, PeerListener, PeerTransport } from "./peer-transport.ts";

type Welcome = MessageOf<ToWorker, "welcome">;
export type ChunkMessage = MessageOf<PeerMessage, "contribution" | "reduced">;

export interface PeerLinksParts {
  readonly transport: PeerTransport;
  readonly clock: Clock;
  readonly welcome: Welcome;
  /** Of the run: who shows it is one of its workers. */
  readonly key: string;
  readonly received: (message: ChunkMessage, payload: Uint8Array) => void;
  /** A link that this side opened is up. */
  readonly linked: (peer: string) => void;
  /** A link is gone, or could not be made. */
  readonly unlinked: (peer: string, reason: string) => void;
}

interface Link {
  readonly connection: PeerConnection;
  readonly silence: Silence;
  /** What waits to be told that its bytes are not needed any more. */
  readonly unflushed: Set<() => void>;
}

interface Peer {
  readonly id: string;
  readonly host: string;
  readonly port: number;
}

export const handshakeMs = 5000;
const attempts = 3;
const pauseMs = 300;

/**
 * Connections to the run's other workers. Whoever joined later opens them; both sides send heartbeats, and a link that is
 * silent for as long as a coordinator may be is given up.
 */
export class PeerLinks {
  readonly #parts: PeerLinksParts;
  readonly #links = new Map<string, Link>();
  /** Connections whose greeting or answer has not come. */
  readonly #opening = new Set<PeerConnection>();
  #listener: PeerListener | undefined;
  #timer: { cancel(): void } | undefined;
  #checks = 0;
  #arrivedBytes = 0;
  #isClosed = false;

  constructor(parts: PeerLinksParts) {
    this.#parts = parts;
  }

  /** Where others can reach this worker. Rejects when it cannot listen. */
  async listen(): Promise<{ readonly host: string; readonly port: number }> {
    const { transport, key, welcome, clock } = this.#parts;
    const rules = () => new PeerLinkRules(welcome, false, () => clock.now());
    const listener = await transport.listen(key, rules, (connection) => this.#accept(connection));
    if (this.#isClosed) listener.close();
    else {
      this.#listener = listener;
      this.#timer = clock.setTimer(this.#checkMs, () => this.#beat());
    }
    return listener;
  }

  /** Of all chunks that came; heartbeats do not count. */
  get arrivedBytes(): number {
    return this.#arrivedBytes;
  }

  connect(peers: readonly Peer[]): void {
    for (const peer of peers) void this.#connect(peer, attempts);
  }

  /** @returns false if there is no such link. @param onFlushed called once, at the latest when the link is gone. */
  send(peer: string, message: PeerMessage, payload: Uint8Array, onFlushed?: () => void): boolean {
    const link = this.#links.get(peer);
    if (link === undefined) return false;
    if (onFlushed === undefined) link.connection.send(message, payload);
    else {
      const flushed = (): void => {
        if (link.unflushed.delete(flushed)) onFlushed();
      };
      link.unflushed.add(flushed);
      link.connection.send(message, payload, flushed);
    }
    return true;
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#listener?.close();
    for (const connection of this.#opening) connection.destroy("the membership is over");
    for (const [id, { connection }] of [...this.#links]) {
      connection.destroy("the membership is over");
      this.#forget(id);
    }
  }

  #accept(connection: PeerConnection): void {
    if (this.#isClosed) {
      connection.destroy("the membership is over");
      return;
    }
    let from: string | undefined;
    const deadline = this.#opens(connection);
    connection.listen({
      message: (message, payload) => {
        if (from !== undefined) this.#receive(from, connection, message, payload);
        else if (message.type === "greeting") {
          this.#checkGreeting(message);
          deadline.cancel();
          from = message.from;
          this.#add(from, connection);
          connection.send({ type: "accepted" });
        }
      },
      closed: (reason) => {
        deadline.cancel();
        this.#closed(from, connection, reason);
      },
    });
  }

  async #connect(peer: Peer, left: number): Promise<void> {
    const { transport, key, welcome, clock, linked } = this.#parts;
    const failed = (reason: string): void => {
      if (this.#isClosed) return;
      if (left > 1) clock.setTimer(pauseMs, () => void this.#connect(peer, left - 1));
      else this.#parts.unlinked(peer.id, reason);
    };
    try {
      const rules = new PeerLinkRules(welcome, true, () => clock.now());
      const connection = await transport.connect(peer.host, peer.port, key, rules);
      if (this.#isClosed) {
        connection.destroy("the membership is over");
        return;
      }
      let isUp = false;
      const deadline = this.#opens(connection);
      connection.listen({
        message: (message, payload) => {
          if (isUp) this.#receive(peer.id, connection, message, payload);
          else if (message.type === "accepted") {
            deadline.cancel();
            isUp = true;
            this.#add(peer.id, connection);
            linked(peer.id);
          }
        },
        closed: (reason) => {
          deadline.cancel();
          this.#closed(isUp ? peer.id : undefined, connection, reason);
          if (isUp && !this.#isClosed) clock.setTimer(pauseMs, () => void this.#connect(peer, 1));
          else failed(reason);
        },
      });
      const { run, generation, worker: from } = welcome;
      connection.send({ type: "greeting", protocol: protocolVersion, run, generation, from, to: peer.id });
    } catch (error) {
      failed(error instanceof Error ? error.message : String(error));
    }
  }

  #checkGreeting({ protocol, run, generation, to }: MessageOf<PeerMessage, "greeting">): void {
    const { welcome } = this.#parts;
    const isOurs = run === welcome.run && generation === welcome.generation && to === welcome.worker;
    if (protocol !== protocolVersion || !isOurs)
      throw new TuttiError("PROTOCOL", `a greeting for ${to} of another run or version came to ${welcome.worker}`);
  }

  /** Until its handshake is over, and no longer than that may take. */
  #opens(connection: PeerConnection): { cancel(): void } {
    this.#opening.add(connection);
    const timer = this.#parts.clock.setTimer(handshakeMs, () => connection.destroy("no handshake in time"));
    return {
      cancel: () => {
        timer.cancel();
        this.#opening.delete(connection);
      },
    };
  }

  #add(id: string, connection: PeerConnection): void {
    const before = this.#links.get(id);
    this.#forget(id);
    before?.connection.destroy("it was opened again");
    const silence = new Silence(connection, this.#checkMs, this.#parts.clock.now());
    this.#links.set(id, { connection, silence, unflushed: new Set() });
  }

  #receive(from: string, connection: PeerConnection, message: PeerMessage, payload: Uint8Array | undefined): void {
    const link = this.#links.get(from);
    if (link?.connection !== connection) return;
    if (message.type !== "contribution" && message.type !== "reduced") return;
    this.#arrivedBytes += message.payloadBytes;
    this.#parts.received(message, payload ?? new Uint8Array(0));
  }

  #closed(id: string | undefined, connection: PeerConnection, reason: string): void {
    if (id === undefined || this.#links.get(id)?.connection !== connection) return;
    this.#forget(id);
    if (!this.#isClosed) this.#parts.unlinked(id, reason);
  }

  #forget(id: string): void {
    const link = this.#links.get(id);
    this.#links.delete(id);
    for (const flushed of [...(link?.unflushed ?? [])]) flushed();
  }

  get #checkMs(): number {
    return this.#parts.welcome.heartbeatMs / checksPerHeartbeat;
  }

  #beat(): void {
    const { clock, welcome } = this.#parts;
    this.#timer = clock.setTimer(this.#checkMs, () => this.#beat());
    const isHeartbeat = this.#checks++ % checksPerHeartbeat === 0;
    const nowMs = clock.now();
    for (const [id, { connection, silence }] of [...this.#links]) {
      const silentMs = silence.measure(nowMs);
      if (silentMs > welcome.silenceMs) {
        const reason = `silent for ${Math.round(silentMs)} ms`;
        connection.destroy(reason);
        this.#closed(id, connection, reason);
      } else if (isHeartbeat) connection.send({ type: "heartbeat", sentMs: nowMs });
    }
  }
}
