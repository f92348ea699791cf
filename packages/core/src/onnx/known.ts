import { TuttiError } from "../errors/index.ts";
import {
  type Dim,
  type DType,
  type Graph,
  isBatch,
  isFloat,
  type OnnxTensor,
  type Shape,
  shapeToString,
  type Tensor,
  type TypedValues,
} from "../graph/index.ts";

/** Above this many entries a constant stays a tensor: what decides shapes is small. */
const foldableEntries = 65_536;

/**
 * A value that is known while a model is traced: a constant, or computed from shapes alone. Entries are numbers, 0 and 1
 * for booleans, or k·N where a size counts samples.
 */
export class Known {
  readonly dtype: DType;
  readonly shape: readonly number[];
  #items: readonly Dim[] | undefined;
  #values: TypedValues | undefined;

  private constructor(dtype: DType, shape: readonly number[], items?: readonly Dim[], values?: TypedValues) {
    this.dtype = dtype;
    this.shape = shape;
    this.#items = items;
    this.#values = values;
  }

  static of(dtype: DType, shape: readonly number[], items: readonly Dim[]): Known {
    const count = shape.reduce((product, size) => product * size, 1);
    if (items.length !== count) throw new TuttiError("INTERNAL", `${items.length} entries for [${shape.join(",")}]`);
    return new Known(dtype, shape, dtype === "float32" ? items.map(roundedDim) : items);
  }

  static fromTensor({ dtype, shape, values }: Omit<OnnxTensor, "name">): Known {
    return new Known(dtype, shape, undefined, values);
  }

  /** A list of integers, int64 [count]. */
  static list(items: Shape): Known {
    return Known.of("int64", [items.length], items);
  }

  get count(): number {
    return this.shape.reduce((product, size) => product * size, 1);
  }

  get isFoldable(): boolean {
    return this.count <= foldableEntries;
  }

  /** Row-major. Integers beyond 2^53 (ONNX's "to the end") become the nearest safe ones. */
  get items(): readonly Dim[] {
    this.#items ??= Array.from(this.#values ?? [], toSafe);
    return this.#items;
  }

  /** The entries as numbers. Throws GRAPH_INVALID when one counts samples. */
  numbers(at: string): readonly number[] {
    return this.items.map((item) => {
      if (isBatch(item)) {
        throw new TuttiError(
          "GRAPH_INVALID",
          `${at}: expected numbers, found ${shapeToString(this.items)}: the number of samples is not known while the model is traced`,
        );
      }
      return item;
    });
  }

  /** The constant as a tensor of `graph`. Throws GRAPH_INVALID when an entry counts samples. */
  toTensor(graph: Graph, at: string): Tensor {
    this.#values ??= typed(this.dtype, this.numbers(at));
    return graph.constant(this.#values, this.shape, this.dtype);
  }

  reshaped(shape: readonly number[]): Known {
    return new Known(this.dtype, shape, this.#items, this.#values);
  }
}

function roundedDim(item: Dim): Dim {
  return isBatch(item) ? item : Math.fround(item);
}

function toSafe(value: number | bigint): number {
  if (typeof value === "number") return value;
  return Math.min(Math.max(Number(value), Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER);
}

/** The entries in the array type of a dtype. */
export function typed(dtype: DType, numbers: readonly number[]): TypedValues {
  switch (dtype) {
    case "float32":
      return Float32Array.from(numbers);
    case "float64":
      return Float64Array.from(numbers);
    case "int8":
      return Int8Array.from(numbers);
    case "int16":
      return Int16Array.from(numbers);
    case "uint16":
      return Uint16Array.from(numbers);
    case "int32":
      return Int32Array.from(numbers);
    case "int64":
      return BigInt64Array.from(numbers, BigInt);
    default:
      return Uint8Array.from(numbers);
  }
}

/** What a cast makes of a number: towards zero to integers, 0 or 1 to booleans. */
export function castItem(item: Dim, to: DType): Dim {
  if (isBatch(item)) return item;
  if (to === "bool") return item === 0 ? 0 : 1;
  return isFloat(to) ? item : Math.trunc(item);
}
