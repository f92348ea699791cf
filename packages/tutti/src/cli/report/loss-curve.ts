const levels = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"] as const;

/** Marks that a curve has at most. */
const widest = 16;

/**
 * The loss since the run began, as a line of small bars: each the mean of so many steps, twice as many whenever the line is
 * full. On a logarithmic scale, as the first steps gain the most, unless a loss is not positive. Steps whose loss is not
 * finite are left out.
 */
export class LossCurve {
  /** Means of `#stepsPerBar` steps each. */
  #bars: number[] = [];
  #stepsPerBar = 1;
  #sum = 0;
  #steps = 0;

  add(loss: number): void {
    if (!Number.isFinite(loss)) return;
    this.#sum += loss;
    this.#steps++;
    if (this.#steps < this.#stepsPerBar) return;
    this.#bars.push(this.#sum / this.#steps);
    this.#sum = 0;
    this.#steps = 0;
    if (this.#bars.length <= widest) return;
    // The odd one out is the newest: it counts as the first half of the next bar.
    const newest = this.#bars.pop()!;
    this.#sum = newest * this.#stepsPerBar;
    this.#steps = this.#stepsPerBar;
    this.#stepsPerBar *= 2;
    this.#bars = this.#bars.flatMap((bar, i) => (i % 2 === 0 ? [(bar + this.#bars[i + 1]!) / 2] : []));
  }

  /** The lowest bar for the least loss, the highest for the greatest; "" before there are two to compare. */
  toString(): string {
    if (this.#bars.length < 2) return "";
    const heights = this.#bars.every((bar) => bar > 0) ? this.#bars.map(Math.log) : this.#bars;
    const least = Math.min(...heights);
    const range = Math.max(...heights) - least;
    return heights
      .map((bar) => levels[range === 0 ? 0 : Math.round(((bar - least) / range) * (levels.length - 1))])
      .join("");
  }
}
