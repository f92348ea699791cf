import type { NodeResult } from "@tutti/core/engine";
import { Reduction, type SumsShape } from "@tutti/core/exchange";
import type { ComputeMemory, Kernels } from "@tutti/core/kernels";
import type { Arena } from "@tutti/core/memory";
import { BatchStore } from "./batch-store.ts";
import { ParameterStore } from "./parameter-store.ts";
import type { Parameters } from "./parameters.ts";
import { SharedParameters } from "./shared-parameters.ts";

/** A result that was computed from the parameters of `step`, for a round. */
interface Loan {
  readonly round: number;
  readonly step: number;
  readonly result: NodeResult;
}

/** What a worker process keeps while it leaves and joins again, so that coming back allocates nothing. */
export class WorkerMemory {
  readonly arena: Arena;
  readonly batches: BatchStore;
  readonly kernels: Kernels;
  readonly #blocks = new Map<string, number>();
  readonly #reductions = new Map<string, { readonly all: Reduction[]; free: Reduction[] }>();
  #reclaimed = 0;
  readonly #stores = new Map<string, Parameters>();
  /** Results that the coordinator reads where they are. They outlast a membership, as their round may. */
  #lent: Loan[] = [];

  constructor({ arena, kernels }: ComputeMemory) {
    this.arena = arena;
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

  /** A reduction of this shape, for whoever asks alone until `give` is called. */
  takeReduction(shape: SumsShape): { readonly reduction: Reduction; readonly give: () => void } {
    const key = JSON.stringify(shape);
    const known = this.#reductions.get(key) ?? { all: [], free: [] };
    this.#reductions.set(key, known);
    const reduction = known.free.pop() ?? new Reduction(this, shape);
    if (!known.all.includes(reduction)) known.all.push(reduction);
    const reclaimed = this.#reclaimed;
    const give = (): void => {
      if (reclaimed === this.#reclaimed) known.free.push(reduction);
    };
    return { reduction, give };
  }

  /** Nobody uses a reduction any more: the connections are closed over which their sums were being sent. */
  reclaimReductions(): void {
    this.#reclaimed++;
    for (const known of this.#reductions.values()) known.free = [...known.all];
  }

  /** @param areShared they are the coordinator's own, and seen where they are. */
  parameters(totalFloats: number, updatedFloats: number, chunkFloats: number, areShared: boolean): Parameters {
    const key = `${totalFloats}/${updatedFloats}/${chunkFloats}/${areShared}`;
    const floats = { total: totalFloats, updated: updatedFloats, chunk: chunkFloats };
    const Store = areShared ? SharedParameters : ParameterStore;
    const store = this.#stores.get(key) ?? new Store(this.arena, this.kernels, floats);
    this.#stores.set(key, store);
    store.abort();
    return store;
  }

  /** Keeps a result as it is until its round is over. */
  lend(loan: Loan): void {
    this.#lent.push(loan);
  }

  /** The round is over. */
  takeBack(round: number): void {
    this.#takeBack((loan) => loan.round === round);
  }

  /** The step is current: whatever was lent for those before it is not read any more, also where nobody has said that its round is over. */
  takeBackBefore(step: number): void {
    this.#takeBack((loan) => loan.step < step);
  }

  #takeBack(isOver: (loan: Loan) => boolean): void {
    for (const loan of this.#lent) if (isOver(loan)) loan.result.release();
    this.#lent = this.#lent.filter((loan) => !isOver(loan));
  }
}
