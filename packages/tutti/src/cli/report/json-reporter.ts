import type { DoneEvent, RunEvent } from "@tutti/core/events";
import type { Output } from "../output.ts";
import type { Reporter, RunFiles } from "./reporter.ts";

/** Every event as a line on stdout. The last one, `done`, also says where the files are. */
export class JsonReporter implements Reporter {
  readonly #output: Output;

  constructor(output: Output) {
    this.#output = output;
  }

  event(event: RunEvent): void {
    // `done` waits for the files, and whoever reports a failure writes `error`.
    if (event.type !== "done" && event.type !== "error") this.#output.json(event);
  }

  log(line: string): void {
    this.#output.log(line);
  }

  finish(done: DoneEvent, files: RunFiles | undefined): void {
    this.#output.json({ ...done, ...(files === undefined ? {} : { files }) });
  }

  close(): void {}
}
