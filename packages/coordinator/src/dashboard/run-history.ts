import type {
  CheckpointEvent,
  CoordinatorStatus,
  DoneEvent,
  ErrorEvent,
  LogEntry,
  RunEvent,
  RunStarted,
  RunState,
  RunStatus,
  StepEvent,
  StepTimes,
  ValidationEvent,
} from "@tutti/core/events";
import { Curves } from "./curves.ts";
import { RecentSpeed } from "./recent-speed.ts";
import { RecentSteps } from "./recent-steps.ts";
import { StepTotals } from "./step-totals.ts";

/** Steps whose times are kept by worker. */
export const timelineSteps = 32;

const logEntries = 500;

/** A coordinator, as far as it is asked. */
export interface LiveSource {
  readonly status: CoordinatorStatus;
  /** Of the last step that was committed; asked for after every step. */
  readonly stepTimes: StepTimes | null;
}

export interface RunHistoryOptions {
  readonly id: string;
  readonly name: string;
  /** What only the coordinator knows; undefined for a run that is read from its files. */
  readonly live?: LiveSource;
  /** Milliseconds since 1970, for the log; undefined where events are not of now. */
  readonly now?: () => number;
  /** Plain values of the definition by dotted path, as JSON. */
  readonly configuration?: Readonly<Record<string, string>>;
}

/** What is kept of a run to show it, in bounded memory however long it is. Fed with its events, as they come or from its files. */
export class RunHistory {
  readonly id: string;
  readonly configuration: Readonly<Record<string, string>> | null;
  readonly training = new Curves();
  readonly validation = new Curves();
  readonly recent = new RecentSteps();
  readonly totals = new StepTotals();
  readonly #options: RunHistoryOptions;
  readonly #speed = new RecentSpeed();
  #timeline: StepTimes[] = [];
  #log: LogEntry[] = [];
  #logged = 0;
  #version = 0;
  #run: RunStarted | null = null;
  #step = 0;
  #lastStep: StepEvent | null = null;
  #lastValidation: ValidationEvent | null = null;
  #checkpoint: CheckpointEvent | null = null;
  #done: DoneEvent | null = null;
  #error: ErrorEvent | null = null;

  constructor(options: RunHistoryOptions) {
    this.#options = options;
    this.id = options.id;
    this.configuration = options.configuration ?? null;
  }

  /** Rises with every event. */
  get version(): number {
    return this.#version;
  }

  get isLive(): boolean {
    return this.#options.live !== undefined;
  }

  /** An event of before this process, read from a file: its curves and totals, not its end. */
  past(event: RunEvent): void {
    if (event.type === "step" || event.type === "skipped" || event.type === "validation") this.#add(event, false);
  }

  /** Cheap: called for every step, between two of them. */
  event(event: RunEvent): void {
    this.#add(event, true);
  }

  #add(event: RunEvent, isNow: boolean): void {
    this.#version++;
    switch (event.type) {
      case "run":
        this.#run = event;
        this.#done = null;
        this.#step = event.startStep;
        if (event.startStep > 0) this.#note("info", `resumed after step ${event.startStep}`);
        return;
      case "step":
        this.#stepped(event, isNow);
        return;
      case "skipped":
        this.#step = event.step;
        this.totals.skipped(event.samples);
        this.#note("warning", `step ${event.step} left out: ${event.reason}`);
        return;
      case "validation":
        this.#lastValidation = event;
        this.validation.add(event.step, curveValues({ loss: event.loss }, event.metrics));
        return;
      case "worker": {
        const why = event.reason === undefined ? "" : `: ${event.reason}`;
        const level = event.event === "refused" ? "warning" : "info";
        this.#note(level, `worker ${event.id} ${event.event} (${event.host}, lanes: ${event.lanes})${why}`);
        return;
      }
      case "checkpoint":
        this.#checkpoint = event;
        this.totals.checkpoints++;
        this.#note("info", `checkpoint of step ${event.step}${event.best ? ", the best so far" : ""}`);
        return;
      case "notice":
        this.#note("warning", event.message);
        return;
      case "done":
        this.#done = event;
        this.#note("info", `${event.outcome} after step ${event.steps}`);
        return;
      case "error":
        this.#error = event;
        this.#note("error", `${event.code}: ${event.message}`);
        return;
      case "dashboard":
        return;
    }
  }

  /** Those after a number. */
  logAfter(number: number): readonly LogEntry[] {
    return this.#log.filter((entry) => entry.number > number);
  }

  /** The last steps' times by worker, those after a step. */
  timelineAfter(step: number): readonly StepTimes[] {
    return this.#timeline.filter((times) => times.step > step);
  }

  status(): RunStatus {
    const live = this.#options.live?.status;
    const samplesPerSecond = this.#speed.samplesPerSecond;
    return {
      id: this.id,
      name: this.#options.name,
      isLive: live !== undefined,
      state: this.#state(live),
      run: this.#run,
      step: this.#step,
      lastStep: this.#lastStep,
      validation: this.#lastValidation,
      samplesPerSecond: this.#done?.samplesPerSecond ?? samplesPerSecond,
      trainedMs: this.totals.wallMs,
      leftMs: this.#leftMs(),
      workers: live?.workers ?? [],
      ledger: this.#done?.ledger ?? live?.ledger ?? null,
      checkpoint: this.#checkpoint,
      done: this.#done,
      error: this.#error,
    };
  }

  #stepped(event: StepEvent, isNow: boolean): void {
    this.#step = event.step;
    this.#lastStep = event;
    this.#speed.add(event.samples, event.wallMs);
    this.totals.stepped(event);
    const { loss, lr, gradientNorm, samplesPerSecond, wallMs } = event;
    const values = curveValues({ loss, lr, gradientNorm, samplesPerSecond, wallMs }, event.metrics);
    this.training.add(event.step, values);
    this.recent.add(event.step, values);
    const times = isNow ? (this.#options.live?.stepTimes ?? null) : null;
    if (times === null) return;
    this.#timeline.push(times);
    if (this.#timeline.length > timelineSteps) this.#timeline.shift();
  }

  #state(live: CoordinatorStatus | undefined): RunState {
    if (this.#error !== null) return "failed";
    if (this.#done !== null) return this.#done.outcome;
    if (live === undefined) return "unfinished";
    return live.state === "over" ? "stopping" : live.state;
  }

  #leftMs(): number | null {
    const perStep = this.#speed.stepMs;
    if (this.#run === null || perStep === null || !this.isLive || this.#done !== null || this.#error !== null)
      return null;
    return Math.max(0, this.#run.totalSteps - this.#step) * perStep;
  }

  #note(level: LogEntry["level"], text: string): void {
    this.#log.push({ number: ++this.#logged, atMs: this.#options.now?.() ?? null, level, text });
    if (this.#log.length >= 2 * logEntries) this.#log = this.#log.slice(-logEntries);
  }
}

/** Names of curves: those of every run, and `metric/NAME`. */
function curveValues(
  values: Readonly<Record<string, number>>,
  metrics: Readonly<Record<string, number>>,
): Readonly<Record<string, number>> {
  const all: Record<string, number> = { ...values };
  for (const name in metrics) all[`metric/${name}`] = metrics[name]!;
  return all;
}
