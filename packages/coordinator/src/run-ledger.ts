import type { Ledger } from "@tutti/core/events";
import type { EvaluationRound } from "./evaluation-round.ts";
import { StepRound } from "./step-round.ts";

/** Counts what a run has done and survived; a `done` event tells it. */
export class RunLedger implements Ledger {
  samples = 0;
  leasesDealtAgain = 0;
  duplicatesDropped = 0;
  duplicatesDiffering = 0;
  staleDropped = 0;
  nodesAudited = 0;
  workersHealed = 0;
  workersQuarantined = 0;
  skippedSteps: number;

  /** @param skippedSteps those of the checkpoint that the run goes on from. */
  constructor(skippedSteps: number) {
    this.skippedSteps = skippedSteps;
  }

  /** Adds what a round that is over has seen. */
  add(round: StepRound | EvaluationRound): void {
    this.leasesDealtAgain += round.leases.dealtAgain;
    this.duplicatesDropped += round.duplicates;
    if (round instanceof StepRound) this.duplicatesDiffering += round.duplicatesDiffering;
  }
}
