import * as v from "valibot";
import { bytesOf } from "../data/column.ts";
import type { PlainData, PlainObject } from "../data/source.ts";
import { TuttiError } from "../errors/index.ts";
import { decodeSafetensors, type EncodedSafetensors, invalid, type NamedTensor } from "./safetensors.ts";
import { encodeSealed, verifySeal } from "./seal.ts";

/**
 * A run between two commits: all that is needed to go on with the same bits. It knows nothing of the number of workers.
 * Every tensor, whatever its part, has its own name.
 */
export interface Snapshot<Bytes extends Uint8Array = Uint8Array> {
  /** Committed steps. */
  readonly step: number;
  readonly epoch: number;
  /** Batches of this epoch that are done. */
  readonly position: number;
  readonly seed: number;
  readonly definitionDigest: string;
  /** The plain values which the digest covers, so that a refused resume can name the difference. */
  readonly definition: PlainObject;
  readonly numericClass: string;
  /** The last validation's figures; may hold NaN and infinities. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Schedule, early stopping and whatever else is small and plain. */
  readonly state: PlainObject;
  /** Under their PyTorch names, so that other programs can load them; in layout order. */
  readonly parameters: readonly NamedTensor<Bytes>[];
  /** Optimizer state, named `optimizer.SLOT/PARAMETER`. */
  readonly optimizer: readonly NamedTensor<Bytes>[];
  /** Under their PyTorch names (`bn1.running_mean`). */
  readonly buffers: readonly NamedTensor<Bytes>[];
  /** The inference graph as ONNX bytes without weights: what `export` and `predict` start from. */
  readonly inferenceGraph: Uint8Array;
}

/** A snapshot as it was read; its tensors are views into the file's bytes. */
export interface Checkpoint extends Snapshot {
  readonly path: string;
}

const formatVersion = "1";
const graphName = "tutti.inference.onnx";

/** Encodes a snapshot with checksums. Hashes everything: for the writing thread. Throws INTERNAL for repeated names. */
export function encodeSnapshot(snapshot: Snapshot): EncodedSafetensors {
  const { parameters, optimizer, buffers, inferenceGraph, metrics, ...plain } = snapshot;
  const names = (tensors: readonly NamedTensor[]) => tensors.map(({ name }) => name);
  const header = {
    ...plain,
    metrics: Object.fromEntries(
      Object.entries(metrics).map(([name, value]) => [name, Number.isFinite(value) ? value : String(value)]),
    ),
    parameters: names(parameters),
    optimizer: names(optimizer),
    buffers: names(buffers),
  };
  const graph: NamedTensor = {
    name: graphName,
    dtype: "uint8",
    shape: [inferenceGraph.byteLength],
    data: inferenceGraph,
  };
  // Widest dtype first: then every tensor is aligned for its elements, as readers that map the file want it.
  const tensors = [...parameters, ...optimizer, ...buffers, graph].sort((a, b) => bytesOf(b.dtype) - bytesOf(a.dtype));
  return encodeSealed(tensors, {
    format: "pt",
    "tutti.format": formatVersion,
    "tutti.snapshot": JSON.stringify(header, refuseNonFinite),
  });
}

/** JSON would turn these into null, and the run would go on from something else than it stopped at. */
function refuseNonFinite(key: string, value: unknown): unknown {
  if (typeof value === "number" && !Number.isFinite(value)) {
    throw new TuttiError("INTERNAL", `the snapshot's "${key}" is ${value}, which plain data cannot hold`);
  }
  return value;
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const plainData: v.GenericSchema<PlainData> = v.lazy(() =>
  v.union([v.null(), v.boolean(), v.number(), v.string(), v.array(plainData), plainObject]),
);
const plainObject: v.GenericSchema<PlainObject> = v.record(v.string(), plainData);
const headerSchema = v.strictObject({
  step: count,
  epoch: count,
  position: count,
  seed: v.pipe(v.number(), v.safeInteger()),
  definitionDigest: v.string(),
  definition: plainObject,
  numericClass: v.string(),
  metrics: v.record(v.string(), v.union([v.number(), v.picklist(["NaN", "Infinity", "-Infinity"])])),
  state: plainObject,
  parameters: v.array(v.string()),
  optimizer: v.array(v.string()),
  buffers: v.array(v.string()),
});

/**
 * Checks and decodes a checkpoint file's bytes. Rejects with CHECKPOINT_INVALID: damaged, torn, of another format
 * version, or no checkpoint at all.
 * @param path the file, for messages and the result.
 */
export async function decodeSnapshot(bytes: Uint8Array, path: string): Promise<Checkpoint> {
  await verifySeal(bytes, path);
  const { tensors, metadata } = decodeSafetensors(bytes, path);
  if (metadata["tutti.format"] !== formatVersion) {
    throw invalid(path, `expected format version ${formatVersion}, found ${metadata["tutti.format"] ?? "none"}`);
  }
  const { parameters, optimizer, buffers, metrics, ...plain } = parseHeader(metadata["tutti.snapshot"], path);
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const take = (name: string): NamedTensor => {
    const tensor = byName.get(name);
    if (tensor === undefined) throw invalid(path, `tensor "${name}" is listed but not there`);
    byName.delete(name);
    return tensor;
  };
  const checkpoint: Checkpoint = {
    ...plain,
    path,
    metrics: Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name, Number(value)])),
    parameters: parameters.map(take),
    optimizer: optimizer.map(take),
    buffers: buffers.map(take),
    inferenceGraph: take(graphName).data,
  };
  for (const name of byName.keys()) throw invalid(path, `tensor "${name}" is there but not listed`);
  return checkpoint;
}

function parseHeader(text: string | undefined, path: string): v.InferOutput<typeof headerSchema> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text ?? "");
  } catch {
    throw invalid(path, "its metadata hold no snapshot");
  }
  const result = v.safeParse(headerSchema, parsed);
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw invalid(path, `its snapshot's ${v.getDotPath(issue) ?? "metadata"}: ${issue.message}`);
}
