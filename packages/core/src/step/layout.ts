/** Where one tensor lies in a flat float32 buffer. Offsets and lengths count floats; offsets are multiples of 16 (64 bytes). */
export interface LayoutEntry {
  readonly name: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly length: number;
}

/** The order of all parameters in flat buffers; what lies between entries is zero and stays zero. */
export interface FlatLayout {
  readonly entries: readonly LayoutEntry[];
  /** Length of a buffer, in floats; a multiple of 16. */
  readonly totalFloats: number;
}

const alignmentFloats = 16;

/** Lays tensors out in the given order, each starting on 64 bytes. */
export function flatLayout(
  tensors: readonly { readonly name: string; readonly shape: readonly number[] }[],
): FlatLayout {
  let offset = 0;
  const entries = tensors.map(({ name, shape }) => {
    const length = shape.reduce((product, dim) => product * dim, 1);
    const entry = { name, shape: [...shape], offset, length };
    offset += Math.ceil(length / alignmentFloats) * alignmentFloats;
    return entry;
  });
  return { entries, totalFloats: offset };
}
