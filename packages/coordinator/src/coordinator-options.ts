import type { Clock } from "@tutti/core/clock";
import type { RunEvent } from "@tutti/core/events";
import type { UpdateThreadsOptions } from "@tutti/core/exchange";
import type { ComputeMemory } from "@tutti/core/kernels";
import type { Exchange } from "./exchange-choice.ts";
import type { MembershipConfig } from "./membership-policy.ts";
import type { Progress } from "./progress.ts";
import type { TraceEvent } from "./run-trace.ts";
import type { Validation } from "./validator.ts";

/** 256 KB: what is passed on while the next is arriving. */
export const defaultChunkFloats = 65_536;

/** Where training starts: freshly initialised, or a checkpoint. */
export interface StartingPoint {
  /** Steps already committed. */
  readonly step: number;
  /** In the layout, padded with zeros; copied. */
  readonly parameters: Float32Array;
  /** Optimizer state by slot, in the optimizer's order; copied. */
  readonly slots: readonly Float32Array[];
  /** The class the run is pinned to; undefined before its first commit. */
  readonly numericClass?: string;
  /** Of the committed steps, those that were left out because a number was not finite. */
  readonly skippedSteps?: number;
  readonly progress?: Progress;
  /** The validation that was due after `step` is still to be done; false by default. */
  readonly owesValidation?: boolean;
}

/** The state between two steps. The views hold until the next but one commit: copy what must last. */
export interface StateView {
  readonly step: number;
  readonly skippedSteps: number;
  readonly progress: Progress;
  /** The validation that is due after `step` has not been done: the run was stopped when no worker was left for it. */
  readonly owesValidation: boolean;
  readonly numericClass: string;
  readonly parameters: Float32Array;
  readonly slots: readonly Float32Array[];
}

/** The least time for an answer to a lease, and for progress after that. */
export const leaseDeadlines = { lateMs: 10_000, graceMs: 2000 } as const;

export interface CoordinatorOptions {
  readonly clock: Clock;
  /** Rises with every coordinator of the same run: what an older one still says is stale. */
  readonly generation: number;
  /** Workers to wait for before the first step. */
  readonly startWorkers: number;
  /** With fewer workers than this no step begins; 1 by default. */
  readonly minWorkers?: number;
  /** Workers that compute at the same time; further ones wait for a place. No limit by default. */
  readonly maxWorkers?: number;
  /** "mixed" lets workers in whose arithmetic is not the run's, and says so: the result then depends on who computed what. */
  readonly numerics?: "same" | "mixed";
  /** Share of nodes, 0 to 1, that two workers compute before they are merged. */
  readonly auditShare?: number;
  /** How workers' sums meet: here, or directly between workers where they can reach each other. "star" by default. */
  readonly exchange?: Exchange;
  /** Why workers must not open connections to each other, if so: what connects them to here is better protected. */
  readonly meshObstacle?: string | undefined;
  /** What to do when a loss or gradient is NaN or infinite: end the run, or leave the step out. */
  readonly onNonFinite?: "stop" | "skip";
  readonly membership?: Partial<MembershipConfig>;
  /** Unanswered leases are dealt again after this long (10 s), or 8 times the 95th percentile of recent ones if that is more. */
  readonly lateMs?: number;
  /** How long after that a worker without progress is given up (2 s). */
  readonly graceMs?: number;
  /** A worker that makes no progress was dropped: kill the process if it is yours. */
  readonly onStalled?: (worker: { readonly host: string; readonly pid: number }) => void;
  /** Hash the parameters after every step (SHA-256), for `verify`. */
  readonly hashEveryStep?: boolean;
  /** Floats in a chunk of parameters or sums (`defaultChunkFloats`); a multiple of `normBlockFloats`. */
  readonly chunkFloats?: number;
  /** The gradient's norm is summed over blocks of so many floats of the layout; a property of the run. */
  readonly normBlockFloats?: number;
  /** Tensors up to this many bytes travel within their header, which copies them. */
  readonly inlineBytes?: number;
  readonly memory?: ComputeMemory;
  /** Threads that apply updates of large models together with the calling one, on cores that are free then; none by default. */
  readonly updateThreads?: UpdateThreadsOptions;
  readonly onEvent: (event: RunEvent) => void;
  /** Takes a trace of this process and all workers; nothing is measured for it, or sent, where there is none. */
  readonly trace?: (event: TraceEvent) => void;
  /** Writes a checkpoint of the state between two steps when a person asks for one; awaited. */
  readonly saveNow?: (state: StateView) => Promise<void> | void;
  /**
   * Called after every step (with the validation that followed it), before the next one begins, and once more at the end
   * (`isLast`); awaited.
   */
  readonly afterStep?: (state: StateView, validation: Validation | undefined, isLast: boolean) => Promise<void> | void;
}
