import type { Clock } from "@tutti/core/clock";
import type { Arena } from "@tutti/core/memory";
import {
  type Connection,
  coordinatorCodec,
  FramedConnection,
  type Message,
  type MessageSocket,
  type PeerMessage,
  type PeerRules,
  peerCodec,
  type ToCoordinator,
  type ToWorker,
  workerCodec,
} from "@tutti/core/wire";
import { WorkerRules } from "../../packages/coordinator/src/worker-rules.ts";
import type { Dice } from "../../packages/tutti/src/chaos/dice.ts";
import type { VirtualClock } from "./virtual-clock.ts";

export type Direction = "toWorker" | "toCoordinator";

export const frameFaults = ["damaged", "repeated", "lost", "overtaken"] as const;

/** What can happen to frames on their way, which TCP rules out and faulty equipment does not. */
export type FrameFault = (typeof frameFaults)[number];

/** A fault that happened to a frame: of a header, or of the payload behind it. */
export interface FrameAccident {
  readonly fault: FrameFault;
  readonly message: Message["type"];
  readonly part: "header" | "payload";
}

/** What can be done to a link while it is up. */
export interface Link {
  readonly coordinatorEnd: Connection<ToWorker, ToCoordinator>;
  readonly workerEnd: Connection<ToCoordinator, ToWorker>;
  /** From now on nothing arrives in this direction, and nobody is told. */
  silence(direction: Direction | "both"): void;
  /** Adds to the delay of all that is sent from now on. */
  slowDown(extraMs: number): void;
  /** The worker's process is gone: the coordinator learns of it after the network's delay. */
  kill(): void;
  /** The connection breaks, and both ends learn of it. */
  cut(): void;
  /** Calls back when the worker has sent so many more frames, before it sends another. */
  afterSent(frames: number, call: () => void): void;
  /** What happens to the frame after `after` more of a direction. */
  disturb(direction: Direction, fault: FrameFault, after: number): void;
}

/**
 * A connection with random delays: the real framing, checksums and rules over two sockets that are not. Order within a
 * direction is kept, as TCP does, unless a fault says otherwise; between links there is none. A payload is read when it is
 * flushed, some time after it was sent: whoever overwrites it before is found out.
 * @param shared the arena of both ends: what lies in it is named, and read where it is.
 */
export function virtualLink(
  clock: VirtualClock,
  dice: Dice,
  rulesOfWorker: PeerRules<ToCoordinator, ToWorker>,
  onAccident: (accident: FrameAccident) => void,
  shared?: Arena,
): Link {
  const toWorker = new VirtualSocket(clock, dice, onAccident, shared);
  const toCoordinator = new VirtualSocket(clock, dice, onAccident, shared);
  toWorker.peer = toCoordinator;
  toCoordinator.peer = toWorker;
  const sockets = { toWorker, toCoordinator };
  const rulesOfCoordinator = new WorkerRules(() => clock.now());
  return {
    coordinatorEnd: new NotedConnection(toWorker, coordinatorCodec(), rulesOfCoordinator, clock),
    workerEnd: new NotedConnection(toCoordinator, workerCodec(), rulesOfWorker, clock),
    silence(direction) {
      if (direction !== "toCoordinator") toWorker.isSilent = true;
      if (direction !== "toWorker") toCoordinator.isSilent = true;
    },
    slowDown(extraMs) {
      toWorker.extraMs += extraMs;
      toCoordinator.extraMs += extraMs;
    },
    kill() {
      toCoordinator.terminate();
    },
    cut() {
      toCoordinator.terminate();
      toWorker.terminate();
    },
    afterSent(frames, call) {
      toCoordinator.watch = { frames, call };
    },
    disturb(direction, fault, after) {
      sockets[direction].plan = { fault, after };
    },
  };
}

/** A connection between two workers, and its sockets. */
export function virtualPeers(
  clock: VirtualClock,
  dice: Dice,
  rules: readonly [PeerRules<PeerMessage, PeerMessage>, PeerRules<PeerMessage, PeerMessage>],
  onAccident: (accident: FrameAccident) => void,
) {
  const sockets = [new VirtualSocket(clock, dice, onAccident), new VirtualSocket(clock, dice, onAccident)] as const;
  sockets[0].peer = sockets[1];
  sockets[1].peer = sockets[0];
  const [one, other] = sockets.map((socket, i) => new NotedConnection(socket, peerCodec(), rules[i]!, clock));
  return { one: one!, other: other!, sockets };
}

/** Tells its socket what message the frames belong to. */
class NotedConnection<Out extends Message, In extends Message> extends FramedConnection<Out, In> {
  readonly #noted: VirtualSocket;

  constructor(
    socket: VirtualSocket,
    codec: ConstructorParameters<typeof FramedConnection<Out, In>>[1],
    rules: PeerRules<Out, In>,
    clock: Clock,
  ) {
    super(socket, codec, rules, {
      clock,
      bytesRead: () => socket.bytesRead,
      sharesMemory: socket.shared !== undefined,
    });
    this.#noted = socket;
  }

  override send(message: Out, payload?: Uint8Array, onFlushed?: () => void): void {
    this.#noted.sending = { message: message.type, part: "header" };
    super.send(message, payload, onFlushed);
  }
}

interface Listeners {
  message(data: Buffer, isBinary: boolean, place?: string): void;
  close(code: number, reason: Buffer): void;
}

/** As it travels: bytes, or where they are. */
interface Frame {
  readonly bytes: Buffer;
  readonly isPlace: boolean;
}

const abnormal = 1006; // RFC 6455, section 7.1.5

/** One end of a WebSocket; its faults and delays are those of what it sends. */
export class VirtualSocket implements MessageSocket {
  bufferedAmount = 0;
  bytesRead = 0;
  isSilent = false;
  extraMs = 0;
  peer: VirtualSocket | undefined;
  plan: { readonly fault: FrameFault; after: number } | undefined;
  watch: { frames: number; readonly call: () => void } | undefined;
  sending: { readonly message: Message["type"]; readonly part: "header" | "payload" } | undefined;
  readonly shared: Arena | undefined;
  readonly #clock: VirtualClock;
  readonly #dice: Dice;
  readonly #onAccident: (accident: FrameAccident) => void;
  readonly #listeners: Partial<Listeners> = {};
  /** Frames that are sent again, or late, once the next has been sent. */
  #held: Frame[] = [];
  #state: "open" | "closing" | "closed" = "open";
  #lastFlushMs = 0;
  #lastArrivalMs = 0;

  constructor(clock: VirtualClock, dice: Dice, onAccident: (accident: FrameAccident) => void, shared?: Arena) {
    this.shared = shared;
    this.#clock = clock;
    this.#dice = dice;
    this.#onAccident = onAccident;
  }

  on(event: string, listener: (...parts: never[]) => void): this {
    Object.assign(this.#listeners, { [event]: listener });
    return this;
  }

  pong(): void {}

  placeOf(data: Uint8Array): string | undefined {
    return this.shared?.owns(data) ? `in ${data.byteOffset} ${data.byteLength}` : undefined;
  }

  send(sent: Uint8Array, _options: object, callback?: () => void): void {
    if (this.#state !== "open") return;
    const place = this.placeOf(sent);
    const data = place === undefined ? sent : Buffer.from(place, "latin1");
    const arrivalMs = this.#arrival();
    const earliestMs = Math.max(this.#clock.now(), this.#lastFlushMs);
    const flushMs = earliestMs + this.#dice.uniform() * (arrivalMs - earliestMs);
    this.#lastFlushMs = flushMs;
    this.bufferedAmount += data.byteLength;
    const fault = this.#nextFault();
    const bit = fault === "damaged" ? this.#dice.whole(0, data.byteLength * 8 - 1) : 0;
    const bytes = Buffer.allocUnsafe(data.byteLength);
    const frame: Frame = { bytes, isPlace: place !== undefined };
    this.#clock.at(flushMs, () => {
      this.bufferedAmount -= data.byteLength;
      bytes.set(data);
      if (fault === "damaged") bytes[bit >> 3]! ^= 1 << (bit & 7);
      if (this.#state === "open") callback?.();
    });
    if (fault !== "lost" && fault !== "overtaken") this.#deliver(arrivalMs, frame);
    for (const held of this.#held.splice(0)) this.#deliver(this.#arrival(), held);
    if (fault === "repeated" || fault === "overtaken") this.#held.push(frame);
    if (this.sending !== undefined) this.sending = { ...this.sending, part: "payload" };
    if (this.watch !== undefined && --this.watch.frames === 0) this.watch.call();
  }

  close(code: number, reason: string): void {
    if (this.#state !== "open") return;
    this.#state = "closing";
    this.#tell(this.#arrival(), (peer) => peer.#closedByPeer(code, reason));
  }

  terminate(): void {
    if (this.#state === "closed") return;
    this.#tell(this.#arrival(), (peer) => peer.#end(abnormal, ""));
    this.#end(abnormal, "");
  }

  /** Answers the close frame; both ends are closed then. */
  #closedByPeer(code: number, reason: string): void {
    if (this.#state === "closed") return;
    this.#tell(this.#arrival(), (peer) => peer.#end(code, ""));
    this.#end(code, reason);
  }

  /** Tells this end, in a later event. */
  #end(code: number, reason: string): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#clock.setTimer(0, () => this.#listeners.close?.(code, Buffer.from(reason)));
  }

  #nextFault(): FrameFault | undefined {
    if (this.plan === undefined || this.plan.after-- > 0) return undefined;
    const { fault } = this.plan;
    this.plan = undefined;
    if (this.sending !== undefined) this.#onAccident({ fault, ...this.sending });
    return fault;
  }

  #arrival(): number {
    const delayMs = this.#dice.uniform() * (this.#dice.chance(0.05) ? 40 : 3) + this.extraMs;
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, this.#clock.now() + delayMs);
    return this.#lastArrivalMs;
  }

  #deliver(atMs: number, { bytes, isPlace }: Frame): void {
    this.#tell(atMs, (peer) => {
      if (peer.#state === "closed") return;
      peer.bytesRead += bytes.byteLength;
      if (isPlace) peer.#named(bytes.toString("latin1"));
      else peer.#listeners.message?.(bytes, true);
    });
  }

  #named(place: string): void {
    const [, offset, length] = /^in (\d+) (\d+)$/.exec(place) ?? [];
    const arena = this.shared!;
    if (length === undefined || Number(offset) + Number(length) > arena.memory.buffer.byteLength)
      this.#listeners.message?.(Buffer.from(place, "latin1"), false);
    else this.#listeners.message?.(arena.buffer(Number(offset), Number(length)), true, place);
  }

  #tell(atMs: number, tell: (peer: VirtualSocket) => void): void {
    this.#clock.at(atMs, () => {
      if (this.peer !== undefined && !this.isSilent) tell(this.peer);
    });
  }
}
