import type { Clock } from "@tutti/core/clock";
import { TuttiError } from "@tutti/core/errors";
import type { RunEvent } from "@tutti/core/events";
import type { MessageOf, ToCoordinator } from "@tutti/core/wire";
import type { Dealer } from "./dealer.ts";
import type { Lease } from "./leases.ts";
import type { FailedMessage, Member } from "./member.ts";
import type { Membership } from "./membership.ts";
import type { PhaseClock } from "./phase-clock.ts";
import { RecentTimes } from "./recent-times.ts";
import type { RunLedger } from "./run-ledger.ts";
import { StepRound } from "./step-round.ts";

export interface IntakeParts {
  readonly clock: Clock;
  readonly generation: number;
  readonly dealer: Dealer;
  readonly membership: Membership;
  readonly phases: PhaseClock;
  readonly ledger: RunLedger;
  /** What members say of direct exchange. Throws PROTOCOL. */
  readonly direct: (member: Member, message: DirectMessage, payload: Uint8Array | undefined) => void;
  /** Sends a member the current parameters and what of the next is final. */
  readonly sendParameters: (member: Member) => void;
  readonly emit: (event: RunEvent) => void;
  readonly fail: (error: TuttiError) => void;
}

export type DirectMessage = MessageOf<ToCoordinator, "listening" | "linked" | "unlinked" | "reduced" | "applied">;

const directTypes: ReadonlySet<string> = new Set(["listening", "linked", "unlinked", "reduced", "applied"]);

function isDirect(message: ToCoordinator): message is DirectMessage {
  return directTypes.has(message.type);
}

/** Takes in what workers answer, and deals with answers that are stale, failed or wrong. */
export class Intake {
  readonly #parts: IntakeParts;
  /** How long recent leases took. */
  readonly leaseTimes = new RecentTimes(256);

  constructor(parts: IntakeParts) {
    this.#parts = parts;
  }

  /** Whatever a member says about work. Throws PROTOCOL, which drops it. */
  receive(member: Member, message: ToCoordinator, payload: Uint8Array | undefined): void {
    if (message.type === "differs") {
      this.#heal(member, message.step);
      return;
    }
    if (isDirect(message)) {
      this.#parts.direct(member, message, payload);
      return;
    }
    if (message.type !== "result" && message.type !== "partial" && message.type !== "failed") return;
    const { round } = this.#parts.dealer;
    if (round === undefined || message.round !== round.number || message.generation !== this.#parts.generation) {
      this.#parts.ledger.staleDropped++;
      return;
    }
    member.lastProgressMs = this.#parts.clock.now();
    member.heardOf(message.round, member.lastProgressMs);
    if (message.type === "failed") {
      this.#leaseFailed(member, message);
    } else if (message.type === "result") {
      const lease = round.leases.get(message);
      if (lease !== undefined && !lease.isDone) this.leaseTimes.add(this.#parts.clock.now() - lease.dealtAtMs);
      if (round instanceof StepRound) {
        member.leasesAnswered++;
        member.measure(round.number, message.hi - message.lo, message.computeMs, this.#parts.clock.now());
      }
      if (round instanceof StepRound) this.#parts.phases.announced(member.id);
      this.#parts.phases.run("reduce", () => round.result(member, message, payload));
    } else if (round instanceof StepRound) {
      this.#parts.phases.run("reduce", () => round.partial(member, message, payload));
    }
  }

  /** A worker's parameters differ from the coordinator's: it is sent them again, and given up if that keeps happening. */
  #heal(member: Member, step: number): void {
    const reason = `its parameters after step ${step} differ from the coordinator's`;
    if (++member.healed > 3) {
      this.#parts.membership.drop(member, reason);
      return;
    }
    this.#parts.ledger.workersHealed++;
    this.#notice(`worker ${member.id} on ${member.host}: ${reason}; they are sent again`);
    this.#parts.dealer.round?.leases.release(member);
    this.#parts.sendParameters(member);
    this.#parts.dealer.dealOrphans();
  }

  #leaseFailed(member: Member, message: FailedMessage): void {
    const { round } = this.#parts.dealer;
    const lease = round?.leases.get(message);
    if (round === undefined || lease === undefined || lease.isDone) return;
    lease.holders.delete(member);
    lease.failures++;
    lease.failedBy.add(member.id);
    const where = `step ${round.step + 1}, shards ${message.lo}…${message.hi - 1}, worker ${member.id} on ${member.host}`;
    // One worker that cannot compute says nothing of the run, unless it is the only one.
    const isAlone = this.#parts.membership.dealable.every(({ id }) => lease.failedBy.has(id));
    if (lease.failedBy.size >= 3 || (isAlone && lease.failures >= 3)) {
      this.#parts.fail(new TuttiError("ENGINE_FAILED", `${where}: ${message.message} (tried ${lease.failures} times)`));
      return;
    }
    this.#notice(`${where}: ${message.message}; dealt again`);
    this.#parts.dealer.dealOrphans();
  }

  /** The answers to an audited node differ: names both. */
  disputed(round: StepRound, lease: Lease, members: readonly Member[]): void {
    const names = members.map(({ id, host }) => `${id} on ${host}`).join(" and ");
    this.#notice(
      `step ${round.step + 1}: ${names} computed different bits for shards ${lease.node.lo}…${lease.node.hi - 1}; a further worker decides`,
    );
    this.#parts.dealer.dealOrphans();
  }

  /** A late answer is not what was taken from another: someone computes wrong, but who is not known. */
  lateAnswerDiffers(round: StepRound, member: Member, lease: Lease): void {
    this.#notice(
      `step ${round.step + 1}: a late answer of worker ${member.id} on ${member.host} for shards ${lease.node.lo}…${lease.node.hi - 1} is not what another computed; run with --audit to find out who is wrong`,
    );
  }

  /** Nobody can confirm an audited answer: undisputed it is taken; disputed, nobody can say who is right. */
  noneToConfirm(lease: Lease): void {
    const { round } = this.#parts.dealer;
    if (!(round instanceof StepRound) || round.acceptUnconfirmed(lease) || lease.wanted < 3) return;
    const names = (lease.audit?.answered ?? []).map(({ id, host }) => `${id} on ${host}`).join(" and ");
    const where = `step ${round.step + 1}, shards ${lease.node.lo}…${lease.node.hi - 1}`;
    this.#parts.fail(
      new TuttiError(
        "AUDIT_UNDECIDED",
        `${where}: ${names} computed different bits and no further worker is there to decide; the step was not committed`,
      ),
    );
  }

  quarantine(member: Member, lease: Lease): void {
    const { id, host, lanes } = member;
    const reason = `quarantined: its sums of shards ${lease.node.lo}…${lease.node.hi - 1} are not what two others computed`;
    this.#parts.ledger.workersQuarantined++;
    this.#parts.emit({ type: "worker", event: "refused", id, host, lanes, reason });
    member.dismiss("QUARANTINED", reason, false);
    this.#parts.membership.drop(member, reason, new TuttiError("QUARANTINED", reason));
  }

  #notice(message: string): void {
    this.#parts.emit({ type: "notice", message });
  }
}
