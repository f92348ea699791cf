import { nodeKey, type TreeNode } from "@tutti/core/step";
import type { Member } from "./member.ts";

/** A node that must be computed, and who has been asked to. */
export interface Lease {
  readonly node: TreeNode;
  readonly holders: Set<Member>;
  dealtAtMs: number;
  timesDealt: number;
  isDone: boolean;
  /** How often a worker answered that it could not compute it. */
  failures: number;
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
    const lease: Lease = { node, holders: new Set(), dealtAtMs: 0, timesDealt: 0, isDone: false, failures: 0 };
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
    if (lease.timesDealt > 0) this.dealtAgain++;
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
  }

  /** Leases that nobody is computing. */
  orphans(): readonly Lease[] {
    return [...this.#leases.values()].filter((lease) => !lease.isDone && lease.holders.size === 0);
  }

  /** Unanswered leases that were dealt before `beforeMs`. */
  late(beforeMs: number): readonly Lease[] {
    return [...this.#leases.values()].filter(
      (lease) => !lease.isDone && lease.holders.size > 0 && lease.dealtAtMs < beforeMs,
    );
  }

  heldBy(member: Member): number {
    let held = 0;
    for (const lease of this.#leases.values()) if (!lease.isDone && lease.holders.has(member)) held++;
    return held;
  }
}
