import { TuttiError } from "../errors/index.ts";

/** The dtypes of tensors, named as in ONNX, lower case. */
export const dtypes = ["float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "int64", "bool"] as const;
export type DType = (typeof dtypes)[number];

export function isDType(value: unknown): value is DType {
  return dtypes.some((dtype) => dtype === value);
}

/**
 * The size k·N of an axis that counts samples: N is the number of samples in the shard, unknown while the user's code
 * is traced. A tensor has at most one such axis, its batch axis, and holds k entries for each sample, in sample order.
 */
export interface BatchDim {
  readonly timesN: number;
}

/** The size of one axis: a number, or k·N. */
export type Dim = number | BatchDim;
export type Shape = readonly Dim[];

/** What is known of a tensor before it has values. */
export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** N itself: the batch axis of a column. */
export const batch: BatchDim = { timesN: 1 };

export function isBatch(dim: Dim | undefined): dim is BatchDim {
  return typeof dim === "object";
}

/** Index of the batch axis, or -1. */
export function batchAxis(shape: Shape): number {
  return shape.findIndex(isBatch);
}

export function sameDim(a: Dim, b: Dim): boolean {
  return isBatch(a) ? isBatch(b) && a.timesN === b.timesN : a === b;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, i) => sameDim(dim, b[i]!));
}

/** The dim once N is known. */
export function resolveDim(dim: Dim, samples: number): number {
  return isBatch(dim) ? dim.timesN * samples : dim;
}

/** "[3N,784]" */
export function shapeToString(shape: Shape): string {
  return `[${shape.map((dim) => (isBatch(dim) ? `${dim.timesN === 1 ? "" : dim.timesN}N` : dim)).join(",")}]`;
}

/** Product of the dims: k·N if one of them counts samples. */
export function elements(shape: Shape, at: string): Dim {
  let product = 1;
  let samples = false;
  for (const dim of shape) {
    if (isBatch(dim)) {
      if (samples) throw new TuttiError("MIXES_SAMPLES", `${at}: ${shapeToString(shape)} pairs samples with samples`);
      samples = true;
      product *= dim.timesN;
    } else product *= dim;
  }
  return samples ? { timesN: product } : product;
}

/** Number of elements of a shape without k·N; throws INTERNAL if it has one. */
export function elementCount(shape: Shape): number {
  return staticShape(shape).reduce((product, dim) => product * dim, 1);
}

/** The shape as plain numbers; throws INTERNAL if an axis still counts unknown samples. */
export function staticShape(shape: Shape): readonly number[] {
  return shape.map((dim) => {
    if (isBatch(dim)) throw new TuttiError("INTERNAL", `expected known sizes, found ${shapeToString(shape)}`);
    return dim;
  });
}

/** Axis in [0, rank); negative counts from the end. Throws SHAPE_MISMATCH when out of range. */
export function normalizeAxis(axis: number, rank: number, at: string): number {
  const normal = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || normal < 0 || normal >= rank) {
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `${at}: axis ${axis} of a tensor of rank ${rank}: expected ${-rank}…${rank - 1}`,
    );
  }
  return normal;
}

/** Multidirectional broadcasting (ONNX "Broadcasting in ONNX", NumPy rules). Throws SHAPE_MISMATCH. */
export function broadcastShapes(shapes: readonly Shape[], at: string): Shape {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  const result: Dim[] = [];
  for (let i = 0; i < rank; i++) {
    let dim: Dim = 1;
    for (const shape of shapes) {
      const own = shape[i - (rank - shape.length)] ?? 1;
      if (own === 1 || sameDim(own, dim)) continue;
      if (dim !== 1) {
        throw new TuttiError(
          "SHAPE_MISMATCH",
          `${at}: shapes do not broadcast: ${shapes.map(shapeToString).join(" and ")}`,
          {
            shapes: shapes.map(shapeToString),
          },
        );
      }
      dim = own;
    }
    result.push(dim);
  }
  if (result.filter(isBatch).length > 1) {
    throw new TuttiError(
      "MIXES_SAMPLES",
      `${at}: pairs every sample with every sample: ${shapes.map(shapeToString).join(" and ")}; give both the batch axis at the same place, e.g. by reshape([-1, 1])`,
      { shapes: shapes.map(shapeToString) },
    );
  }
  return result;
}

export function isFloat(dtype: DType): boolean {
  return dtype === "float32" || dtype === "float64";
}
