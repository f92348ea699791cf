import { type RandomStream, randomStream } from "@tutti/core/random";

/** Choices of a schedule, from its seed. */
export class Dice {
  readonly #stream: RandomStream;
  #next = 0;

  constructor(seed: number) {
    this.#stream = randomStream(seed, "schedule");
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

  pick<T>(list: readonly T[]): T | undefined {
    return list[this.whole(0, list.length - 1)];
  }
}
