import type { StepEvent, TimeSplit } from "@tutti/core/events";

/** Upper bounds of the histogram of step durations, seconds. */
export const stepSecondsBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60] as const;

export type StepPhase = keyof TimeSplit;

/** What only grows while a run trains. Milliseconds. */
export class StepTotals {
  steps = 0;
  samples = 0;
  skippedSteps = 0;
  checkpoints = 0;
  wallMs = 0;
  readonly phaseMs: Record<StepPhase, number> = {
    dataMs: 0,
    computeMs: 0,
    stragglerMs: 0,
    uploadMs: 0,
    reduceMs: 0,
    updateMs: 0,
    downloadMs: 0,
    waitMs: 0,
  };
  /** Steps that took at most `stepSecondsBounds[i]`, and longer than the bound before. */
  readonly durations: number[] = stepSecondsBounds.map(() => 0);

  stepped({ samples, wallMs, time }: StepEvent): void {
    this.steps++;
    this.samples += samples;
    this.wallMs += wallMs;
    for (const phase in this.phaseMs) this.phaseMs[phase as StepPhase] += time[phase as StepPhase];
    const bucket = stepSecondsBounds.findIndex((bound) => wallMs <= bound * 1000);
    if (bucket >= 0) this.durations[bucket]!++;
  }

  skipped(samples: number): void {
    this.skippedSteps++;
    this.samples += samples;
  }
}
