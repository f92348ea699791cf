import type * as Ort from "onnxruntime-node";
import type { ProgramTensor, ProgramView } from "../step/shard-program.ts";
import { elementsOf } from "./packed-tensors.ts";
import type { Runtime } from "./runtime.ts";
import type { TensorMemory } from "./tensor-memory.ts";

/** A tensor of a block. */
export interface Placed extends ProgramTensor {
  /** In bytes, from the block's address. */
  readonly offset: number;
}

/** Tensors at these byte offsets. */
export function packed(tensors: readonly ProgramTensor[], offsets: readonly number[]): readonly Placed[] {
  return tensors.map((tensor, index) => ({ ...tensor, offset: offsets[index] ?? 0 }));
}

/** A view of a flat float32 buffer. */
export function flat({ name, shape, offset }: ProgramView): Placed {
  return { name, dtype: "float32", shape, offset: offset * 4 };
}

/** More addresses than a run's buffers have, so that only validation over many batches starts afresh. */
const mostAddresses = 64;

/** The tensors of one block, for each address at which the block was seen. */
export class TensorsByAddress {
  readonly #runtime: Runtime;
  readonly #memory: TensorMemory;
  readonly #placed: readonly Placed[];
  readonly #known = new Map<number, Record<string, Ort.Tensor>>();

  constructor(runtime: Runtime, memory: TensorMemory, placed: readonly Placed[]) {
    this.#runtime = runtime;
    this.#memory = memory;
    this.#placed = placed;
  }

  at(address: number): Record<string, Ort.Tensor> {
    const known = this.#known.get(address);
    if (known !== undefined) return known;
    if (this.#known.size >= mostAddresses) this.#known.clear();
    const tensors = Object.fromEntries(this.#placed.map((placed) => [placed.name, this.#tensor(address, placed)]));
    this.#known.set(address, tensors);
    return tensors;
  }

  #tensor(address: number, { dtype, shape, offset }: Placed): Ort.Tensor {
    const view = this.#memory.view(dtype, address + offset, elementsOf(shape));
    return new this.#runtime.Tensor(dtype, view as Ort.Tensor["data"], shape);
  }
}
