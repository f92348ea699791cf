import { readFileSync } from "node:fs";
import { TuttiError } from "../errors/index.ts";
import { alignmentBytes } from "../memory/arena.ts";
import type { SharedMemory } from "../memory/web-assembly.ts";
import { instantiate, type KernelExports } from "./exports.ts";

const floatsPerBlock = alignmentBytes / Float32Array.BYTES_PER_ELEMENT;

/**
 * Loads the WASM SIMD kernels over `memory` (an Arena's, shared). Reads and compiles the module once, synchronously;
 * every thread makes its own. Kernels allocate nothing, keep no state, and give the same bits on every CPU.
 */
export function createKernels(memory: SharedMemory): Kernels {
  return new Kernels(instantiate(readFileSync(new URL("../../wasm/kernels.wasm", import.meta.url)), memory));
}

/**
 * Kernels over one memory. Addresses are byte addresses on 64 bytes; counts are float32 elements, multiples of 16 (the
 * flat layout pads with zeros, which every kernel keeps zero). Ranges may not overlap unless said. An address or count
 * that breaks this throws TuttiError INTERNAL; a range outside the memory throws WebAssembly.RuntimeError.
 */
export class Kernels {
  /** The raw functions, unchecked: for core/optim, whose ranges are checked once per update. */
  readonly raw: KernelExports;

  constructor(raw: KernelExports) {
    this.raw = raw;
  }

  /** dst[i] = a[i] + b[i] in float32. dst may be a or b. */
  add(dst: number, a: number, b: number, count: number): void {
    checkAddress(dst);
    checkAddress(a);
    checkAddress(b);
    checkCount(count);
    this.raw.add(dst, a, b, count);
  }

  /** Copies `count` floats, bit for bit; the ranges may overlap. */
  copy(dst: number, src: number, count: number): void {
    checkAddress(dst);
    checkAddress(src);
    checkCount(count);
    this.raw.copy(dst, src, count);
  }

  /**
   * Σ (x[i] / divisor)²: quotients in float32, squares and sums in float64. Element i is added to lane i mod 8 in
   * increasing i, then the lanes as ((0+2)+(4+6)) + ((1+3)+(5+7)): the order depends on i alone. Non-finite exactly when
   * a quotient is NaN or infinite.
   */
  sumOfSquares(address: number, count: number, divisor: number): number {
    checkAddress(address);
    checkCount(count);
    return this.raw.sumOfSquares(address, count, divisor);
  }

  /** Index of the first NaN or infinity among `count` floats, or -1. */
  firstNonFinite(address: number, count: number): number {
    checkAddress(address);
    checkCount(count);
    return this.raw.firstNonFinite(address, count);
  }

  /**
   * Dropout masks of consecutive samples: for each, `sampleFloats` float32 that are `scale` where a random uint32 is below
   * `threshold`, else 0. Value i of the sample at position p is word i mod 4 of Philox4x32-10 with that key and the counter
   * (⌊i/4⌋, p, path): it depends on nothing else. May write up to 60 bytes beyond the last value. All but `dst` and `scale`
   * are uint32.
   */
  bernoulli(dst: number, samples: SampleRange, key: WordPair, path: WordPair, threshold: number, scale: number): void {
    checkAddress(dst);
    const { count, floats, firstPosition } = samples;
    this.raw.bernoulli(dst, count, floats, firstPosition, key[0], key[1], path[0], path[1], threshold, scale);
  }

  /**
   * XXH64 of any number of bytes (Collet, xxHash specification 0.1.1), as an unsigned 64-bit integer. Not cryptographic.
   * NaN payloads count: refuse or canonicalise non-finite values before hashing.
   */
  hash64(address: number, bytes: number, seed: bigint): bigint {
    checkAddress(address);
    return BigInt.asUintN(64, this.raw.hash64(address, bytes, seed));
  }
}

/** A 64-bit integer as two uint32, the lower first. */
export type WordPair = readonly [number, number];

/** Samples at consecutive positions of a batch, each with as many floats. */
export interface SampleRange {
  readonly count: number;
  readonly floats: number;
  readonly firstPosition: number;
}

/** Throws TuttiError INTERNAL unless `address` is on 64 bytes. */
export function checkAddress(address: number): void {
  if (!Number.isInteger(address) || address < 0 || address % alignmentBytes !== 0) {
    throw new TuttiError("INTERNAL", `A kernel needs an address on ${alignmentBytes} bytes, found ${address}.`);
  }
}

/** Throws TuttiError INTERNAL unless `count` is a multiple of 16, zero included. */
export function checkCount(count: number): void {
  if (!Number.isInteger(count) || count < 0 || count % floatsPerBlock !== 0) {
    throw new TuttiError("INTERNAL", `A kernel needs a multiple of ${floatsPerBlock} floats, found ${count}.`);
  }
}
