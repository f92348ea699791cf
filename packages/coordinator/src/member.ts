import type { TuttiError } from "@tutti/core/errors";
import type { Connection, MessageOf, Silence, ToCoordinator, ToWorker } from "@tutti/core/wire";

/**
 * connecting: no hello yet · loading: compiles programs and runs the canary · active: holds the parameters, computes ·
 * gone: dropped or disconnected, for good (a worker that comes back is a new member).
 */
export type MemberState = "connecting" | "loading" | "active" | "gone";

/** More than heartbeats amount to while progress is waited for. */
const leastTransferBytes = 16_384;

/** One worker as the coordinator knows it. */
export class Member {
  readonly id: string;
  readonly connection: Connection<ToWorker, ToCoordinator>;
  readonly silence: Silence;
  /** Where its connection comes from. */
  readonly address: string;
  state: MemberState = "connecting";
  host = "?";
  pid = 0;
  lanes = 1;
  numericClass = "";
  /** Fingerprints of the data sets that it has for itself, by name. */
  data: ReadonlyMap<string, string> = new Map();
  /** Smoothed shards per second per training lease; undefined until measured. */
  shardsPerSecond: number | undefined;
  /** Leases of training steps. */
  leasesAnswered = 0;
  /** How often its parameters had to be sent again because they differed. */
  healed = 0;
  /** Is given nothing more, and leaves after the step under way. */
  isDraining = false;
  /** Smoothed; undefined until measured. */
  roundTripMs: number | undefined;
  /** What it did in the last committed step. `share` is the part of the shards that it computed. */
  lastStep = { share: 0, computeMs: 0, exchangeMs: 0 };
  #measured = { round: -1, sinceMs: 0, lastMs: 0, shards: 0, computeMs: 0 };
  /** When it last sent part of an answer, or got part of what it needs for one, or was given work after having none. */
  lastProgressMs = 0;
  #leasesSent = 0;
  /** What has arrived there, by its last heartbeat. */
  #there = { bytes: 0, leases: 0 };
  /** Bytes that had arrived here, and there, when that last counted as progress. */
  #counted = { here: 0, there: 0 };
  /** The shards whose rows it was sent and may still hold, by round. */
  readonly batches = new Map<number, Set<number>>();
  /** Views of each generation buffer that its socket has not taken yet. */
  readonly unflushed: [number, number] = [0, 0];
  toldStandby = false;
  /** What chunks have arrived there from other workers, as of its last heartbeat. */
  peerBytes = 0;

  constructor(id: string, connection: Connection<ToWorker, ToCoordinator>, address: string, silence: Silence) {
    this.id = id;
    this.connection = connection;
    this.address = address;
    this.silence = silence;
  }

  get isActive(): boolean {
    return this.state === "active";
  }

  /** May be given work. */
  get isDealable(): boolean {
    return this.isActive && !this.isDraining;
  }

  send(message: ToWorker, payload?: Uint8Array, onFlushed?: () => void): void {
    if (message.type === "lease") this.#leasesSent++;
    this.connection.send(message, payload, onFlushed);
  }

  dismiss(code: string, message: string, rejoin: boolean): void {
    this.send({ type: "goodbye", code, message, rejoin });
    this.connection.close(message);
  }

  heartbeat({ arrivedBytes: bytes, peerBytes = 0, leases }: MessageOf<ToCoordinator, "heartbeat">): void {
    this.#there = { bytes, leases };
    this.peerBytes = peerBytes;
  }

  /**
   * What it is sent before it can begin, and what it sends, is progress however slow the link. Heartbeats alone are none,
   * nor is what arrives there while it has all its leases.
   */
  noteTransfer(nowMs: number): void {
    const { arrivedBytes } = this.connection;
    const isBehind = this.#there.leases < this.#leasesSent;
    if (!isBehind) this.#counted.there = this.#there.bytes;
    if (arrivedBytes - this.#counted.here >= leastTransferBytes) {
      this.#counted.here = arrivedBytes;
      this.lastProgressMs = nowMs;
    }
    if (this.#there.bytes - this.#counted.there >= leastTransferBytes) {
      this.#counted.there = this.#there.bytes;
      this.lastProgressMs = nowMs;
    }
  }

  /** It was given work of this round. */
  roundDealt(round: number, nowMs: number): void {
    if (this.#measured.round === round) return;
    this.#measured = { round, sinceMs: nowMs, lastMs: nowMs, shards: 0, computeMs: 0 };
  }

  /** A part of an answer to this round has come. */
  heardOf(round: number, nowMs: number): void {
    if (this.#measured.round === round) this.#measured.lastMs = nowMs;
  }

  /**
   * It has answered shards of this round: an exponential average of its rate since the round was dealt.
   * @param computeMs by its own clock.
   */
  measure(round: number, shards: number, computeMs: number, nowMs: number): void {
    const measured = this.#measured;
    if (measured.round !== round) return;
    measured.computeMs += computeMs;
    const before = measured.shards;
    measured.shards += shards;
    const rate = (measured.shards * 1000) / Math.max(nowMs - measured.sinceMs, 0.01);
    const weight = before === 0 ? 0.2 : 0.1;
    this.shardsPerSecond =
      this.shardsPerSecond === undefined ? rate : (1 - weight) * this.shardsPerSecond + weight * rate;
  }

  /** A step was committed whose round had so many shards. */
  stepOver(round: number, shards: number): void {
    const { sinceMs, lastMs, shards: answered, computeMs } = this.#measured;
    if (this.#measured.round !== round || answered === 0) {
      this.lastStep = { share: 0, computeMs: 0, exchangeMs: 0 };
      return;
    }
    const busyMs = lastMs - sinceMs;
    const ownMs = Math.min(computeMs / this.lanes, busyMs);
    this.lastStep = { share: answered / shards, computeMs: ownMs, exchangeMs: busyMs - ownMs };
  }
}

export type ResultMessage = MessageOf<ToCoordinator, "result">;
export type PartialMessage = MessageOf<ToCoordinator, "partial">;
export type FailedMessage = MessageOf<ToCoordinator, "failed">;

/** Why a member went, for the log and the event. */
export interface Departure {
  readonly reason: string;
  readonly error?: TuttiError;
}
