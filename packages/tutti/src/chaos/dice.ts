import { type RandomStream, randomStream } from "@tutti/core/random";

/** Choices of a run under faults, from its seed: the same in every Node. */
export class Dice {
  readonly #stream: RandomStream;
  #next = 0;

  /** @param stream what the choices are for: two of one seed have nothing in common. */
  constructor(seed: number, stream: string) {
    this.#stream = randomStream(seed, stream);
  }

  /** Uniform in [0, 1). */
  uniform(): number {
    return this.#stream.uint32At(this.#next++) / 2 ** 32;
  }

  /** A whole number from `low` to `high`, both included. */
  whole(low: number, high: number): number {
    return low + Math.floor(this.uniform() * (high - low + 1));
  }

  chance(probability: number): boolean {
    return this.uniform() < probability;
  }

  /** One of a list; undefined of an empty one. Always one draw. */
  pick<T>(list: readonly T[]): T | undefined {
    return list[this.whole(0, list.length - 1)];
  }

  shuffled<T>(list: readonly T[]): T[] {
    const result = [...list];
    for (let i = result.length - 1; i > 0; i--) {
      const j = this.whole(0, i);
      [result[i], result[j]] = [result[j]!, result[i]!];
    }
    return result;
  }
}
