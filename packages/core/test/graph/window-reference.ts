import type { Reference } from "./gradient-case.ts";

interface Pooling {
  readonly shape: readonly number[];
  readonly kernel: readonly number[];
  readonly strides?: readonly number[];
  /** Before each spatial axis, then after each. */
  readonly pads?: readonly number[];
  readonly dilations?: readonly number[];
  readonly ceil?: boolean;
}

/** What a place of a window sees: the entries inside of the image, and how many there are with the padding. */
type Reduce = (entries: readonly number[], withPads: number) => number;

export const largest: Reduce = (entries) => Math.max(...entries);
export const mean: Reduce = (entries) => entries.reduce((sum, entry) => sum + entry, 0) / entries.length;
export const meanWithPads: Reduce = (entries, count) => entries.reduce((sum, entry) => sum + entry, 0) / count;

/**
 * Pooling as PyTorch documents it: a window that starts in the padding behind the end is left out; of one that reaches
 * beyond the padding (ceil), only the part before that counts.
 */
export function pooling(options: Pooling, reduce: Reduce): Reference {
  const { shape, kernel, ceil = false } = options;
  const sizes = shape.slice(2);
  const rank = sizes.length;
  const { strides = kernel, pads = sizes.flatMap(() => [0, 0]), dilations = kernel.map(() => 1) } = options;
  const places = sizes.map((size, axis) => {
    const room = size + pads[axis]! + pads[axis + rank]! - dilations[axis]! * (kernel[axis]! - 1) - 1;
    if (!ceil) return Math.floor(room / strides[axis]!) + 1;
    const count = Math.ceil(room / strides[axis]!) + 1;
    return (count - 1) * strides[axis]! >= size + pads[axis]! ? count - 1 : count;
  });
  return ([x]) => {
    const perChannel = sizes.reduce((product, size) => product * size, 1);
    const channels = shape[0]! * shape[1]!;
    return Float64Array.from(
      Array.from({ length: channels }, (_, channel) =>
        indices(places).map((place) => {
          const inside: number[] = [];
          let withPads = 0;
          for (const offset of indices(kernel)) {
            const at = place.map((p, axis) => p * strides[axis]! - pads[axis]! + offset[axis]! * dilations[axis]!);
            if (at.every((i, axis) => i < sizes[axis]! + pads[axis + rank]!)) withPads++;
            if (at.every((i, axis) => i >= 0 && i < sizes[axis]!))
              inside.push(x![channel * perChannel + flatIndex(at, sizes)]!);
          }
          return reduce(inside, withPads);
        }),
      ).flat(),
    );
  };
}

/** All index tuples below `sizes`, row-major. */
export function indices(sizes: readonly number[]): readonly (readonly number[])[] {
  return sizes.reduce<readonly (readonly number[])[]>(
    (tuples, size) => tuples.flatMap((tuple) => Array.from({ length: size }, (_, i) => [...tuple, i])),
    [[]],
  );
}

export function flatIndex(index: readonly number[], sizes: readonly number[]): number {
  return index.reduce((flat, i, axis) => flat * sizes[axis]! + i, 0);
}
