import { createHash } from "node:crypto";
import { decodeRawSafetensors, encodeSafetensors, type RawTensor } from "../checkpoint/safetensors.ts";
import { isTuttiError, TuttiError } from "../errors/index.ts";
import { readNamedFile } from "../files/named-file.ts";
import { brainToFloat, halfToFloat } from "./half-floats.ts";

export interface WeightsOptions {
  /** What the model calls a tensor of the file; null leaves it out. By default its own name. */
  readonly rename?: (name: string) => string | null;
  /** What becomes of parameters that the file lacks: an error by default, or their own initial values. */
  readonly missing?: "refuse" | "initialize";
  /** What becomes of tensors that the model lacks: an error by default. PyTorch's num_batches_tracked is always left out. */
  readonly unexpected?: "refuse" | "ignore";
  /** Refuses larger files; 16 GiB by default. */
  readonly maxBytes?: number;
}

/** Initial values from a file, for `defineRun({ weights })`. */
export interface InitialWeights {
  readonly kind: "tutti.weights";
  /**
   * The values of each parameter or buffer that the file has, float32, row-major.
   * @throws TuttiError WEIGHTS_INVALID listing what is missing, unexpected, or of another shape or dtype.
   */
  valuesFor(parameters: readonly NamedShape[]): ReadonlyMap<string, Float32Array>;
}

export interface NamedShape {
  readonly name: string;
  readonly shape: readonly number[];
}

export interface NamedWeights extends NamedShape {
  /** Row-major; int64 for counts such as PyTorch's num_batches_tracked. */
  readonly values: Float32Array | BigInt64Array;
}

/** Bytes an element, by the names of the format (github.com/huggingface/safetensors). */
const formats: ReadonlyMap<string, number> = new Map([
  ["BOOL", 1],
  ["U8", 1],
  ["I8", 1],
  ["F8_E4M3", 1],
  ["F8_E5M2", 1],
  ["U16", 2],
  ["I16", 2],
  ["F16", 2],
  ["BF16", 2],
  ["U32", 4],
  ["I32", 4],
  ["F32", 4],
  ["U64", 8],
  ["I64", 8],
  ["F64", 8],
]);

const defaultMaxBytes = 2 ** 34;

/**
 * Reads a safetensors file as initial values of a run, by parameter names, which are PyTorch's. F32, F16 and BF16 are taken
 * exactly; other dtypes are refused, since values would be rounded.
 *
 * @param source a path (relative ones start from the calling file's folder), a file URL, or the file's bytes.
 * @throws TuttiError DATA_MISSING, DATA_INVALID, WEIGHTS_INVALID.
 */
export function load(source: string | URL | Uint8Array, options: WeightsOptions = {}): InitialWeights {
  const where = source instanceof Uint8Array ? "the weights" : String(source);
  const bytes =
    source instanceof Uint8Array ? source : readNamedFile(source, load, options.maxBytes ?? defaultMaxBytes).bytes;
  const tensors = new Map<string, RawTensor>();
  for (const tensor of decoded(bytes, where)) {
    const name = options.rename === undefined ? tensor.name : options.rename(tensor.name);
    if (name === null) continue;
    if (tensors.has(name)) throw invalid(where, `two tensors are called "${name}" after renaming`);
    tensors.set(name, tensor);
  }
  return Object.freeze({
    kind: "tutti.weights",
    valuesFor: (parameters: readonly NamedShape[]) => fit(tensors, parameters, where, options),
  });
}

function decoded(bytes: Uint8Array, where: string): readonly RawTensor[] {
  try {
    return decodeRawSafetensors(bytes, where, formats).tensors;
  } catch (error) {
    if (!isTuttiError(error)) throw error;
    throw invalid(where, `no valid safetensors file: ${String(error.details.reason ?? error.message)}`);
  }
}

function invalid(where: string, why: string, details: Readonly<Record<string, unknown>> = {}): TuttiError {
  return new TuttiError("WEIGHTS_INVALID", `${where}: ${why}`, details);
}

function fit(
  tensors: ReadonlyMap<string, RawTensor>,
  parameters: readonly NamedShape[],
  where: string,
  { missing = "refuse", unexpected = "refuse" }: WeightsOptions,
): ReadonlyMap<string, Float32Array> {
  const names = new Set(parameters.map(({ name }) => name));
  const values = new Map<string, Float32Array>();
  const problems: string[] = [];
  for (const { name, shape } of parameters) {
    const tensor = tensors.get(name);
    if (tensor === undefined) {
      if (missing === "refuse") problems.push(`missing ${name} [${shape.join(",")}]`);
    } else if (tensor.shape.join() !== shape.join()) {
      problems.push(`${name} is [${tensor.shape.join(",")}], the model's is [${shape.join(",")}]`);
    } else {
      const floats = floatsOf(tensor);
      if (floats === undefined) problems.push(`${name} is ${tensor.format}, expected F32, F16 or BF16`);
      else values.set(name, floats);
    }
  }
  for (const name of tensors.keys()) {
    if (unexpected === "refuse" && !names.has(name) && !/(^|\.)num_batches_tracked$/.test(name))
      problems.push(`unexpected ${name}`);
  }
  if (problems.length > 0) {
    throw invalid(
      where,
      `${problems.length} of its tensors do not fit the model:\n  ${problems.join("\n  ")}\nuse { rename }, { missing: "initialize" } or { unexpected: "ignore" } if that is right`,
      { problems },
    );
  }
  if (values.size === 0)
    throw invalid(where, "it has none of the model's parameters; use { rename } if the names differ");
  return values;
}

function floatsOf({ format, data }: RawTensor): Float32Array | undefined {
  const { buffer } = Uint8Array.from(data);
  switch (format) {
    case "F32":
      return new Float32Array(buffer);
    case "F16":
      return halfToFloat(new Uint16Array(buffer));
    case "BF16":
      return brainToFloat(new Uint16Array(buffer));
    default:
      return undefined;
  }
}

/** SHA-256 (hex) over names and values, in the order of the map: what the record of a run says of its weights. */
export function digestOfWeights(values: ReadonlyMap<string, Float32Array>): string {
  const hash = createHash("sha256");
  for (const [name, { buffer, byteOffset, byteLength }] of values) {
    hash.update(JSON.stringify([name, byteLength])).update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return hash.digest("hex");
}

/**
 * A safetensors file of float32 and int64 tensors, which PyTorch reads (safetensors.torch.load_file): what `tutti export
 * --weights` writes. The same tensors give the same bytes. Throws INTERNAL for a repeated name or values that do not fit a shape.
 */
export function encodeWeights(tensors: readonly NamedWeights[]): Uint8Array<ArrayBuffer> {
  const { header, data } = encodeSafetensors(
    tensors
      // Widest first: then each is aligned for its elements, which readers that map the file need.
      .toSorted((a, b) => b.values.BYTES_PER_ELEMENT - a.values.BYTES_PER_ELEMENT)
      .map(({ name, shape, values }) => ({
        name,
        dtype: values instanceof Float32Array ? ("float32" as const) : ("int64" as const),
        shape,
        data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
      })),
    { format: "pt" },
  );
  return Uint8Array.from(Buffer.concat([header, ...data]));
}
