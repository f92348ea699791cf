import { TuttiError } from "../errors/index.ts";

/** Throws BAD_OPTION unless `size` is a positive integer. @param name "nn.linear: in" */
export function requireSize(name: string, size: number): void {
  if (!Number.isSafeInteger(size) || size < 1) {
    throw new TuttiError("BAD_OPTION", `${name}: expected a positive integer, found ${size}`);
  }
}

/** Throws BAD_OPTION unless `value` is from 0 up to but not 1. */
export function requireProbability(name: string, value: number): void {
  if (!(value >= 0 && value < 1)) {
    throw new TuttiError("BAD_OPTION", `${name}: expected a probability from 0 to below 1, found ${value}`);
  }
}

/** One number for each of `count` axes. Throws BAD_OPTION unless they are integers of at least `least`. */
export function perAxis(
  name: string,
  value: number | readonly number[],
  count: number,
  least: number,
): readonly number[] {
  const list = typeof value === "number" ? Array.from({ length: count }, () => value) : value;
  if (list.length !== count || list.some((item) => !Number.isSafeInteger(item) || item < least)) {
    throw new TuttiError(
      "BAD_OPTION",
      `${name}: expected an integer of at least ${least}, or ${count} of them, found ${JSON.stringify(value)}`,
    );
  }
  return list;
}

/** Throws BAD_OPTION unless `value` is above 0. */
export function requirePositive(name: string, value: number): void {
  if (!(value > 0)) throw new TuttiError("BAD_OPTION", `${name}: expected a number above 0, found ${value}`);
}
