import { nodeKey, type TreeNode } from "@tutti/core/step";
import type { NodeAudit } from "./audit.ts";
import type { Member } from "./member.ts";

/** A node that must be computed, and who has been asked to. */
export interface Lease {
  readonly node: TreeNode;
  /** Who is computing it, or has answered and is still here. */
  readonly holders: Set<Member>;
  /** How many different workers must answer: more than 1 when it is audited. */
  wanted: number;
  /** Who has computed it and hands its sums to others than the coordinator. */
  readonly announced: Set<Member>;
  /** Compares the answers of an audited lease. */
  audit: NodeAudit | undefined;
  /** Hashes of the chunks taken, kept once the lease has been dealt again. */
  readonly hashes: Map<number, bigint>;
  dealtAtMs: number;
  timesDealt: number;
  isDone: boolean;
  /** How often a worker answered that it could not compute it. */
  failures: number;
  /** Ids of the workers that answered so. */
  readonly failedBy: Set<string>;
}

/**
 * The leases of one round: which node is with whom. A lease is one canonical node, dealt whole; it may be dealt again
 * when its holder is gone or late, and is done once, whoever answers first.
 */
export class Leases {
  readonly #leases = new Map<string, Lease>();
  #open = 0;
  dealtAgain = 0;

  add(node: TreeNode): Lease {
    const lease: Lease = {
      node,
      hashes: new Map(),
      holders: new Set(),
      announced: new Set(),
      wanted: 1,
      audit: undefined,
      dealtAtMs: 0,
      timesDealt: 0,
      isDone: false,
      failures: 0,
      failedBy: new Set(),
    };
    this.#leases.set(nodeKey(node), lease);
    this.#open++;
    return lease;
  }

  get(node: TreeNode): Lease | undefined {
    return this.#leases.get(nodeKey(node));
  }

  get nodes(): readonly TreeNode[] {
    return [...this.#leases.values()].map(({ node }) => node);
  }

  get isComplete(): boolean {
    return this.#open === 0;
  }

  deal(lease: Lease, member: Member, nowMs: number): void {
    if (lease.timesDealt >= lease.wanted) this.dealtAgain++;
    lease.timesDealt++;
    lease.holders.add(member);
    lease.dealtAtMs = nowMs;
  }

  finish(lease: Lease): void {
    if (lease.isDone) return;
    lease.isDone = true;
    this.#open--;
  }

  /** Takes a member off all its leases. */
  release(member: Member): void {
    for (const lease of this.#leases.values()) lease.holders.delete(member);
    for (const lease of this.#leases.values()) lease.announced.delete(member);
  }

  /** Sums that were handed to others are owed to the coordinator now, as of `nowMs`. */
  reopen(nowMs: number): void {
    for (const lease of this.#leases.values()) {
      lease.announced.clear();
      if (!lease.isDone) lease.dealtAtMs = nowMs;
    }
  }

  get all(): readonly Lease[] {
    return [...this.#leases.values()];
  }

  /** Leases that fewer workers than wanted have answered or are computing. */
  orphans(): readonly Lease[] {
    return [...this.#leases.values()].filter((lease) => !lease.isDone && involvedIn(lease).size < lease.wanted);
  }

  /** Unanswered leases that were dealt before `beforeMs`. */
  late(beforeMs: number): readonly Lease[] {
    return [...this.#leases.values()].filter(
      (lease) => !lease.isDone && lease.holders.size > 0 && lease.announced.size === 0 && lease.dealtAtMs < beforeMs,
    );
  }

  /** Open leases that the member still owes an answer. */
  heldBy(member: Member): number {
    let held = 0;
    for (const lease of this.#leases.values()) {
      if (lease.isDone || !lease.holders.has(member) || lease.announced.has(member)) continue;
      if (!lease.audit?.answered.includes(member)) held++;
    }
    return held;
  }
}

/** Who computes a lease or has answered it, gone or not. */
export function involvedIn(lease: Lease): ReadonlySet<Member> {
  return lease.audit === undefined ? lease.holders : new Set([...lease.holders, ...lease.audit.answered]);
}
