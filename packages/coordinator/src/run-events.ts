import type { DoneEvent, Ledger, RunStarted } from "@tutti/core/events";
import type { Member } from "./member.ts";
import type { TrainingRun } from "./training-run.ts";
import type { Validation } from "./validator.ts";

/** What is fixed before the first step. */
export function runStarted(run: TrainingRun, startStep: number, numericClass: string): RunStarted {
  const { definitionDigest, shards, seed, batchSize, stepsPerEpoch, totalSteps, trainable } = run;
  return {
    type: "run",
    definitionDigest,
    parameters: trainable.entries.reduce((sum, { length }) => sum + length, 0),
    shards,
    seed,
    batchSize,
    stepsPerEpoch,
    totalSteps,
    startStep,
    numericClass,
  };
}

/** What the run has come to. */
export function runDone(
  run: TrainingRun,
  result: {
    readonly outcome: DoneEvent["outcome"];
    readonly step: number;
    readonly weightsSha256: string;
    readonly validation: Validation | undefined;
    readonly wallMs: number;
  },
  ledger: Ledger,
  active: readonly Member[],
): DoneEvent {
  return {
    type: "done",
    outcome: result.outcome,
    steps: result.step,
    epochs: result.step / run.stepsPerEpoch,
    weightsSha256: result.weightsSha256,
    validation: result.validation ?? null,
    wallMs: result.wallMs,
    samplesPerSecond: (ledger.samples * 1000) / result.wallMs,
    ledger: { ...ledger },
    workers: active.map(({ id, host, lanes, leasesAnswered }) => ({ id, host, lanes, leases: leasesAnswered })),
  };
}
