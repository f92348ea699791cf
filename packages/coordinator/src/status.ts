import type { CoordinatorStatus, Ledger, StepTimes, WorkerStatus } from "@tutti/core/events";
import type { Lifecycle } from "./lifecycle.ts";
import type { Member } from "./member.ts";

/** What a coordinator knows of its run, copied. */
export function coordinatorStatus(
  life: Lifecycle["state"],
  isPaused: boolean,
  members: readonly Member[],
  ledger: Ledger,
): CoordinatorStatus {
  return {
    state: isPaused && (life === "waiting" || life === "training") ? "paused" : life,
    workers: members.map(workerStatus),
    ledger: { ...ledger },
  };
}

/** A member as others are shown it. */
function workerStatus(member: Member): WorkerStatus {
  const { id, host, lanes, shardsPerSecond, roundTripMs, silence, leasesAnswered } = member;
  return {
    id,
    host,
    lanes,
    state: stateOf(member),
    shardsPerSecond: shardsPerSecond ?? null,
    share: member.lastStep.share,
    roundTripMs: roundTripMs ?? null,
    silentMs: silence.lastMs,
    leases: leasesAnswered,
  };
}

/** What the members that are still here did in a step. */
export function stepTimes(step: number, wallMs: number, members: readonly Member[]): StepTimes {
  const workers = members.map(({ id, lastStep: { computeMs, exchangeMs } }) => ({
    worker: id,
    computeMs,
    exchangeMs,
    waitMs: Math.max(0, wallMs - computeMs - exchangeMs),
  }));
  return { step, wallMs, workers };
}

function stateOf(member: Member): WorkerStatus["state"] {
  if (member.isDraining) return "draining";
  if (member.state === "loading") return member.numericClass === "" ? "loading" : "standby";
  if (member.state !== "active") return "connecting";
  return member.toldStandby && member.lastStep.share === 0 ? "standby" : "active";
}
