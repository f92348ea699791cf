import { type Dim, isBatch } from "../graph/index.ts";

/*
 * Arithmetic on sizes: numbers, and k·N of which only N >= 1 is known. undefined: neither a number nor k·N, or it depends on N.
 */

export function sum(a: Dim, b: Dim, sign: 1 | -1): Dim | undefined {
  if (isBatch(a) && isBatch(b)) {
    const timesN = a.timesN + sign * b.timesN;
    return timesN === 0 ? 0 : { timesN };
  }
  if (!isBatch(a) && !isBatch(b)) return a + sign * b;
  if (b === 0) return a;
  return a === 0 && sign === 1 ? b : undefined;
}

export function product(a: Dim, b: Dim): Dim | undefined {
  if (isBatch(a)) return isBatch(b) ? undefined : times(a.timesN, b);
  return isBatch(b) ? times(b.timesN, a) : a * b;
}

function times(timesN: number, factor: number): Dim {
  return factor === 0 ? 0 : { timesN: timesN * factor };
}

export function extreme(a: Dim, b: Dim, choose: (x: number, y: number) => number): Dim | undefined {
  if (!isBatch(a) && !isBatch(b)) return choose(a, b);
  if (compare(a, b, (sign) => sign >= 0) === 1) return choose(1, 0) === 1 ? a : b;
  return compare(a, b, (sign) => sign <= 0) === 1 ? (choose(1, 0) === 1 ? b : a) : undefined;
}

/** More samples than any shard has: what exceeds it stands for "to the end". */
const manySamples = 2 ** 31 - 1;

/** Compares where the answer is the same for every N >= 1: 1, 0, or undefined. */
export function compare(a: Dim, b: Dim, holds: (sign: number) => boolean): Dim | undefined {
  const truth = (sign: number): Dim => (holds(sign) ? 1 : 0);
  if (!isBatch(a) && !isBatch(b)) return truth(Math.sign(a - b));
  if (isBatch(a) && isBatch(b)) return truth(Math.sign(a.timesN - b.timesN));
  const [size, bound, flip] = isBatch(a) ? [a.timesN, Number(b), 1] : [isBatch(b) ? b.timesN : 0, Number(a), -1];
  if (bound < size) return truth(flip);
  if (bound >= manySamples) return truth(-flip);
  // k·N >= bound = k holds for every N, k·N > k does not.
  if (bound === size && holds(flip) === holds(0)) return truth(0);
  return undefined;
}
