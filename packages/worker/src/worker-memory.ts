import type { ComputeMemory, Kernels } from "@tutti/core/kernels";
import type { Arena } from "@tutti/core/memory";
import { BatchStore } from "./batch-store.ts";
import { ParameterStore } from "./parameter-store.ts";

/** What a worker process keeps while it leaves and joins again, so that coming back allocates nothing. */
export class WorkerMemory {
  readonly arena: Arena;
  readonly batches: BatchStore;
  readonly kernels: Kernels;
  readonly #stores = new Map<string, ParameterStore>();

  constructor({ arena, kernels }: ComputeMemory) {
    this.arena = arena;
    this.kernels = kernels;
    this.batches = new BatchStore(arena);
  }

  parameters(totalFloats: number, updatedFloats: number, chunkFloats: number): ParameterStore {
    const key = `${totalFloats}/${updatedFloats}/${chunkFloats}`;
    const floats = { total: totalFloats, updated: updatedFloats, chunk: chunkFloats };
    const store = this.#stores.get(key) ?? new ParameterStore(this.arena, this.kernels, floats);
    this.#stores.set(key, store);
    store.abort();
    return store;
  }
}
