import type { Clock } from "@tutti/core/clock";
import type { NodeResult } from "@tutti/core/engine";
import { TuttiError } from "@tutti/core/errors";
import type { TreeNode } from "@tutti/core/step";
import type { Connection, MessageOf, ToCoordinator, ToWorker } from "@tutti/core/wire";
import type { Parameters } from "../parameters.ts";
import type { WorkerMemory } from "../worker-memory.ts";
import { MeshStep } from "./mesh-step.ts";
import { type ChunkMessage, PeerLinks } from "./peer-links.ts";
import type { PeerTransport } from "./peer-transport.ts";
import { Replica } from "./replica.ts";

export type MeshMessage = MessageOf<
  ToWorker,
  "replica" | "state" | "peers" | "exchange" | "divisor" | "reown" | "reduced"
>;

export interface MeshMemberParts {
  readonly connection: Connection<ToCoordinator, ToWorker>;
  readonly transport: PeerTransport | undefined;
  readonly clock: Clock;
  readonly memory: WorkerMemory;
  readonly welcome: MessageOf<ToWorker, "welcome">;
  readonly parameters: Parameters;
  /** Takes a chunk of t+1 as if it had come from the coordinator. */
  readonly stage: (step: number, chunk: number, bytes: Uint8Array) => void;
  readonly log: (message: string) => void;
}

/** A worker's part in direct exchange, for one membership: its links, its replica, and the step under way. */
export class MeshMember {
  readonly #parts: MeshMemberParts;
  readonly #links: PeerLinks | undefined;
  #replica: Replica | undefined;
  #step: MeshStep | undefined;
  /** Chunks of rounds whose exchange was not announced here yet: others were told sooner. Copies. */
  #early: { readonly message: ChunkMessage; readonly payload: Uint8Array }[] = [];
  #earlyBytes = 0;

  constructor(parts: MeshMemberParts) {
    const { transport, clock, welcome, connection } = parts;
    this.#parts = parts;
    parts.memory.reclaimReductions();
    if (transport === undefined || welcome.mesh === undefined) return;
    this.#links = new PeerLinks({
      transport,
      clock,
      welcome,
      key: welcome.mesh.key,
      received: (message, payload) => this.#chunk(message, payload),
      linked: (peer) => connection.send({ type: "linked", peer }),
      unlinked: (peer, reason) => connection.send({ type: "unlinked", peer, reason }),
    });
  }

  /** Tells the coordinator where others can reach this worker; port 0 if they cannot. */
  async start(): Promise<void> {
    const { connection, log } = this.#parts;
    try {
      const { host, port } = (await this.#links?.listen()) ?? { host: "", port: 0 };
      connection.send({ type: "listening", host, port });
    } catch (error) {
      log(`cannot listen for other workers: ${error instanceof Error ? error.message : String(error)}`);
      connection.send({ type: "listening", host: "", port: 0 });
    }
  }

  /** Throws PROTOCOL. */
  receive(message: MeshMessage, payload: Uint8Array = new Uint8Array(0)): void {
    switch (message.type) {
      case "replica": {
        const { welcome, parameters, memory } = this.#parts;
        this.#replica = new Replica(message, welcome, parameters, memory);
        return;
      }
      case "state":
        this.#expectReplica().receive(message.step, message.slot, message.chunk, payload);
        return;
      case "peers":
        this.#links?.connect(message.members);
        return;
      case "exchange":
        this.#begin(message);
        return;
      case "divisor":
        if (this.#step?.round === message.round) this.#step.divisorKnown(message.divisor);
        return;
      case "reown":
        if (this.#step?.round === message.round) this.#step.reown(message.chunks);
        return;
      case "reduced":
        if (this.#step?.round === message.round) this.#step.reduced(message.chunk, payload);
        return;
    }
  }

  /** From other workers, as long as the membership lasts. */
  get arrivedBytes(): number {
    return this.#links?.arrivedBytes ?? 0;
  }

  /** True if a round's sums are exchanged directly. */
  exchanges(round: number): boolean {
    return this.#step?.round === round;
  }

  /** Takes over a node that was computed for the exchange under way. */
  hold(node: TreeNode, result: NodeResult): void {
    this.#step?.hold({ lo: node.lo, hi: node.hi }, result);
  }

  /** The coordinator sends the update of the step under way itself. */
  withdraw(): void {
    this.#step?.withdraw();
  }

  /** The coordinator sends parameters whole: what was computed from others is void, its leases were dealt to others. */
  restart(): void {
    this.#step?.end();
    this.#step = undefined;
    this.#replica?.invalidate();
  }

  /** The round is over. @param isCommitted its update is current, with the coordinator's bits. */
  ended(round: number, step: number, isCommitted: boolean): void {
    if (this.#step?.round !== round) return;
    if (isCommitted && this.#step.isApplied) this.#replica?.commit(step);
    this.#step.end();
    this.#step = undefined;
  }

  skipped(step: number): void {
    this.#replica?.skip(step);
  }

  close(): void {
    this.#step?.end();
    this.#step = undefined;
    this.#links?.close();
  }

  #begin(exchange: MessageOf<ToWorker, "exchange">): void {
    const { connection, memory, welcome, parameters, stage } = this.#parts;
    const replica = this.#expectReplica();
    if (this.#links === undefined) throw new TuttiError("PROTOCOL", "an exchange with workers that it has no links to");
    replica.expect(exchange.step, exchange.updates);
    this.#step?.end();
    const stagedHash = (): string => parameters.stagedHash;
    this.#step = new MeshStep(
      { connection, links: this.#links, memory, welcome, replica, stage, stagedHash },
      exchange,
    );
    const early = this.#early.filter(({ message }) => message.round >= exchange.round);
    this.#early = [];
    this.#earlyBytes = 0;
    for (const { message, payload } of early) this.#chunk(message, payload);
  }

  #chunk(message: ChunkMessage, payload: Uint8Array): void {
    const { welcome } = this.#parts;
    if (message.generation !== welcome.generation) return;
    const step = this.#step;
    if (step !== undefined && message.round <= step.round) {
      if (message.round < step.round) return; // late
      if (message.type === "contribution") step.contribution(message, message.chunk, payload);
      else step.reduced(message.chunk, payload);
      return;
    }
    // More than that nobody needs to send: the rest is asked for again when it turns out to be missing.
    if (this.#earlyBytes + payload.byteLength > 8 * welcome.sumsFloats + (1 << 20)) return;
    this.#earlyBytes += payload.byteLength;
    this.#early.push({ message, payload: Uint8Array.from(payload) });
  }

  #expectReplica(): Replica {
    if (this.#replica === undefined) throw new TuttiError("PROTOCOL", "an exchange without a replica");
    return this.#replica;
  }
}
