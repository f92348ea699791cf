import type { RunState } from "@tutti/core/events";
import type { MetricFamily, Sample } from "./exposition.ts";
import type { RunHistory } from "./run-history.ts";
import { stepSecondsBounds } from "./step-totals.ts";

const states: readonly RunState[] = [
  "waiting",
  "training",
  "paused",
  "stopping",
  "completed",
  "early-stopped",
  "stopped",
  "failed",
];

/** Every metric of `/metrics` with its type and meaning; docs/dashboard.md lists the same (a test compares). */
export const metricFamilies = {
  tutti_run_info: ["gauge", "1, with the run's definition digest and numeric class as labels"],
  tutti_run_state: ["gauge", "1 for the state the run is in, 0 for the others"],
  tutti_step: ["gauge", "Committed steps"],
  tutti_steps: ["gauge", "Steps of the whole run"],
  tutti_epoch: ["gauge", "Epoch of the last step, from 0"],
  tutti_loss: ["gauge", "Loss of the last step, mean over the batch"],
  tutti_metric: ["gauge", "Metric of the last step's batch, by name"],
  tutti_learning_rate: ["gauge", "Learning rate of the last step"],
  tutti_gradient_norm: ["gauge", "Norm of the last step's gradient, before clipping"],
  tutti_validation_loss: ["gauge", "Loss of the last validation"],
  tutti_validation_metric: ["gauge", "Metric of the last validation, by name"],
  tutti_samples_total: ["counter", "Samples of committed steps"],
  tutti_samples_per_second: ["gauge", "Samples a second over the last steps"],
  tutti_step_duration_seconds: ["histogram", "Wall time of a step"],
  tutti_step_phase_seconds_total: ["counter", "Where the time of steps went; the phases add up to their wall time"],
  tutti_checkpoints_total: ["counter", "Checkpoints written"],
  tutti_checkpoint_step: ["gauge", "Step of the last checkpoint"],
  tutti_workers: ["gauge", "Connected workers by state"],
  tutti_worker_shards_per_second: ["gauge", "Shards a second of a worker, smoothed"],
  tutti_worker_share: ["gauge", "Part of the last step's shards that a worker computed"],
  tutti_worker_round_trip_seconds: ["gauge", "To a worker and back, its own delay taken off"],
  tutti_worker_silence_seconds: ["gauge", "Since a worker's last message"],
  tutti_worker_leases_total: ["counter", "Leases of training steps that a worker has answered"],
  tutti_leases_dealt_again_total: ["counter", "Leases that were dealt to a second worker"],
  tutti_duplicates_dropped_total: ["counter", "Answers that came after another to the same lease"],
  tutti_duplicates_differing_total: ["counter", "Of them, those with other bits"],
  tutti_stale_dropped_total: ["counter", "Answers to steps that were over"],
  tutti_nodes_audited_total: ["counter", "Sums that two workers computed and agreed on"],
  tutti_workers_healed_total: ["counter", "Workers that were sent the parameters again, as theirs differed"],
  tutti_workers_quarantined_total: ["counter", "Workers sent away for computing wrong"],
  tutti_skipped_steps_total: ["counter", "Steps left out because a number was not finite"],
} as const satisfies Record<string, readonly [MetricFamily["type"], string]>;

/** What `/metrics` says of a live run. Lists only what is known: before the first step there is no loss. */
export function runMetrics(history: RunHistory): readonly MetricFamily[] {
  const status = history.status();
  const { run, lastStep, validation, ledger, checkpoint, workers } = status;
  const { totals } = history;
  const samples: Record<keyof typeof metricFamilies, readonly Sample[]> = {
    tutti_run_info:
      run === null ? [] : [{ labels: { definition: run.definitionDigest, numeric_class: run.numericClass }, value: 1 }],
    tutti_run_state: states.map((state) => ({ labels: { state }, value: state === status.state ? 1 : 0 })),
    tutti_step: one(status.step),
    tutti_steps: one(run?.totalSteps),
    tutti_epoch: one(lastStep?.epoch),
    tutti_loss: one(lastStep?.loss),
    tutti_metric: byName(lastStep?.metrics),
    tutti_learning_rate: one(lastStep?.lr),
    tutti_gradient_norm: one(lastStep?.gradientNorm),
    tutti_validation_loss: one(validation?.loss),
    tutti_validation_metric: byName(validation?.metrics),
    tutti_samples_total: one(totals.samples),
    tutti_samples_per_second: one(status.samplesPerSecond),
    tutti_step_duration_seconds: durations(history),
    tutti_step_phase_seconds_total: Object.entries(totals.phaseMs).map(([phase, ms]) => ({
      labels: { phase: phase.slice(0, -2) },
      value: ms / 1000,
    })),
    tutti_checkpoints_total: one(totals.checkpoints),
    tutti_checkpoint_step: one(checkpoint?.step),
    tutti_workers: (["connecting", "loading", "standby", "active", "draining"] as const).map((state) => ({
      labels: { state },
      value: workers.filter((worker) => worker.state === state).length,
    })),
    tutti_worker_shards_per_second: byWorker(status, ({ shardsPerSecond }) => shardsPerSecond),
    tutti_worker_share: byWorker(status, ({ share }) => share),
    tutti_worker_round_trip_seconds: byWorker(status, ({ roundTripMs }) =>
      roundTripMs === null ? null : roundTripMs / 1000,
    ),
    tutti_worker_silence_seconds: byWorker(status, ({ silentMs }) => silentMs / 1000),
    tutti_worker_leases_total: byWorker(status, ({ leases }) => leases),
    tutti_leases_dealt_again_total: one(ledger?.leasesDealtAgain),
    tutti_duplicates_dropped_total: one(ledger?.duplicatesDropped),
    tutti_duplicates_differing_total: one(ledger?.duplicatesDiffering),
    tutti_stale_dropped_total: one(ledger?.staleDropped),
    tutti_nodes_audited_total: one(ledger?.nodesAudited),
    tutti_workers_healed_total: one(ledger?.workersHealed),
    tutti_workers_quarantined_total: one(ledger?.workersQuarantined),
    tutti_skipped_steps_total: one(ledger?.skippedSteps),
  };
  return Object.entries(metricFamilies).map(([name, [type, help]]) => ({
    name,
    type,
    help,
    samples: samples[name as keyof typeof metricFamilies],
  }));
}

function one(value: number | null | undefined): readonly Sample[] {
  return value === undefined || value === null ? [] : [{ value }];
}

function byName(values: Readonly<Record<string, number>> = {}): readonly Sample[] {
  return Object.entries(values).map(([name, value]) => ({ labels: { name }, value }));
}

function byWorker(
  { workers }: ReturnType<RunHistory["status"]>,
  value: (worker: (typeof workers)[number]) => number | null,
): readonly Sample[] {
  return workers.flatMap((worker) => {
    const found = value(worker);
    return found === null ? [] : [{ labels: { worker: worker.id, host: worker.host }, value: found }];
  });
}

function durations({ totals }: RunHistory): readonly Sample[] {
  let upTo = 0;
  const buckets = stepSecondsBounds.map((bound, i) => {
    upTo += totals.durations[i]!;
    return { suffix: "_bucket", labels: { le: String(bound) }, value: upTo };
  });
  return [
    ...buckets,
    { suffix: "_bucket", labels: { le: "+Inf" }, value: totals.steps },
    { suffix: "_sum", value: totals.wallMs / 1000 },
    { suffix: "_count", value: totals.steps },
  ];
}
