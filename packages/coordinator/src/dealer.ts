import type { Clock } from "@tutti/core/clock";
import type { TreeNode } from "@tutti/core/step";
import type { EvaluationRound } from "./evaluation-round.ts";
import { type LeaseShare, planLeases } from "./lease-plan.ts";
import { involvedIn, type Lease } from "./leases.ts";
import type { Member } from "./member.ts";
import type { StepRound } from "./step-round.ts";
import type { PreparedShard } from "./training-run.ts";

export type Round = StepRound | EvaluationRound;

export interface DealerParts {
  readonly clock: Clock;
  readonly generation: number;
  /** Leases unanswered for this long are dealt to a second worker. */
  readonly lateMs: () => number;
  /** A worker with leases that makes no progress for this long after that is given up. */
  readonly graceMs: number;
  readonly stalled: (member: Member, forMs: number) => void;
  /** Rows up to this many bytes travel within their header. */
  readonly inlineBytes: number;
  readonly active: () => readonly Member[];
  /** Those of them that the next step is planned for. */
  readonly computing: () => readonly Member[];
  /** Whether work of the round under way may be dealt to this member. */
  readonly mayCompute: (member: Member) => boolean;
  /** Called now and then. */
  readonly ticked: (nowMs: number, lateMs: number) => void;
  readonly nobodyLeft: () => void;
  /** An audited lease has an answer, and no further worker to confirm or decide it. */
  readonly noneToConfirm: (lease: Lease) => void;
}

/** Hands leases and their rows to workers, again where one is gone or late. Who computes what cannot change a bit. */
export class Dealer {
  readonly #parts: DealerParts;
  #round: Round | undefined;
  #shard: (index: number) => PreparedShard | undefined = () => undefined;
  #lateTimer: { cancel(): void } | undefined;

  constructor(parts: DealerParts) {
    this.#parts = parts;
  }

  get round(): Round | undefined {
    return this.#round;
  }

  /** One share per active worker, in proportion to measured speed; by lanes until all are measured. */
  plan(shards: number): readonly LeaseShare<Member>[] {
    const active = this.#parts.computing();
    const isMeasured = active.every(({ shardsPerSecond }) => shardsPerSecond !== undefined);
    return planLeases(
      shards,
      active.map((worker) => ({ worker, weight: isMeasured ? worker.shardsPerSecond! : worker.lanes })),
    );
  }

  /** True while the plan's workers are exactly those there are. */
  isCurrent(shares: readonly LeaseShare<Member>[]): boolean {
    const active = this.#parts.computing();
    return active.length === shares.length && shares.every(({ worker }, i) => worker === active[i]);
  }

  /** From now on, leases of this round are dealt; `shard` gives a shard's rows while they are at hand. */
  open(round: Round, shard: (index: number) => PreparedShard | undefined): void {
    this.#round = round;
    this.#shard = shard;
    this.#lateTimer ??= this.#parts.clock.setTimer(500, () => this.#tick());
  }

  /** The round is over: nothing more is dealt, and what workers hold of it is forgotten. */
  close(members: readonly Member[]): void {
    const round = this.#round!;
    this.#round = undefined;
    for (const member of members) member.batches.delete(round.number);
  }

  stop(): void {
    this.#round = undefined;
    this.#lateTimer?.cancel();
  }

  deal(lease: Lease, member: Member): void {
    const round = this.#round!;
    if (!member.isDealable) return;
    this.sendRows(round.number, lease.node, this.#shard, member);
    const nowMs = this.#parts.clock.now();
    if (round.leases.heldBy(member) === 0) member.lastProgressMs = nowMs;
    member.roundDealt(round.number, nowMs);
    round.leases.deal(lease, member, nowMs);
    member.send({
      type: "lease",
      generation: this.#parts.generation,
      round: round.number,
      step: round.step,
      ...lease.node,
      ...(round.usesAverage ? { average: true } : {}),
    });
  }

  /** Deals every lease that lacks a worker and whose rows are at hand. */
  dealOrphans(): void {
    const round = this.#round;
    if (round === undefined) return;
    for (const lease of round.leases.orphans()) {
      if (this.#shard(lease.node.lo) === undefined) continue;
      while (!lease.isDone && involvedIn(lease).size < lease.wanted) {
        const member = this.leastBusy(lease);
        if (member === undefined) {
          if (involvedIn(lease).size === 0) this.#parts.nobodyLeft();
          else this.#parts.noneToConfirm(lease);
          break;
        }
        this.deal(lease, member);
      }
    }
  }

  /** The active worker with the fewest open leases per lane that does not hold this one, one that has not failed at it if there is any; the first at ties. */
  leastBusy(lease: Lease): Member | undefined {
    const { active, mayCompute } = this.#parts;
    const others = active().filter((member) => mayCompute(member) && !involvedIn(lease).has(member));
    const untried = others.filter(({ id }) => !lease.failedBy.has(id));
    let best: Member | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (const member of untried.length > 0 ? untried : others) {
      const load = this.#round!.leases.heldBy(member) / member.lanes;
      if (load < least) {
        best = member;
        least = load;
      }
    }
    return best;
  }

  /** Sends a worker the rows of a node's shards that it does not have yet. */
  sendRows(round: number, node: TreeNode, shard: (index: number) => PreparedShard | undefined, member: Member): void {
    const held = member.batches.get(round) ?? new Set<number>();
    member.batches.set(round, held);
    for (let index = node.lo; index < node.hi; index++) {
      const prepared = shard(index);
      if (prepared === undefined || held.has(index)) continue;
      held.add(index);
      const { program, firstPosition, dataset, bytes } = prepared;
      const header = {
        type: "batch",
        generation: this.#parts.generation,
        round,
        shard: index,
        program,
        firstPosition,
        ...(dataset === undefined ? {} : { dataset }),
      } as const;
      if (bytes.byteLength <= this.#parts.inlineBytes) member.send({ ...header, payloadBytes: 0, inline: bytes });
      else member.send({ ...header, payloadBytes: bytes.byteLength }, bytes);
    }
  }

  #tick(): void {
    this.#lateTimer = this.#parts.clock.setTimer(500, () => this.#tick());
    const round = this.#round;
    if (round === undefined) return;
    const nowMs = this.#parts.clock.now();
    const lateMs = this.#parts.lateMs();
    this.#parts.ticked(nowMs, lateMs);
    if (round.leases.orphans().some((lease) => this.leastBusy(lease) !== undefined)) this.dealOrphans();
    for (const lease of round.leases.late(nowMs - lateMs)) {
      const member = this.leastBusy(lease);
      if (member !== undefined) this.deal(lease, member);
    }
    for (const member of this.#parts.active()) {
      const idleMs = nowMs - member.lastProgressMs;
      if (idleMs > lateMs + this.#parts.graceMs && round.leases.heldBy(member) > 0) this.#parts.stalled(member, idleMs);
    }
  }
}
