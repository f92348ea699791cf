import { TuttiError } from "../errors/index.ts";
import type { ValueStream } from "../random/index.ts";

/**
 * A random matrix with orthonormal rows or columns, whichever are fewer, times `gain`: Gram-Schmidt on normal values,
 * each vector projected twice (Giraud et al. 2005: twice is enough), in float64 with + − · / √ only. The first axis of `shape`
 * counts rows, the others together columns.
 */
export function fillOrthogonal(out: Float32Array, shape: readonly number[], gain: number, stream: ValueStream): void {
  const rows = shape[0] ?? 0;
  const columns = out.length / rows;
  if (shape.length < 2) {
    throw new TuttiError(
      "BAD_OPTION",
      `init.orthogonal: needs a parameter of at least 2 axes, found [${shape.join(",")}]`,
    );
  }
  const isWide = rows <= columns;
  const [count, length] = isWide ? [rows, columns] : [columns, rows];
  const normal = new Float32Array(length);
  const vectors: Float64Array[] = [];
  for (let i = 0; i < count; i++) {
    stream.fillNormal(normal, 0, 1, i * length);
    const vector = Float64Array.from(normal);
    for (let pass = 0; pass < 2; pass++) for (const other of vectors) subtractProjection(vector, other);
    const norm = Math.sqrt(dot(vector, vector));
    for (let k = 0; k < length; k++) vector[k]! /= norm;
    vectors.push(vector);
    for (let k = 0; k < length; k++) out[isWide ? i * columns + k : k * columns + i] = gain * vector[k]!;
  }
}

function subtractProjection(vector: Float64Array, unit: Float64Array): void {
  const scale = dot(vector, unit);
  for (let k = 0; k < vector.length; k++) vector[k]! -= scale * unit[k]!;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let k = 0; k < a.length; k++) sum += a[k]! * b[k]!;
  return sum;
}
