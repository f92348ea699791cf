import { randomBytes } from "node:crypto";
import type { Clock } from "@tutti/core/clock";
import type { MessageOf, ToCoordinator } from "@tutti/core/wire";
import type { ExchangeChoice } from "./exchange-choice.ts";
import type { Member } from "./member.ts";
import { isLoopback } from "./server.ts";
import type { TrainingRun } from "./training-run.ts";

export interface MeshParts {
  readonly run: TrainingRun;
  readonly clock: Clock;
  readonly choice: ExchangeChoice;
  readonly normBlockFloats: number;
  /** Why no run of these options can exchange directly. */
  readonly obstacle: string | undefined;
  readonly active: () => readonly Member[];
  readonly notice: (message: string) => void;
  /** A link between workers is gone. */
  readonly broken: (reason: string) => void;
  /** Notified when something may be possible that was not. */
  readonly changed: () => void;
}

/** What the coordinator knows of a member's part in direct exchange. */
interface MeshEntry {
  /** Where others reach it; port 0: nowhere. */
  address: { readonly host: string; readonly port: number } | undefined;
  /** Since when it has been admitted and could be linked. */
  sinceMs: number;
  hasPeers: boolean;
  /** Ids of members that a link is up to. */
  readonly links: Set<string>;
  /** Why there is none, by id. */
  readonly failures: Map<string, string>;
  /** The step whose optimizer state it holds; −1 for none. */
  replicaStep: number;
}

/** How long a worker may take to be linked to the others; they do not wait, it does. */
export const linkMs = 4000;

/**
 * Who can exchange sums with whom. A step is exchanged directly when every worker that is to take part has links to all
 * others; one worker that cannot be linked sends all steps over the coordinator, aloud.
 */
export class Mesh {
  /** What workers of this run know each other by: 256 random bits. */
  readonly key = randomBytes(32).toString("hex");
  readonly #parts: MeshParts;
  readonly #entries = new Map<Member, MeshEntry>();
  #said = "";

  constructor(parts: MeshParts) {
    this.#parts = parts;
  }

  /** Workers are told to listen for each other. */
  get isOffered(): boolean {
    return this.#parts.choice.isOffered && this.#parts.obstacle === undefined;
  }

  /** A member may join the exchange of this run: gives it all it needs to apply updates but the state. */
  welcomed(member: Member): void {
    if (!this.isOffered) return;
    const { run, normBlockFloats } = this.#parts;
    member.send({
      type: "replica",
      optimizer: { ...run.optimizer.definition },
      trainable: run.trainable.entries.map(({ name, shape, offset, length }) => ({
        ...{ name, offset, length },
        shape: [...shape],
      })),
      trainableFloats: run.trainable.totalFloats,
      statistics: run.statistics.map((statistics) => ({ ...statistics })),
      normBlockFloats,
    });
  }

  admitted(member: Member): void {
    this.#entry(member).sinceMs = this.#parts.clock.now();
    this.#introduce(member);
  }

  left(member: Member): void {
    if (this.#entries.delete(member)) this.#parts.choice.reset();
  }

  /** What members say of their links. */
  receive(member: Member, message: MessageOf<ToCoordinator, "listening" | "linked" | "unlinked">): void {
    const entry = this.#entry(member);
    if (message.type === "listening") {
      entry.address = reachableAt(message, member.address);
      this.#introduce(member);
    } else if (message.type === "linked") {
      entry.links.add(message.peer);
      entry.failures.delete(message.peer);
    } else {
      const wasUp = this.#isLinked(member.id, message.peer);
      this.#unlink(member.id, message.peer);
      entry.failures.set(message.peer, message.reason);
      if (wasUp && [...this.#entries.keys()].some(({ id, isActive }) => id === message.peer && isActive))
        this.#parts.broken(`${member.id} has lost its link to ${message.peer} (${message.reason})`);
    }
    this.#parts.changed();
  }

  /** Who is to compute the next step; those with links to each other if it can be exchanged directly. */
  plan(): { readonly members: readonly Member[]; readonly isDirect: boolean } {
    const active = this.#parts.active();
    const star = { members: active, isDirect: false };
    if (!this.#parts.choice.isOffered || active.length < 2) return star;
    const problem = this.#parts.obstacle ?? this.#problem(active);
    if (problem !== undefined) {
      this.#say(`sums go over the coordinator: ${problem}`);
      return star;
    }
    if (!this.#parts.choice.prefersMesh) return star;
    const group: Member[] = [];
    for (const member of active) if (group.every(({ id }) => this.#isLinked(member.id, id))) group.push(member);
    if (group.length < 2) return star;
    this.#say("workers exchange sums directly");
    return { members: group, isDirect: true };
  }

  /** True if the member holds the optimizer's state of this step. */
  holdsState(member: Member, step: number): boolean {
    return this.#entries.get(member)?.replicaStep === step;
  }

  /** The member holds the state of this step; −1: of none. */
  stateIsAt(member: Member, step: number): void {
    const entry = this.#entries.get(member);
    if (entry !== undefined) entry.replicaStep = step;
  }

  /** A step was left out: whoever held the state of the one before holds its. */
  skipped(step: number): void {
    for (const entry of this.#entries.values()) if (entry.replicaStep === step - 1) entry.replicaStep = step;
  }

  /** Why not all of these can be linked, if that is certain. */
  #problem(active: readonly Member[]): string | undefined {
    const nowMs = this.#parts.clock.now();
    for (const member of active) {
      const entry = this.#entry(member);
      const isLate = nowMs - entry.sinceMs > linkMs;
      if (entry.address?.port === 0)
        return `${member.id} on ${member.host} cannot be reached by others (does it listen on loopback only? \`tutti worker --peer-host\`)`;
      for (const { id } of active) {
        if (id === member.id || this.#isLinked(id, member.id)) continue;
        const reason = entry.failures.get(id);
        if (reason !== undefined) return `${member.id} cannot reach ${id}: ${reason}`;
        if (isLate && member !== active[0]) return `${member.id} has not been linked to ${id} within ${linkMs} ms`;
      }
    }
    return undefined;
  }

  /** Sends a newcomer to all that were here before it; whoever can be reached nowhere still reaches others. */
  #introduce(member: Member): void {
    const entry = this.#entry(member);
    if (!member.isActive || entry.hasPeers || entry.address === undefined) return;
    entry.hasPeers = true;
    const members = [...this.#entries].flatMap(([{ id }, { address, hasPeers }]) =>
      id === member.id || !hasPeers || address === undefined || address.port === 0 ? [] : [{ id, ...address }],
    );
    member.send({ type: "peers", members });
    this.#parts.choice.reset();
  }

  #isLinked(a: string, b: string): boolean {
    for (const [{ id }, { links }] of this.#entries) {
      if ((id === a && links.has(b)) || (id === b && links.has(a))) return true;
    }
    return false;
  }

  #unlink(a: string, b: string): void {
    for (const [{ id }, { links }] of this.#entries) {
      if (id === a) links.delete(b);
      if (id === b) links.delete(a);
    }
  }

  #entry(member: Member): MeshEntry {
    let entry = this.#entries.get(member);
    if (entry === undefined) {
      entry = {
        address: undefined,
        sinceMs: this.#parts.clock.now(),
        hasPeers: false,
        links: new Set(),
        failures: new Map(),
        replicaStep: -1,
      };
      this.#entries.set(member, entry);
    }
    return entry;
  }

  /** Once for each change. */
  #say(message: string): void {
    if (message === this.#said) return;
    this.#said = message;
    this.#parts.notice(message);
  }
}

/** Where others reach a worker that listens there and whose connection comes from `seen`; port 0 if nowhere. */
function reachableAt(
  { host, port }: { readonly host: string; readonly port: number },
  seen: string,
): { readonly host: string; readonly port: number } {
  if (host === "0.0.0.0" || host === "::") return { host: seen, port };
  if (isLoopback(host) && !isLoopback(seen)) return { host, port: 0 };
  return { host, port };
}
