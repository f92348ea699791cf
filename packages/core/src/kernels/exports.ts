import { type SharedMemory, webAssembly } from "../memory/web-assembly.ts";
import type { OptimizerKernels } from "./optimizer-kernels.ts";

/**
 * What packages/core/assembly exports, in the order of its arguments. Addresses are bytes, `count` is floats; `divisor`
 * is rounded to float32 on the way in.
 */
export interface KernelExports extends OptimizerKernels {
  add(dst: number, a: number, b: number, count: number): void;
  copy(dst: number, src: number, count: number): void;
  sumOfSquares(address: number, count: number, divisor: number): number;
  quickSquares(address: number, count: number): number;
  firstNonFinite(address: number, count: number): number;
  hash64(address: number, bytes: number, seed: bigint): bigint;
  bernoulli(
    dst: number,
    samples: number,
    sampleFloats: number,
    firstPosition: number,
    key0: number,
    key1: number,
    path0: number,
    path1: number,
    threshold: number,
    scale: number,
  ): void;
  normal(...drawn: [...DrawnBlocks, mean: number, std: number]): void;
  uniform(...drawn: [...DrawnBlocks, low: number, span: number]): void;
  roundBfloat16(...range: RandomRange): void;
  roundInt8(...range: RandomRange): void;
  packBfloat16(dst: number, src: number, count: number): void;
  packInt8(dst: number, src: number, count: number): void;
  unpackBfloat16(dst: number, src: number, count: number): void;
  unpackInt8(dst: number, src: number, count: number): void;
}

type DrawnBlocks = [
  dst: number,
  blocks: number,
  firstBlock: number,
  blockHigh: number,
  key0: number,
  key1: number,
  path0: number,
  path1: number,
];

type RandomRange = [
  address: number,
  count: number,
  firstCoordinate: number,
  key0: number,
  key1: number,
  path0: number,
  path1: number,
];

/** Compiles `bytes` and links it to `memory`, synchronously. */
export function instantiate(bytes: Uint8Array<ArrayBuffer>, memory: SharedMemory): KernelExports {
  const { exports } = new webAssembly.Instance(new webAssembly.Module(bytes), { env: { memory } });
  return exports as KernelExports; // the module is ours and is built together with this file
}
