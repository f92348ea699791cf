import type { Attributes, DType } from "@tutti/core/graph";

/** A fed operand. `values` by default: distinct numbers of both signs, away from 0, without ties. */
export interface Operand {
  readonly shape: readonly number[];
  readonly dtype?: DType;
  readonly values?: readonly number[];
  /** Part of the graph instead of fed; not differentiated. */
  readonly constant?: boolean;
  /** Not differentiated (indices, conditions); so are all that are not float. */
  readonly fixed?: boolean;
}

/** One application of an operator whose gradients are checked. */
export interface GradientCase {
  readonly name: string;
  readonly inputs: readonly (Operand | null)[];
  readonly attributes?: Attributes;
  /**
   * The oracle. "float64": central differences of the engine's float64 kernel (default). "linear": the operator is linear in
   * each operand, small whole numbers are stepped by 1 and the float32 result must be exact.
   */
  readonly oracle?: "float64" | "linear" | Reference;
}

/** For operators without float64 kernel: the formula in double precision, row-major; several outputs one after the other. */
export type Reference = (inputs: readonly Float64Array[]) => Float64Array;

/** Key of the operator table to its cases; or why the operator has none. */
export type CaseTable = Readonly<Record<string, readonly GradientCase[] | "zero gradient" | "no gradient">>;

/** A shape as an operand. */
export function of(...shape: number[]): Operand {
  return { shape };
}

/** Positive values. */
export function positive(...shape: number[]): Operand {
  const count = shape.reduce((product, dim) => product * dim, 1);
  return { shape, values: spread(count).map((value) => Math.abs(value) + 0.25) };
}

export function integers(shape: readonly number[], values: readonly number[], dtype: DType = "int64"): Operand {
  return { shape, dtype, values };
}

/** `count` distinct numbers in (-2, 2), at least 0.03 from 0, in no order. */
export function spread(count: number, shift = 0): number[] {
  return Array.from({ length: count }, (_, i) => {
    const place = ((i + shift) * 0.6180339887498949) % 1;
    const value = 4 * place - 2;
    return Math.abs(value) < 0.03 ? value + 0.1 : value;
  });
}
