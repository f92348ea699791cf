import { alignUp } from "../memory/index.ts";
import type { ProgramManifest, ProgramRandom, ProgramTensor } from "../step/shard-program.ts";
import { bytesPerElement } from "./tensor-memory.ts";

/** Where tensors lie in one block that starts on 64 bytes. */
export interface PackedTensors {
  /** Byte offset of each tensor, in the order given; multiples of 64. */
  readonly offsets: readonly number[];
  /** End of the last tensor, in bytes: nothing follows it. */
  readonly totalBytes: number;
}

/** Packs tensors in the order given, each on the next multiple of 64 bytes. Coordinator and lanes both follow it. */
export function packedTensors(tensors: readonly ProgramTensor[]): PackedTensors {
  let end = 0;
  const offsets = tensors.map(({ dtype, shape }) => {
    const offset = alignUp(end);
    end = offset + elementsOf(shape) * bytesPerElement(dtype);
    return offset;
  });
  return { offsets, totalBytes: end };
}

/** The block of a shard's batch data: the program's columns in the manifest's order. */
export function packedColumns(program: { readonly columns: readonly ProgramTensor[] }): PackedTensors {
  return packedTensors(program.columns);
}

/** The block of a shard's per-sample outputs: the program's collects in the manifest's order. */
export function packedCollects(program: { readonly collects: readonly ProgramTensor[] }): PackedTensors {
  return packedTensors(program.collects);
}

/** The block of a shard's random inputs: the program's randoms in the manifest's order, with room for what is written beyond. */
export function packedRandoms(program: { readonly randoms: readonly ProgramRandom[] }): PackedTensors {
  let end = 0;
  const offsets = program.randoms.map(({ shape }) => {
    const offset = alignUp(end);
    end = alignUp(offset + 4 * elementsOf(shape) + 64);
    return offset;
  });
  return { offsets, totalBytes: end };
}

/** Values that noise is drawn for at once. */
export const noiseFloats = 4096;

/** The block that a lane fills for a shard: random inputs, then, where the program changes them, the columns and room for noise. */
export function packedScratch(program: ProgramManifest): {
  readonly columns: number;
  readonly noise: number;
  readonly totalBytes: number;
} {
  const randoms = packedRandoms(program).totalBytes;
  if (program.augmentation === undefined) return { columns: 0, noise: 0, totalBytes: randoms };
  const columns = alignUp(randoms);
  const noise = alignUp(columns + packedColumns(program).totalBytes);
  const hasNoise = program.augmentation.columns.some(({ changes }) => changes.some(({ kind }) => kind === "noise"));
  return { columns, noise, totalBytes: hasNoise ? noise + 4 * noiseFloats : noise };
}

export function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
