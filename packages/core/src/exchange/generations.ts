import { createHash } from "node:crypto";
import type { Kernels } from "../kernels/index.ts";
import type { Arena } from "../memory/index.ts";
import type { CompiledOptimizer } from "../optim/index.ts";
import type { FlatLayout } from "../step/index.ts";

/** Addresses of one generation in the arena: parameters and optimizer state, each `totalFloats` float32. */
export interface Generation {
  readonly parameters: number;
  readonly slots: readonly number[];
}

/**
 * Two generations of parameters and optimizer state. An update reads t and writes t+1 beside it, in any order of ranges;
 * `commit` makes t+1 the current one. Until then t is whole, so that a step can be aborted or its shards dealt again.
 */
export class Generations {
  readonly totalFloats: number;
  /** The prefix that updates write: what is trained, and buffers. */
  readonly updatedFloats: number;
  /** The prefix that is trained; optimizer state is as long. */
  readonly trainableFloats: number;
  readonly #arena: Arena;
  readonly #pair: readonly [Generation, Generation];
  #current: 0 | 1 = 0;
  #step: number;
  #updates: number;

  constructor(
    arena: Arena,
    optimizer: CompiledOptimizer,
    floats: { total: number; updated: number; trainable: number },
    at: { readonly step: number; readonly updates: number },
  ) {
    this.#arena = arena;
    this.totalFloats = floats.total;
    this.updatedFloats = floats.updated;
    this.trainableFloats = floats.trainable;
    this.#step = at.step;
    this.#updates = at.updates;
    const make = (): Generation => ({
      parameters: arena.allocateShared(floats.total * 4),
      slots: optimizer.slots.map(() => arena.allocate(floats.trainable * 4)),
    });
    this.#pair = [make(), make()];
  }

  /** t: committed steps, those that were left out included. */
  get step(): number {
    return this.#step;
  }

  /** How many updates the current parameters have had: what the optimizer counts by. */
  get updates(): number {
    return this.#updates;
  }

  get current(): Generation {
    return this.#pair[this.#current];
  }

  get next(): Generation {
    return this.#pair[this.#current === 0 ? 1 : 0];
  }

  /** Sets the starting point. What is never updated is the same in both generations. */
  initialize(parameters: Float32Array, slots: readonly Float32Array[]): void {
    for (const generation of this.#pair) {
      this.#arena.floats(generation.parameters, this.totalFloats).set(parameters);
      for (const [i, slot] of slots.entries()) this.#arena.floats(generation.slots[i]!, this.trainableFloats).set(slot);
    }
  }

  /** Which of the two buffers the current generation lies in; alternates. */
  get currentIndex(): 0 | 1 {
    return this.#current;
  }

  /** The step is left out: t+1 is t. */
  skip(): void {
    this.#step++;
  }

  commit(): void {
    this.#current = this.#current === 0 ? 1 : 0;
    this.#step++;
    this.#updates++;
  }

  /** The current parameters, a view that is overwritten two steps on. */
  get parameters(): Float32Array {
    return this.#arena.floats(this.current.parameters, this.totalFloats);
  }

  slot(index: number): Float32Array {
    return this.#arena.floats(this.current.slots[index]!, this.trainableFloats);
  }
}

/** Hash of a generation's parameters: XXH64 over the chunk hashes in order, each XXH64 of the chunk's bytes. */
export function combineChunkHashes(kernels: Kernels, arena: Arena, scratch: number, hashes: BigUint64Array): string {
  arena.bytes(scratch, hashes.byteLength).set(new Uint8Array(hashes.buffer, hashes.byteOffset, hashes.byteLength));
  return kernels.hash64(scratch, hashes.byteLength, 0n).toString(16).padStart(16, "0");
}

/** SHA-256 (hex) over parameters in layout order, little-endian float32, without padding. */
export function sha256OfParameters(layout: FlatLayout, parameters: Float32Array): string {
  const hash = createHash("sha256");
  for (const { offset, length } of layout.entries) hash.update(parameters.subarray(offset, offset + length));
  return hash.digest("hex");
}
