import type { CurveRows, CurveValues } from "@tutti/core/events";
import { curveNames } from "./curves.ts";

/** Steps that are kept one by one. */
export const recentSteps = 512;

/** The newest steps of a run, one by one, oldest first. */
export class RecentSteps {
  readonly #capacity: number;
  readonly #steps: number[] = [];
  readonly #values: Readonly<Record<string, number>>[] = [];

  constructor(capacity: number = recentSteps) {
    this.#capacity = capacity;
  }

  /** @param values kept, not copied. */
  add(step: number, values: Readonly<Record<string, number>>): void {
    this.#steps.push(step);
    this.#values.push(values);
    if (this.#steps.length < 2 * this.#capacity) return;
    this.#steps.splice(0, this.#capacity);
    this.#values.splice(0, this.#capacity);
  }

  /** Those after a step. */
  after(step: number): CurveRows {
    let first = Math.max(0, this.#steps.length - this.#capacity);
    while (first < this.#steps.length && this.#steps[first]! <= step) first++;
    const values = this.#values.slice(first);
    const names = Object.keys(values.at(-1) ?? {}).slice(0, curveNames);
    const series: Record<string, CurveValues> = {};
    for (const name of names) {
      series[name] = {
        mean: values.map((of) => (Number.isFinite(of[name]) ? Number(of[name]!.toPrecision(6)) : null)),
      };
    }
    return { stride: 1, from: 0, steps: this.#steps.slice(first), series };
  }
}
