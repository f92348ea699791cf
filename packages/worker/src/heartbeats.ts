import type { Clock } from "@tutti/core/clock";
import {
  type Connection,
  checksPerHeartbeat,
  type MessageOf,
  Silence,
  type ToCoordinator,
  type ToWorker,
} from "@tutti/core/wire";

export interface HeartbeatParts {
  readonly connection: Connection<ToCoordinator, ToWorker>;
  readonly clock: Clock;
  /** Bytes that have arrived from other workers; undefined without direct exchange. */
  readonly peerBytes: () => number | undefined;
  /** Leases that have come. */
  readonly leases: () => number;
  /** The coordinator has been silent for too long. */
  readonly silent: (why: string) => void;
}

/** Says that the worker is there, and looks for signs that the coordinator is, as long as the membership lasts. */
export class Heartbeats {
  readonly #parts: HeartbeatParts;
  #timer: { cancel(): void } | undefined;
  /** The coordinator's last heartbeat, until it was answered. */
  #heard: { readonly sentMs: number; readonly atMs: number } | undefined;

  constructor(parts: HeartbeatParts) {
    this.#parts = parts;
  }

  begin({ heartbeatMs, silenceMs }: MessageOf<ToWorker, "welcome">): void {
    const { clock, connection } = this.#parts;
    const checkMs = heartbeatMs / checksPerHeartbeat;
    const silence = new Silence(connection, checkMs, clock.now());
    let checks = 0;
    const check = (): void => {
      const silentMs = silence.measure(clock.now());
      if (silentMs > silenceMs) {
        this.#parts.silent(`silent for ${Math.round(silentMs)} ms (limit ${silenceMs})`);
        return;
      }
      if (checks++ % checksPerHeartbeat === 0) this.say();
      this.#timer = clock.setTimer(checkMs, check);
    };
    check();
  }

  /** The coordinator's came: the next of ours answers it. */
  heard(sentMs: number): void {
    this.#heard = { sentMs, atMs: this.#parts.clock.now() };
  }

  say(): void {
    const { connection, clock, peerBytes, leases } = this.#parts;
    const sentMs = clock.now();
    const heard = this.#heard;
    this.#heard = undefined;
    const echo = heard === undefined ? {} : { echo: { sentMs: heard.sentMs, heldMs: sentMs - heard.atMs } };
    const fromPeers = peerBytes();
    connection.send({
      type: "heartbeat",
      sentMs,
      ...echo,
      arrivedBytes: connection.arrivedBytes,
      ...(fromPeers === undefined ? {} : { peerBytes: fromPeers }),
      leases: leases(),
    });
  }

  end(): void {
    this.#timer?.cancel();
  }
}
