import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
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
  return new Kernels(instantiate(readFileSync(compiledModule()), memory));
}

/** By the package's name, so that it is found wherever this code has been bundled. */
function compiledModule(): string {
  return createRequire(import.meta.url).resolve("@tutti/core/kernels.wasm");
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

  /**
   * Σ x[i]², in less than half the time of `sumOfSquares`: squares and sums of 64 floats in float32, beyond that in float64. Element i is
   * added to lane i mod 16 of its 64 (of its 16 behind the last whole 64) in increasing i, then the lanes as (0+4)+(8+12) and so on; the order
   * depends on i alone. Finite only if every x is; squares above 2^128 become infinite, those below 2^−149 vanish.
   */
  quickSquares(address: number, count: number): number {
    checkAddress(address);
    checkCount(count);
    return this.raw.quickSquares(address, count);
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
   * Normal float32 of `blocks` blocks of four, as `RandomStream.fillNormal` draws them from value 4·firstBlock on, bit for bit. Writes whole groups
   * of four blocks. @param firstBlock with `blocks` within one multiple of 2^32.
   */
  normal(
    dst: number,
    blocks: number,
    firstBlock: number,
    key: WordPair,
    path: WordPair,
    { mean, std }: { readonly mean: number; readonly std: number },
  ): void {
    this.raw.normal(...drawnBlocks(dst, blocks, firstBlock, key, path), mean, std);
  }

  /** Uniform float32 as `RandomStream.fillUniform` draws them; otherwise as `normal`. */
  uniform(
    dst: number,
    blocks: number,
    firstBlock: number,
    key: WordPair,
    path: WordPair,
    { low, high }: { readonly low: number; readonly high: number },
  ): void {
    this.raw.uniform(...drawnBlocks(dst, blocks, firstBlock, key, path), low, high - low);
  }

  /**
   * Rounds `count` floats in place, stochastically: to one of the two neighbouring numbers of the format, in expectation x
   * itself. "bf16": bfloat16; what lies beyond its largest number may become infinite. "int8": blocks of 32 coordinates
   * (the last may be 16) share a power of two as unit, the smallest of which no magnitude is more than 127; below 2^−110 it
   * does not go. The places of a quotient beyond the 16th are cut off. Where a number is not finite, or beyond 127 of the
   * largest unit (1.98 · 2^127), there is NaN and the rest of its block is 0.
   *
   * Coordinate i draws 16 bits of Philox4x32-10 with this key and the counter (4⌊i/32⌋ + i mod 4, 0, path): of word ⌊i/4⌋ mod
   * 4 the lower half if i mod 32 < 16, else the upper. @param firstCoordinate that of the float at `address`, a multiple of 32.
   */
  round(
    to: PackedFormat,
    address: number,
    count: number,
    firstCoordinate: number,
    key: WordPair,
    path: WordPair,
  ): void {
    checkAddress(address);
    checkCount(count);
    if (firstCoordinate % packedBlockFloats !== 0)
      throw new TuttiError("INTERNAL", `Rounding starts on a block of 32 coordinates, found ${firstCoordinate}.`);
    const range = [address, count, firstCoordinate, key[0], key[1], path[0], path[1]] as const;
    if (to === "bf16") this.raw.roundBfloat16(...range);
    else this.raw.roundInt8(...range);
  }

  /**
   * Writes floats that `round` has made in fewer bytes (`packedBytes`), exactly. "bf16": the upper 16 bits of each. "int8":
   * per block its exponent E (unit 2^(E−133); 0: not finite) and a signed byte for each coordinate, as in the MXINT8 of the OCP
   * Microscaling Formats Specification 1.0 but for the exponent's bias. `dst` may be `src`.
   */
  pack(to: PackedFormat, dst: number, src: number, count: number): void {
    checkAddress(dst);
    checkAddress(src);
    checkCount(count);
    if (to === "bf16") this.raw.packBfloat16(dst, src, count);
    else this.raw.packInt8(dst, src, count);
  }

  /** What `pack` was given. Any bytes give some floats. */
  unpack(from: PackedFormat, dst: number, src: number, count: number): void {
    checkAddress(dst);
    checkAddress(src);
    checkCount(count);
    if (from === "bf16") this.raw.unpackBfloat16(dst, src, count);
    else this.raw.unpackInt8(dst, src, count);
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

function drawnBlocks(dst: number, blocks: number, firstBlock: number, key: WordPair, path: WordPair) {
  checkAddress(dst);
  const position = [firstBlock >>> 0, Math.floor(firstBlock / 2 ** 32)] as const;
  return [dst, blocks, ...position, key[0], key[1], path[0], path[1]] as const;
}

/** What gradient sums can be rounded to. */
export type PackedFormat = "bf16" | "int8";

/** Coordinates that share a unit in "int8". */
export const packedBlockFloats = 32;

/** Bytes that `pack` writes for `count` floats, a multiple of 16. */
export function packedBytes(to: PackedFormat, count: number): number {
  return to === "bf16" ? 2 * count : count + Math.ceil(count / packedBlockFloats);
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
