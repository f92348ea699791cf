import type { DoneEvent, RunEvent, RunStarted, StepEvent } from "@tutti/core/events";
import { clockTime, count, figure, figures } from "../format.ts";
import type { Output } from "../output.ts";
import { type Colors, colorsFor } from "./colors.ts";
import { LossCurve } from "./loss-curve.ts";
import { barColumns, ProgressBar } from "./progress-bar.ts";
import type { Reporter, RunFiles } from "./reporter.ts";
import { Speed } from "./speed.ts";
import { summary } from "./summary.ts";

/** How often a reader that is no terminal gets a line of progress, and how often at most when epochs are short. */
const quietMs = 10_000;
const leastQuietMs = 1_000;

/** What a person reads: a progress bar on a terminal, a line now and then elsewhere. */
export class TerminalReporter implements Reporter {
  readonly #output: Output;
  readonly #runFile: string;
  readonly #colors: Colors;
  readonly #bar: ProgressBar | undefined;
  readonly #speed = new Speed();
  readonly #lossCurve = new LossCurve();
  /** Ids of those that compute. */
  readonly #workers = new Set<string>();
  #run: RunStarted | undefined;
  #lastLineMs = performance.now();

  /** @param runFile as the user named it, for the commands proposed at the end. */
  constructor(output: Output, runFile: string) {
    this.#output = output;
    this.#runFile = runFile;
    this.#colors = colorsFor(output.stdout);
    this.#bar = output.stdout.isTTY === true ? new ProgressBar(output.stdout, this.#colors) : undefined;
  }

  event(event: RunEvent): void {
    switch (event.type) {
      case "run":
        this.#begin(event);
        return;
      case "worker": {
        const { id, host, lanes, reason } = event;
        if (event.event === "joined") this.#workers.add(id);
        else this.#workers.delete(id);
        const why = reason === undefined ? "" : `: ${reason}`;
        this.log(
          this.#colors.dim(`worker ${id} ${event.event} (${host}, ${lanes} ${lanes === 1 ? "lane" : "lanes"})${why}`),
        );
        return;
      }
      case "step":
        this.#step(event);
        return;
      case "validation":
        this.log(
          `${this.#colors.bold(`epoch ${event.epoch + 1}`)}  step ${count(event.step)}  validation: ${figures({ loss: event.loss, ...event.metrics })}`,
        );
        return;
      case "notice":
        this.log(this.#colors.yellow(event.message));
        return;
      case "skipped":
        this.log(this.#colors.yellow(`step ${count(event.step)} left out: ${event.reason}`));
        return;
      case "dashboard":
        this.log(`watch and steer it: ${this.#colors.cyan(event.url)}`);
        return;
      case "checkpoint":
      case "done":
      case "error":
        return; // told at the end, or by whoever reports the failure
    }
  }

  log(line: string): void {
    if (this.#bar?.isShown) this.#bar.above(line);
    else this.#output.line(line);
  }

  finish(done: DoneEvent, files: RunFiles | undefined): void {
    this.close();
    for (const line of summary(done, files, this.#runFile, this.#colors)) this.#output.line(line);
  }

  close(): void {
    this.#bar?.stop();
  }

  #begin(run: RunStarted): void {
    this.#run = run;
    const {
      parameters,
      shards,
      batchSize,
      totalSteps,
      startStep,
      stepsPerEpoch,
      seed,
      definitionDigest,
      numericClass,
    } = run;
    const epochs = figure(totalSteps / stepsPerEpoch);
    this.log(
      `${count(parameters)} parameters, batches of ${count(batchSize)} in ${shards} ${shards === 1 ? "shard" : "shards"}, ${count(totalSteps)} steps (${epochs} ${epochs === "1" ? "epoch" : "epochs"}), seed ${seed}`,
    );
    if (startStep > 0) this.log(`resumed after step ${count(startStep)}`);
    this.log(
      this.#colors.dim(
        `definition ${definitionDigest.slice(0, 12)}, numeric class ${numericClass.slice(0, 12)}${run.url === undefined ? "" : `, ${run.url}`}`,
      ),
    );
    this.#speed.begin(startStep);
    this.#bar?.start(totalSteps, startStep);
  }

  #step(event: StepEvent): void {
    const run = this.#run;
    if (run === undefined) return;
    this.#speed.step(event.samples);
    this.#lossCurve.add(event.loss);
    const leftMs = this.#speed.leftMs(event.step, run.totalSteps);
    const facts = [
      `epoch ${event.epoch + 1}`,
      `loss ${figure(event.loss)}`,
      `${this.#workers.size} ${this.#workers.size === 1 ? "worker" : "workers"}`,
      `${count(this.#speed.samplesPerSecond)} samples/s`,
      `${clockTime(leftMs)} left`,
    ];
    if (this.#bar !== undefined) {
      this.#bar.update(event.step, this.#withCurve(facts, `${this.#lossCurve}`).join("  "));
      return;
    }
    const nowMs = performance.now();
    const dueMs = event.step % run.stepsPerEpoch === 0 ? leastQuietMs : quietMs;
    if (nowMs - this.#lastLineMs < dueMs && event.step !== run.totalSteps) return;
    this.#lastLineMs = nowMs;
    this.#output.line(`step ${count(event.step)}/${count(run.totalSteps)}  ${facts.join("  ")}`);
  }

  /** The curve after the loss, if all that follows still fits into the terminal's line beside the bar. */
  #withCurve(facts: readonly string[], curve: string): readonly string[] {
    const { columns = 80 } = this.#output.stdout;
    const [epoch = "", loss = "", ...others] = facts;
    const whole = [epoch, loss, curve, ...others];
    return curve !== "" && barColumns + whole.join("  ").length <= columns
      ? [epoch, loss, this.#colors.cyan(curve), ...others]
      : facts;
  }
}
