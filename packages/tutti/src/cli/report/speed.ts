/** How fast a run is now: the mean over about the last two seconds. */
export class Speed {
  #marks: { readonly atMs: number; readonly samples: number }[] = [];
  #samples = 0;
  #startStep = 0;
  #startMs = 0;

  begin(startStep: number): void {
    this.#startStep = startStep;
    this.#startMs = performance.now();
    this.#marks = [{ atMs: this.#startMs, samples: 0 }];
  }

  /** A step of so many samples is done. */
  step(samples: number): void {
    this.#samples += samples;
    const atMs = performance.now();
    this.#marks.push({ atMs, samples: this.#samples });
    while (this.#marks.length > 2 && atMs - this.#marks[1]!.atMs > 2000) this.#marks.shift();
  }

  get samplesPerSecond(): number {
    const first = this.#marks[0];
    const last = this.#marks.at(-1);
    if (first === undefined || last === undefined || last.atMs === first.atMs) return 0;
    return ((last.samples - first.samples) * 1000) / (last.atMs - first.atMs);
  }

  /** Milliseconds until `totalSteps`, at the pace of the run so far, validations included. */
  leftMs(step: number, totalSteps: number): number {
    const done = step - this.#startStep;
    return done <= 0 ? 0 : ((performance.now() - this.#startMs) / done) * (totalSteps - step);
  }
}
