/** How fast the last steps were: at most 64 of them, of at most five seconds. */
export class RecentSpeed {
  #steps: { readonly samples: number; readonly wallMs: number }[] = [];
  #samples = 0;
  #wallMs = 0;

  add(samples: number, wallMs: number): void {
    this.#steps.push({ samples, wallMs });
    this.#samples += samples;
    this.#wallMs += wallMs;
    while (this.#steps.length > 64 || (this.#steps.length > 1 && this.#wallMs > 5000)) {
      const { samples: gone, wallMs: goneMs } = this.#steps.shift()!;
      this.#samples -= gone;
      this.#wallMs -= goneMs;
    }
  }

  /** null before the first step. */
  get samplesPerSecond(): number | null {
    return this.#wallMs > 0 ? (this.#samples * 1000) / this.#wallMs : null;
  }

  /** Mean duration of a step, milliseconds; null before the first. */
  get stepMs(): number | null {
    return this.#steps.length > 0 ? this.#wallMs / this.#steps.length : null;
  }
}
