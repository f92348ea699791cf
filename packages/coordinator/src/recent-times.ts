/** The last so many durations, for percentiles. */
export class RecentTimes {
  readonly #times: Float64Array;
  #count = 0;

  constructor(capacity: number) {
    this.#times = new Float64Array(capacity);
  }

  add(ms: number): void {
    this.#times[this.#count++ % this.#times.length] = ms;
  }

  /** The 95th percentile; 0 when there is none. */
  p95(): number {
    const known = this.#times.slice(0, Math.min(this.#count, this.#times.length)).sort();
    return known[Math.floor(0.95 * (known.length - 1))] ?? 0;
  }
}
