import type { PeerMessage, PeerRules } from "@tutti/core/wire";
import type { PeerConnection, PeerListener, PeerTransport } from "@tutti/worker";
import type { Dice } from "../../packages/tutti/src/chaos/dice.ts";
import type { VirtualClock } from "./virtual-clock.ts";
import { type FrameAccident, type VirtualSocket, virtualPeers } from "./virtual-network.ts";

type Rules = PeerRules<PeerMessage, PeerMessage>;

interface Listening {
  readonly key: string;
  readonly rules: () => Rules;
  readonly accept: (connection: PeerConnection) => void;
  readonly of: PeerHost;
}

/** Everybody's listeners by port, and every connection between workers. */
export class PeerNetwork {
  readonly #clock: VirtualClock;
  readonly #dice: Dice;
  readonly #onAccident: (accident: FrameAccident) => void;
  readonly #listeners = new Map<number, Listening>();
  #nextPort = 1;

  constructor(clock: VirtualClock, dice: Dice, onAccident: (accident: FrameAccident) => void) {
    this.#clock = clock;
    this.#dice = dice;
    this.#onAccident = onAccident;
  }

  host(): PeerHost {
    return new PeerHost(this);
  }

  listen(listening: Listening): PeerListener {
    const port = this.#nextPort++;
    this.#listeners.set(port, listening);
    return { host: "127.0.0.1", port, close: () => this.#listeners.delete(port) };
  }

  async connect(from: PeerHost, port: number, key: string, rules: Rules): Promise<PeerConnection> {
    await new Promise<void>((resolve) => this.#clock.setTimer(this.#dice.uniform() * 4, resolve));
    const listener = this.#listeners.get(port);
    if (listener === undefined || listener.key !== key || !listener.of.isUp || !from.isUp || listener.of.isDeaf)
      throw new Error("nobody answers");
    const { one, other, sockets } = virtualPeers(this.#clock, this.#dice, [rules, listener.rules()], this.#onAccident);
    from.sockets.push(sockets);
    listener.of.sockets.push([sockets[1], sockets[0]]);
    listener.accept(other);
    return one;
  }
}

/** One machine's side of it. */
export class PeerHost implements PeerTransport {
  /** Of each connection this machine's, and the other's. */
  sockets: (readonly [own: VirtualSocket, others: VirtualSocket])[] = [];
  isUp = true;
  /** Accepts no connections. */
  isDeaf = false;
  readonly #network: PeerNetwork;

  constructor(network: PeerNetwork) {
    this.#network = network;
  }

  async listen(key: string, rules: () => Rules, accept: (connection: PeerConnection) => void): Promise<PeerListener> {
    return this.#network.listen({ key, rules, accept, of: this });
  }

  connect(_host: string, port: number, key: string, rules: Rules): Promise<PeerConnection> {
    return this.#network.connect(this, port, key, rules);
  }

  /** The process is gone: the others learn of it after the network's delay. */
  kill(): void {
    this.isUp = false;
    this.cut();
  }

  cut(): void {
    for (const [own] of this.sockets.splice(0)) own.terminate();
  }

  /** From now on nothing arrives on today's connections, in either direction, and nobody is told. */
  silence(): void {
    for (const socket of this.sockets.flat()) socket.isSilent = true;
  }

  slowDown(extraMs: number): void {
    for (const socket of this.sockets.flat()) socket.extraMs += extraMs;
  }
}
