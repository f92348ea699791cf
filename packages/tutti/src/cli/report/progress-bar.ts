import { MultiBar, type SingleBar } from "cli-progress";
import type { Colors } from "./colors.ts";

const barSize = 24;

/** Columns before the facts: the bar, "100%" and the spaces between. */
export const barColumns = barSize + "  100%  ".length;

/** One bar at the bottom of a terminal, with lines passing above it. */
export class ProgressBar {
  readonly #bars: MultiBar;
  #bar: SingleBar | undefined;

  constructor(stream: NodeJS.WritableStream, colors: Colors) {
    this.#bars = new MultiBar({
      stream,
      format: `${colors.cyan("{bar}")} {percentage}%  {facts}`,
      barCompleteChar: "━",
      barIncompleteChar: "─",
      barsize: barSize,
      fps: 8,
      hideCursor: true,
      gracefulExit: false, // Ctrl-C is ours
      emptyOnZero: true,
      forceRedraw: true,
    });
  }

  get isShown(): boolean {
    return this.#bar !== undefined;
  }

  start(total: number, value: number): void {
    this.#bar = this.#bars.create(total, value, { facts: "starting" });
  }

  update(value: number, facts: string): void {
    this.#bar?.update(value, { facts });
  }

  above(line: string): void {
    this.#bars.log(`${line}\n`);
    this.#bars.update(); // what waits for the next frame would be lost by an end before it
  }

  /** Draws the last state and shows the cursor again. */
  stop(): void {
    if (this.#bar === undefined) return;
    this.#bars.stop();
    this.#bar = undefined;
  }
}
