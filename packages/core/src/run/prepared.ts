import type { ColumnPreparation } from "../data/index.ts";
import type { Tensor } from "../graph/index.ts";

/** Dtypes whose values float32 holds exactly. */
const narrow: readonly string[] = ["float32", "int8", "uint8", "int16", "uint16"];

/**
 * A raw column as the step function sees it: NaN replaced, then (x − offset) / scale, in float32, or in float64 for dtypes that have
 * more digits. It is part of the graph, so that an exported model takes raw values.
 *
 * @param shape of a sample.
 */
export function prepared(raw: Tensor, shape: readonly number[], preparation: ColumnPreparation | undefined): Tensor {
  const { fill, offset, scale } = preparation ?? {};
  const filled = fill === undefined ? raw : raw.isNaN().where(constant(raw, fill, shape), raw);
  if (offset === undefined || scale === undefined) return filled;
  const numbers = filled.cast(narrow.includes(raw.dtype) ? "float32" : "float64");
  return numbers
    .sub(constant(numbers, offset, shape))
    .div(constant(numbers, scale, shape))
    .cast("float32");
}

/** @param like whose dtype, float32 or float64, it has. */
function constant({ graph, dtype }: Tensor, values: readonly number[], shape: readonly number[]): Tensor {
  const typed = dtype === "float64" ? Float64Array.from(values) : Float32Array.from(values);
  return graph.constant(typed, shape, dtype);
}
