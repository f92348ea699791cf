import type { CheckpointEvent, DoneEvent, ErrorEvent, Ledger, RunStarted, StepEvent, ValidationEvent } from "./run.ts";

/** One worker as the coordinator sees it now. Times in milliseconds. */
export interface WorkerStatus {
  readonly id: string;
  readonly host: string;
  readonly lanes: number;
  /** standby: waits for a place, or for shards to compute · draining: is given nothing more and leaves after the step. */
  readonly state: "connecting" | "loading" | "standby" | "active" | "draining";
  /** Smoothed; null until measured. */
  readonly shardsPerSecond: number | null;
  /** Part of the last step's shards that it computed, 0 to 1. */
  readonly share: number;
  /** From the coordinator to the worker and back, the worker's own delay taken off; null until measured. */
  readonly roundTripMs: number | null;
  /** Since its last message. */
  readonly silentMs: number;
  /** Leases of training steps that it has answered. */
  readonly leases: number;
}

/** What one worker did in one step; the three parts add up to the step's wall time. Milliseconds. */
export interface WorkerTimes {
  readonly worker: string;
  /** Computing, by its own clock; over all its lanes divided by their number. */
  readonly computeMs: number;
  /** Between its first lease and its last sum, less computing: rows, leases and sums on their way. */
  readonly exchangeMs: number;
  /** The rest of the step: it waited for others and for the coordinator. */
  readonly waitMs: number;
}

export interface StepTimes {
  readonly step: number;
  readonly wallMs: number;
  readonly workers: readonly WorkerTimes[];
}

/** What a coordinator knows of its run besides the events it has told. */
export interface CoordinatorStatus {
  readonly state: "waiting" | "training" | "paused" | "stopping" | "over";
  readonly workers: readonly WorkerStatus[];
  readonly ledger: Ledger;
}

/** unfinished: read from a directory whose run did not end. */
export type RunState = Exclude<CoordinatorStatus["state"], "over"> | DoneEvent["outcome"] | "failed" | "unfinished";

/** `/status`: one run as it stands. Times in milliseconds. */
export interface RunStatus {
  readonly id: string;
  readonly name: string;
  /** Whether it is being trained by the process that answers. */
  readonly isLive: boolean;
  readonly state: RunState;
  readonly run: RunStarted | null;
  /** Committed steps. */
  readonly step: number;
  readonly lastStep: StepEvent | null;
  readonly validation: ValidationEvent | null;
  /** Over the last steps. */
  readonly samplesPerSecond: number | null;
  /** Spent in steps so far, by this process and those that it resumed. */
  readonly trainedMs: number;
  /** Until the last step at the pace of the last ones; null when that is not known. */
  readonly leftMs: number | null;
  readonly workers: readonly WorkerStatus[];
  readonly ledger: Ledger | null;
  readonly checkpoint: CheckpointEvent | null;
  readonly done: DoneEvent | null;
  readonly error: ErrorEvent | null;
}

/**
 * Rows of curves over steps, each a bucket of `stride` steps (`floor(step / stride)` is the same for all of a row).
 * Rows are sent again while they grow: those from index `from` on take the place of what the reader had there.
 */
export interface CurveRows {
  readonly stride: number;
  readonly from: number;
  /** Last step of each row. */
  readonly steps: readonly number[];
  /** By name. A null is a row without a finite value; `min` and `max` are absent where stride is 1. */
  readonly series: Readonly<Record<string, CurveValues>>;
}

export interface CurveValues {
  readonly mean: readonly (number | null)[];
  readonly min?: readonly (number | null)[];
  readonly max?: readonly (number | null)[];
}

export interface LogEntry {
  /** Counts from 1. */
  readonly number: number;
  /** Milliseconds since 1970; null when it is not known. */
  readonly atMs: number | null;
  readonly level: "info" | "warning" | "error";
  readonly text: string;
}

/** What happened to one run since the last update of this reader; everything in the first. */
export interface RunUpdate {
  readonly status: RunStatus;
  /** loss, lr, gradientNorm, samplesPerSecond, wallMs and `metric/NAME`. */
  readonly training: CurveRows;
  /** loss and `metric/NAME`. */
  readonly validation: CurveRows;
  /** The newest steps one by one, stride 1; the reader keeps `recentSteps` of them. */
  readonly recent: CurveRows;
  readonly timeline: readonly StepTimes[];
  readonly log: readonly LogEntry[];
  /** Plain values of the definition by dotted path, as JSON; null when they are not known. Only in the first update. */
  readonly configuration?: Readonly<Record<string, string>> | null;
}

/** One event of `/events`. */
export interface LiveUpdate {
  /** Another value means another server process: what the reader has is void. */
  readonly server: string;
  /** The first update of a connection; later ones add to it. */
  readonly isFirst: boolean;
  /** Whether there is a coordinator that can be steered. */
  readonly isSteerable: boolean;
  readonly runs: readonly RunUpdate[];
}

/** What `POST /control` takes. No action changes a bit of the result. */
export type ControlRequest =
  | { readonly action: "pause" | "resume" | "checkpoint" | "stop" }
  | { readonly action: "drain"; readonly worker: string };
