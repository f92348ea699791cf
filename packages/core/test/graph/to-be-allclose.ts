import { expect } from "vitest";

export interface Tolerance {
  readonly rtol: number;
  readonly atol: number;
}

type NumberList = ArrayLike<number>;

declare module "vitest" {
  interface Matchers<T> {
    /** |actual - expected| <= atol + rtol·|expected| for each entry; NaN equals NaN, infinities themselves. */
    toBeAllclose(expected: NumberList, tolerance: Tolerance): T;
  }
}

expect.extend({
  toBeAllclose(actual: NumberList, expected: NumberList, { rtol, atol }: Tolerance) {
    if (actual.length !== expected.length) {
      return { pass: false, message: () => `${actual.length} values, expected ${expected.length}` };
    }
    let worst = -1;
    let excess = 0;
    for (let i = 0; i < expected.length; i++) {
      const [a, b] = [Number(actual[i]), Number(expected[i])];
      if (Object.is(a, b) || a === b) continue;
      const over = Math.abs(a - b) - (atol + rtol * Math.abs(b));
      if (!(over <= excess)) {
        worst = i;
        excess = Number.isNaN(over) ? Number.POSITIVE_INFINITY : over;
      }
    }
    return {
      pass: worst === -1,
      message: () =>
        `entry ${worst} of ${expected.length}: ${actual[worst]}, expected ${expected[worst]} (rtol ${rtol}, atol ${atol})`,
    };
  },
});
