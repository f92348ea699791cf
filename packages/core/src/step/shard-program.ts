import type { DType } from "../graph/shape.ts";
import type { ProgramAugmentation } from "./augmentation.ts";

/** A tensor that is fed or fetched, its size known. */
export interface ProgramTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** A batch column as a program is fed with it. */
export interface ProgramColumn extends ProgramTensor {
  /** Least and greatest value that the program can use, where the column holds labels or indices. */
  readonly range?: readonly [min: number, max: number];
}

/** A float32 tensor that is a view into a flat buffer. Offset and length count floats; the offset is a multiple of 16. */
export interface ProgramView {
  readonly name: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly length: number;
}

/** A float32 view of the parameter buffer that a program is fed with. */
export interface ProgramParameter extends ProgramView {
  /** Running statistics and the like: changed by the commit, but not trained. */
  readonly isBuffer?: boolean;
}

/**
 * A random input, float32: 1/keep with probability `keep`, else 0. The first axis counts samples (k entries for each); the
 * values of a sample depend on the run's seed, `call`, the step and the sample's position in the global batch.
 */
export interface ProgramRandom {
  readonly name: string;
  readonly shape: readonly number[];
  readonly kind: "bernoulli";
  readonly keep: number;
  /** Counts the calls of the step function: each has numbers of its own. */
  readonly call: number;
}

/** All of a shard program but its graph: what a lane needs to feed and fetch. JSON. */
export interface ProgramManifest {
  readonly mode: "train" | "evaluate";
  /** N: samples in the shard. */
  readonly samples: number;
  /** Batch columns, the first axis counting samples. */
  readonly columns: readonly ProgramColumn[];
  /** Inputs that are views into the flat parameter buffer, at their layout offsets. */
  readonly parameters: readonly ProgramParameter[];
  /** How the lane changes the columns before it computes; for training only. */
  readonly augmentation?: ProgramAugmentation;
  /** Inputs that the lane draws. */
  readonly randoms: readonly ProgramRandom[];
  /**
   * Outputs that are views into one flat buffer of sums over the shard, at the offsets of what they are for: the gradient
   * of a parameter, the statistics of a buffer.
   */
  readonly sums: readonly ProgramView[];
  /** Length of the buffer of sums in floats; a multiple of 16, 0 for evaluation. */
  readonly sumsFloats: number;
  /** The one float32 vector of small sums: Σ weight·loss, Σ weight, then every metric's sums. */
  readonly scalars: { readonly name: string; readonly length: number };
  /** Outputs kept per sample, for metrics that are finished on the coordinator. */
  readonly collects: readonly ProgramTensor[];
}

/** What a lane runs for one shard: a pure function of parameters and columns, as ONNX bytes and a manifest. */
export interface ShardProgram extends ProgramManifest {
  /** SHA-256 (hex) of the ONNX bytes and the manifest. */
  readonly id: string;
  readonly onnx: Uint8Array;
}
