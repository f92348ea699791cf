import { Dice } from "../../packages/tutti/src/chaos/dice.ts";
import type { BadWorker } from "./bad-workers.ts";
import type { Ending, Target } from "./visitor.ts";

/** All visits of a run, each with the dice of its number: a failure names what repeats it. */
export class Visits {
  readonly failures: string[] = [];
  readonly counts = new Map<string, number>();
  readonly #seed: number;
  #number = 0;

  constructor(seed: number) {
    this.#seed = seed;
  }

  async pay<At extends Target>(visitors: readonly BadWorker<At>[], target: At, count: number): Promise<void> {
    await Promise.all(
      Array.from({ length: count }, () => {
        const number = this.#number++;
        const visitor = visitors[number % visitors.length]!;
        return this.#pay(visitor, target, number);
      }),
    );
  }

  async #pay<At extends Target>({ name, allowed, visit }: BadWorker<At>, target: At, number: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const hung = new Promise<Ending>((resolve) => {
      timer = setTimeout(() => resolve({ code: -1, reason: "nobody ended it" }), 10_000);
    });
    const { code, reason } = await Promise.race([
      visit(target, new Dice(this.#seed * 1_000_000 + number, "schedule")),
      hung,
    ]);
    clearTimeout(timer);
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    if (!allowed.includes(code))
      this.failures.push(
        `seed ${this.#seed}, visit ${number} (${name}): ended with ${code} "${reason}", expected ${allowed}`,
      );
  }
}
