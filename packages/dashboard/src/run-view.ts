import type { LiveUpdate, LogEntry, RunStatus, RunUpdate, StepTimes } from "@tutti/core/events";
import { CurveSet } from "./curve.ts";

/** As many as the server keeps. */
const recentSteps = 512;
const timelineSteps = 32;
const logEntries = 500;

/** One run as far as it is known here; updates are merged into it. */
export class RunView {
  readonly id: string;
  readonly training = new CurveSet();
  readonly validation = new CurveSet();
  readonly recent = new CurveSet();
  status: RunStatus;
  timeline: readonly StepTimes[] = [];
  log: readonly LogEntry[] = [];
  configuration: Readonly<Record<string, string>> | null = null;

  constructor(update: RunUpdate) {
    this.id = update.status.id;
    this.status = update.status;
  }

  merge(update: RunUpdate): void {
    this.status = update.status;
    this.training.replace(update.training);
    this.validation.replace(update.validation);
    this.recent.append(update.recent, recentSteps);
    this.timeline = [...this.timeline, ...update.timeline].slice(-timelineSteps);
    this.log = [...this.log, ...update.log].slice(-logEntries);
    if (update.configuration !== undefined) this.configuration = update.configuration;
  }
}

/** All runs of a server. */
export class RunViews {
  #runs: readonly RunView[] = [];
  isSteerable = false;

  get runs(): readonly RunView[] {
    return this.#runs;
  }

  merge(update: LiveUpdate): void {
    this.isSteerable = update.isSteerable;
    if (update.isFirst) this.#runs = update.runs.map((run) => new RunView(run));
    for (const run of update.runs) this.#runs.find(({ id }) => id === run.status.id)?.merge(run);
  }
}
