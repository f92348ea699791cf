import { createKernels, type Kernels } from "@tutti/core/kernels";
import type { Arena } from "@tutti/core/memory";
import { BatchStore } from "./batch-store.ts";
import { ParameterStore } from "./parameter-store.ts";

/** What a worker process keeps while it leaves and joins again, so that coming back allocates nothing. */
export class WorkerMemory {
  readonly arena: Arena;
  readonly batches: BatchStore;
  readonly #kernels: Kernels;
  readonly #stores = new Map<string, ParameterStore>();

  constructor(arena: Arena) {
    this.arena = arena;
    this.#kernels = createKernels(arena.memory);
    this.batches = new BatchStore(arena);
  }

  parameters(totalFloats: number, trainableFloats: number, chunkFloats: number): ParameterStore {
    const key = `${totalFloats}/${trainableFloats}/${chunkFloats}`;
    const store = this.#stores.get(key) ?? new ParameterStore(this.arena, this.#kernels, { total: totalFloats, trainable: trainableFloats, chunk: chunkFloats });
    this.#stores.set(key, store);
    store.abort();
    return store;
  }
}
