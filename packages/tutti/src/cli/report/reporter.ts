import type { DoneEvent, RunEvent } from "@tutti/core/events";

/** Where the files of a run are. */
export interface RunFiles {
  readonly directory: string;
  readonly checkpoint?: string | undefined;
  readonly best?: string | undefined;
  readonly metrics: string;
  readonly onnx?: string | undefined;
}

/** Tells whoever started the run how it goes. */
export interface Reporter {
  event(event: RunEvent): void;
  /** What merely happens: not part of the run's events. */
  log(line: string): void;
  finish(done: DoneEvent, files: RunFiles | undefined): void;
  /** Gives the terminal back, also after a failure. */
  close(): void;
}
