/** Where the time of a step went, exclusive parts in milliseconds that add up to the step's wall time. */
export interface TimeSplit {
  /** Waiting for rows, and handing them out. */
  readonly dataMs: number;
  /** Until the quickest worker had computed its share. */
  readonly computeMs: number;
  /** From then until the slowest had. */
  readonly stragglerMs: number;
  readonly uploadMs: number;
  readonly reduceMs: number;
  readonly updateMs: number;
  readonly downloadMs: number;
  readonly waitMs: number;
}

/** First event of a run. */
export interface RunStarted {
  readonly type: "run";
  readonly definitionDigest: string;
  /** Number of trained scalars. */
  readonly parameters: number;
  readonly shards: number;
  readonly seed: number;
  readonly batchSize: number;
  readonly stepsPerEpoch: number;
  readonly totalSteps: number;
  /** Steps already done when this run resumed; 0 otherwise. */
  readonly startStep: number;
  readonly numericClass: string;
  readonly url?: string;
}

export interface WorkerEvent {
  readonly type: "worker";
  readonly event: "joined" | "left" | "refused" | "standby";
  readonly id: string;
  readonly host: string;
  readonly lanes: number;
  readonly reason?: string;
}

export interface StepEvent {
  readonly type: "step";
  /** 1-based number of the committed step. */
  readonly step: number;
  readonly epoch: number;
  readonly loss: number;
  readonly lr: number;
  /** Before clipping; without clipping, to about 1e-7. */
  readonly gradientNorm: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly samples: number;
  readonly samplesPerSecond: number;
  readonly wallMs: number;
  readonly time: TimeSplit;
  /** SHA-256 of the parameters after the step; only when asked for (`verify`). */
  readonly weightsSha256?: string;
}

/** A step whose loss or gradient was not finite and that was left out (`onNonFinite: "skip"`). */
export interface SkippedEvent {
  readonly type: "skipped";
  readonly step: number;
  readonly epoch: number;
  readonly samples: number;
  readonly reason: string;
}

export interface ValidationEvent {
  readonly type: "validation";
  readonly step: number;
  readonly epoch: number;
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly samples: number;
  readonly wallMs: number;
}

export interface CheckpointEvent {
  readonly type: "checkpoint";
  readonly step: number;
  readonly path: string;
  readonly best: boolean;
}

export interface DoneEvent {
  readonly type: "done";
  /** "completed"; "early-stopped" when validations no longer got better; "stopped" when it was interrupted and can be resumed. */
  readonly outcome: "completed" | "early-stopped" | "stopped";
  readonly steps: number;
  readonly epochs: number;
  readonly weightsSha256: string;
  readonly validation: Readonly<Record<string, number>> | null;
  readonly wallMs: number;
  readonly samplesPerSecond: number;
  readonly ledger: Ledger;
  /** Who is connected at the end, and how many leases of training steps each has answered. */
  readonly workers: readonly {
    readonly id: string;
    readonly host: string;
    readonly lanes: number;
    readonly leases: number;
  }[];
}

/** Proof that every sample counted exactly once, and what was done for it. */
export interface Ledger {
  readonly samples: number;
  readonly leasesDealtAgain: number;
  readonly duplicatesDropped: number;
  /** Of the duplicates, those whose bits were not what had been taken. */
  readonly duplicatesDiffering: number;
  readonly staleDropped: number;
  readonly nodesAudited: number;
  readonly workersHealed: number;
  readonly workersQuarantined: number;
  readonly skippedSteps: number;
}

export interface ErrorEvent {
  readonly type: "error";
  readonly code: string;
  readonly message: string;
}

/** A condition a user should know of that does not stop the run (waiting for workers, stand-by, slow start). */
export interface NoticeEvent {
  readonly type: "notice";
  readonly message: string;
}

/** Where a person can watch the run. The fragment of `url` is the secret that lets them steer it, so no file keeps this event. */
export interface DashboardEvent {
  readonly type: "dashboard";
  readonly url: string;
}

/** Everything a run tells, in order; also the lines of `--json`. */
export type RunEvent =
  | RunStarted
  | WorkerEvent
  | StepEvent
  | SkippedEvent
  | ValidationEvent
  | CheckpointEvent
  | NoticeEvent
  | DashboardEvent
  | DoneEvent
  | ErrorEvent;
