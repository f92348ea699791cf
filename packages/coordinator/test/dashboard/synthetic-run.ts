import type { CoordinatorStatus, StepEvent, StepTimes, WorkerStatus } from "@tutti/core/events";

/** A run of figures that follow formulas: what a page or a history must show of it can be computed beside it. */
export class SyntheticRun {
  readonly workers: number;
  #step = 0;

  constructor(workers: number) {
    this.workers = workers;
  }

  readonly started = {
    type: "run",
    definitionDigest: "5d1c6a1f0b7e",
    parameters: 269_322,
    shards: 128,
    seed: 1,
    batchSize: 4096,
    stepsPerEpoch: 10_000,
    totalSteps: 100_000,
    startStep: 0,
    numericClass: "9be0c7d2a441",
  } as const;

  /** The event of a step, from 1. */
  step(step: number): StepEvent {
    this.#step = step;
    const wallMs = 40 + 6 * Math.sin(step / 7);
    return {
      type: "step",
      step,
      epoch: Math.floor((step - 1) / this.started.stepsPerEpoch),
      loss: lossAt(step),
      lr: 0.001 * (1 - step / 200_000),
      gradientNorm: 1 + 0.3 * Math.sin(step / 11),
      metrics: { accuracy: 1 - lossAt(step) / 3 },
      samples: 4096,
      samplesPerSecond: 4_096_000 / wallMs,
      wallMs,
      time: {
        dataMs: 0.04 * wallMs,
        computeMs: 0.5 * wallMs,
        stragglerMs: 0.1 * wallMs,
        uploadMs: 0.12 * wallMs,
        reduceMs: 0.06 * wallMs,
        updateMs: 0.05 * wallMs,
        downloadMs: 0.05 * wallMs,
        waitMs: 0.08 * wallMs,
      },
    };
  }

  /** As the coordinator would have it after the last step. */
  get status(): CoordinatorStatus {
    const step = this.#step;
    const ids = Array.from({ length: this.workers }, (_, i) => i + 1);
    return {
      state: "training",
      workers: ids.map(
        (id): WorkerStatus => ({
          id: `w${id}`,
          host: `node-${String(Math.ceil(id / 4)).padStart(2, "0")}.lab.example`,
          lanes: 1 + (id % 4),
          state: id === this.workers && this.workers > 20 ? "standby" : "active",
          shardsPerSecond: 24 + 8 * Math.sin(id),
          share: (1 + 0.3 * Math.sin(id)) / this.workers,
          roundTripMs: 0.4 + 0.3 * Math.cos(id),
          silentMs: 40 * (id % 20),
          leases: step * (1 + (id % 3)),
        }),
      ),
      ledger: {
        samples: step * 4096,
        leasesDealtAgain: 3,
        duplicatesDropped: 1,
        duplicatesDiffering: 0,
        staleDropped: 2,
        nodesAudited: 0,
        workersHealed: 0,
        workersQuarantined: 0,
        skippedSteps: 0,
      },
    };
  }

  get stepTimes(): StepTimes {
    const step = this.#step;
    const wallMs = 40 + 6 * Math.sin(step / 7);
    return {
      step,
      wallMs,
      workers: Array.from({ length: this.workers }, (_, i) => {
        const computeMs = wallMs * (0.55 + 0.15 * Math.sin(i + step / 3));
        const exchangeMs = wallMs * (0.15 + 0.05 * Math.cos(i * step));
        return { worker: `w${i + 1}`, computeMs, exchangeMs, waitMs: wallMs - computeMs - exchangeMs };
      }),
    };
  }
}

/** From 2.3 down, with ripples that a chart must not lose. */
export function lossAt(step: number): number {
  return 0.05 + 2.25 / (1 + step / 800) + 0.02 * Math.sin(step * 0.37) + (step % 9973 === 0 ? 1.5 : 0);
}
