import { Reduction, type SumsShape } from "@tutti/core/exchange";
import type { ComputeMemory, Kernels } from "@tutti/core/kernels";
import type { Arena } from "@tutti/core/memory";
import { BatchStore } from "./batch-store.ts";
import { ParameterStore } from "./parameter-store.ts";
import type { Parameters } from "./parameters.ts";
import { SharedParameters } from "./shared-parameters.ts";

/** What a worker process keeps while it leaves and joins again, so that coming back allocates nothing. */
export class WorkerMemory {
  readonly arena: Arena;
  readonly batches: BatchStore;
  readonly kernels: Kernels;
  readonly #blocks = new Map<string, number>();
  readonly #reductions = new Map<string, Reduction>();
  readonly #stores = new Map<string, Parameters>();
  /** The arena is the coordinator's: sums are left where they are until their step is over, parameters are not copied. */
  readonly isShared: boolean;

  constructor({ arena, kernels }: ComputeMemory, isShared = false) {
    this.arena = arena;
    this.isShared = isShared;
    this.kernels = kernels;
    this.batches = new BatchStore(arena);
  }

  /** A block that whoever asks by this name again gets again. */
  block(name: string, bytes: number): number {
    const key = `${name}/${bytes}`;
    const address = this.#blocks.get(key) ?? this.arena.allocate(bytes);
    this.#blocks.set(key, address);
    return address;
  }

  reduction(shape: SumsShape): Reduction {
    const key = JSON.stringify(shape);
    const reduction = this.#reductions.get(key) ?? new Reduction(this, shape);
    this.#reductions.set(key, reduction);
    return reduction;
  }

  parameters(totalFloats: number, updatedFloats: number, chunkFloats: number): Parameters {
    const key = `${totalFloats}/${updatedFloats}/${chunkFloats}`;
    const floats = { total: totalFloats, updated: updatedFloats, chunk: chunkFloats };
    const Store = this.isShared ? SharedParameters : ParameterStore;
    const store = this.#stores.get(key) ?? new Store(this.arena, this.kernels, floats);
    this.#stores.set(key, store);
    store.abort();
    return store;
  }
}
