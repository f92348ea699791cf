/** Over the coordinator, or directly between workers; "auto" tries both and keeps the quicker. */
export type Exchange = "star" | "mesh" | "auto";

/** Steps of each kind that are measured, and before them those that are not: state is sent, connections warm up. */
const measured = 8;
const warmUp = 3;
/** Where less than this is exchanged a step, the number of messages decides, and a star needs fewer. */
const leastBytes = 1 << 16;

/** Which exchange the next step should use, where both are possible. It cannot change a bit. */
export class ExchangeChoice {
  readonly #wanted: Exchange;
  #times: { readonly star: number[]; readonly mesh: number[] } = { star: [], mesh: [] };

  /** @param sumsBytes of one worker and step. */
  constructor(wanted: Exchange, sumsBytes: number) {
    this.#wanted = wanted === "auto" && sumsBytes < leastBytes ? "star" : wanted;
  }

  get isOffered(): boolean {
    return this.#wanted !== "star";
  }

  get prefersMesh(): boolean {
    if (this.#wanted !== "auto") return this.#wanted === "mesh";
    const { star, mesh } = this.#times;
    if (star.length < warmUp + measured) return false;
    if (mesh.length < warmUp + measured) return true;
    return median(mesh) < median(star);
  }

  /** How long a step took, all of it. */
  measured(kind: "star" | "mesh", wallMs: number): void {
    const times = this.#times[kind];
    if (times.length < warmUp + measured) times.push(wallMs);
  }

  /** Other workers than before: what was measured does not count. */
  reset(): void {
    this.#times = { star: [], mesh: [] };
  }
}

function median(times: readonly number[]): number {
  const sorted = times.slice(warmUp).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}
