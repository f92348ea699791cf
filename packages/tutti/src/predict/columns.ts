import type { PlainTensor } from "@tutti/core/engine";
import { TuttiError } from "@tutti/core/errors";
import type { DType, OnnxValueInfo, TypedValues } from "@tutti/core/graph";

/**
 * Columns to predict from, by name: row-major values, the samples one after another. `bool` columns hold 0 and 1 in a
 * Uint8Array, float columns NaN for what is missing; a category is the words themselves or their places.
 */
export type PredictColumns = Readonly<Record<string, TypedValues | readonly string[]>>;

const arrays: Readonly<Record<DType, new (elements: number) => TypedValues>> = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  bool: Uint8Array,
};

/** The samples to predict from, batch by batch. */
export interface Feeds {
  /** Samples that every column has. */
  readonly samples: number;
  /** Samples from `first`, at most `count`, as copies: the engine's bits depend on where a tensor begins. */
  batch(first: number, count: number): Promise<FeedBatch>;
  close(): Promise<void>;
}

export interface FeedBatch {
  readonly samples: number;
  /** By input. */
  readonly feeds: Readonly<Record<string, PlainTensor>>;
}

/** Columns in memory that fit a model's inputs. */
export class ArrayFeeds implements Feeds {
  readonly samples: number;
  readonly #inputs: readonly SampledInput[];
  readonly #columns: Readonly<Record<string, TypedValues>>;

  /** Throws DATA_INVALID for columns that are missing, unknown, of another type or of different lengths. */
  constructor(inputs: readonly OnnxValueInfo[], columns: Readonly<Record<string, TypedValues>>) {
    this.#inputs = inputs.map(sampledInput);
    this.#columns = columns;
    const names = this.#inputs.map(({ name }) => name);
    const unknown = Object.keys(columns).find((name) => !names.includes(name));
    if (unknown !== undefined)
      throw invalid(`the model has no input "${unknown}"; it takes ${names.join(", ")}: leave other columns out`);
    const counts = this.#inputs.map((input) => samplesIn(input, columns[input.name]));
    const [samples = 0] = counts;
    const other = counts.findIndex((count) => count !== samples);
    if (other >= 0)
      throw invalid(`column "${names[0]}" has ${samples} samples, column "${names[other]}" has ${counts[other]}`);
    this.samples = samples;
  }

  async batch(first: number, count: number): Promise<FeedBatch> {
    const samples = Math.min(count, this.samples - first);
    const feeds = this.#inputs.map(({ name, dtype, shape, elements }) => {
      const values = new arrays[dtype](samples * elements);
      copyInto(values, this.#columns[name]!.subarray(first * elements, (first + samples) * elements), 0);
      return [name, { dtype, shape: [samples, ...shape], values }] as const;
    });
    return { samples, feeds: Object.fromEntries(feeds) };
  }

  async close(): Promise<void> {}
}

/** An input that has one value, or block of values, a sample. */
export interface SampledInput {
  readonly name: string;
  readonly dtype: DType;
  /** Of one sample. */
  readonly shape: readonly number[];
  readonly elements: number;
}

/** Throws ONNX_UNSUPPORTED for an input whose first dimension does not count samples. */
export function sampledInput({ name, dtype, shape }: OnnxValueInfo): SampledInput {
  const [samples, ...rest] = shape ?? [];
  const sizes = rest.filter((size) => typeof size === "number");
  if (samples === undefined || typeof samples === "number" || sizes.length < rest.length) {
    throw new TuttiError(
      "ONNX_UNSUPPORTED",
      `input ${name}: expected a free first dimension, which counts samples, and numbers after it, found [${(shape ?? ["?"]).join(", ")}]`,
    );
  }
  return { name, dtype, shape: sizes, elements: sizes.reduce((product, size) => product * size, 1) };
}

function samplesIn({ name, dtype, shape, elements }: SampledInput, values: TypedValues | undefined): number {
  const wanted = `column "${name}": expected ${dtype} values of shape [samples${shape.map((size) => `, ${size}`).join("")}]`;
  if (values === undefined) throw invalid(`${wanted}, found none`);
  const type = arrays[dtype];
  if (!(values instanceof type)) throw invalid(`${wanted} in a ${type.name}, found a ${nameOf(values)}`);
  if (values.length % elements !== 0 || values.length === 0)
    throw invalid(`${wanted}, found ${values.length} values, which are no whole samples of ${elements}`);
  return values.length / elements;
}

function nameOf(value: unknown): string {
  return typeof value === "object" && value !== null ? value.constructor.name : typeof value;
}

function invalid(message: string): TuttiError {
  return new TuttiError("DATA_INVALID", message);
}

/** Joins an output's batches along the first axis. */
export class JoinedOutput {
  readonly #name: string;
  readonly #parts: PlainTensor[] = [];

  constructor(name: string) {
    this.#name = name;
  }

  /** Throws SHAPE_MISMATCH for a value that does not belong to samples. */
  add(part: PlainTensor, samples: number): void {
    const [first = 0, ...rest] = part.shape;
    const expected = this.#parts[0]?.shape.slice(1) ?? rest;
    if (part.shape.length === 0 || first % samples !== 0 || rest.join() !== expected.join()) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `output ${this.#name}: expected values for each of ${samples} samples along the first axis, found [${part.shape.join(", ")}]`,
      );
    }
    this.#parts.push(part);
  }

  /** @returns a new tensor, the caller's. */
  joined(): PlainTensor {
    const [{ dtype, shape } = { dtype: "float32" as const, shape: [0] }] = this.#parts;
    const values = new arrays[dtype](this.#parts.reduce((sum, part) => sum + part.values.length, 0));
    let at = 0;
    for (const part of this.#parts) {
      copyInto(values, part.values, at);
      at += part.values.length;
    }
    const first = this.#parts.reduce((sum, part) => sum + part.shape[0]!, 0);
    return { dtype, shape: [first, ...shape.slice(1)], values };
  }
}

function copyInto(target: TypedValues, source: TypedValues, at: number): void {
  if (target instanceof BigInt64Array && source instanceof BigInt64Array) target.set(source, at);
  else if (!(target instanceof BigInt64Array) && !(source instanceof BigInt64Array)) target.set(source, at);
}
