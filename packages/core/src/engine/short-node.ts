import type * as Ort from "onnxruntime-node";
import type { Kernels } from "../kernels/index.ts";
import { type Arena, alignUp } from "../memory/index.ts";
import type { ShardProgram } from "../step/shard-program.ts";
import { children, isLeaf, type TreeNode } from "../step/tree.ts";
import type { BufferPool } from "./buffer-pool.ts";
import type { CallingSession } from "./calling-session.ts";
import type { NodeResult, NodeTask } from "./lanes.ts";
import { packedColumns } from "./packed-tensors.ts";
import { columnInput, flatFloats, flatOutput, parameterInput } from "./repeated-program.ts";
import type { Engine } from "./runtime.ts";
import { engineFailed } from "./session.ts";
import { privateMemory, sharedMemory, type TensorMemory } from "./tensor-memory.ts";
import { flat, packed, TensorsByAddress } from "./tensors-by-address.ts";

export interface ShortNodeParts {
  readonly arena: Arena;
  readonly kernels: Kernels;
  readonly pool: BufferPool;
}

/** Computes nodes of so many shards of one program by its repeated graph, before a call returns. Belongs to the thread that made it. */
export class ShortNode {
  readonly #parts: ShortNodeParts;
  readonly #session: CallingSession;
  readonly #program: ShardProgram;
  readonly #count: number;
  readonly #parameters: TensorsByAddress;
  /** By shard. */
  readonly #columns: readonly TensorsByAddress[];
  readonly #flat: TensorsByAddress;
  readonly #feeds: Record<string, Ort.Tensor> = {};
  /** What is in `#feeds`: the address of the parameters, then of each shard's columns. */
  readonly #fed: number[];
  /** Of their own, where the engine takes no shared memory: whatever is read and written is copied. */
  readonly #copies: Copies | undefined;
  /** Which shard's sums are added to which, in the order of the canonical tree. */
  readonly #additions: readonly (readonly [to: number, from: number])[];

  constructor(engine: Engine, session: CallingSession, program: ShardProgram, count: number, parts: ShortNodeParts) {
    const { runtime } = engine;
    this.#copies = engine.zeroCopy ? undefined : new Copies(program, count, parts.arena);
    const memory = this.#copies?.memory ?? sharedMemory(parts.arena.memory);
    this.#parts = parts;
    this.#session = session;
    this.#program = program;
    this.#count = count;
    const parameters = program.parameters.map((view, i) => flat({ ...view, name: parameterInput(i) }));
    this.#parameters = new TensorsByAddress(runtime, memory, parameters);
    const { offsets } = packedColumns(program);
    this.#columns = Array.from({ length: count }, (_, shard) => {
      const columns = program.columns.map((column, i) => ({ ...column, name: columnInput(shard, i) }));
      return new TensorsByAddress(runtime, memory, packed(columns, offsets));
    });
    const floats = flatFloats(program, count);
    this.#flat = new TensorsByAddress(runtime, memory, [
      { name: flatOutput, dtype: "float32", shape: [floats], offset: 0 },
    ]);
    this.#fed = new Array<number>(count + 1).fill(-1);
    this.#additions = additionsOf({ lo: 0, hi: count });
  }

  /** Throws ENGINE_FAILED. */
  run(task: NodeTask): NodeResult {
    const { pool, kernels, arena } = this.#parts;
    const startMs = performance.now();
    const block = pool.takeShared(4 * flatFloats(this.#program, this.#count), "short");
    const { address } = block;
    const fetches = this.#flat.at(this.#copies?.flat ?? address);
    try {
      this.#feed(task);
      this.#session.run(this.#feeds, fetches, noOptions);
    } catch (error) {
      pool.giveBack([block]);
      throw engineFailed(this.#program.id, "does not run", error);
    }
    const { sumsFloats, scalars } = this.#program;
    const values = fetches[flatOutput]!.data as Float32Array;
    const rows = new Float32Array(this.#count * scalars.length);
    for (let i = 0; i < rows.length; i++) rows[i] = values[this.#count * sumsFloats + i]!;
    if (this.#copies !== undefined) arena.floats(address, values.length).set(values);
    for (const [to, from] of this.#additions) {
      const left = address + 4 * sumsFloats * to;
      kernels.add(left, left, address + 4 * sumsFloats * from, sumsFloats);
    }
    let isReleased = false;
    const release = (): void => {
      if (!isReleased) pool.giveBack([block]);
      isReleased = true;
    };
    return { sums: address, scalars: rows, collects: [], computeMs: performance.now() - startMs, release };
  }

  /** Whether what lanes made of a task is what comes out here, bit for bit. */
  hasBits(task: NodeTask, { sums, scalars }: NodeResult): boolean {
    const own = this.run(task);
    const bits = (result: { readonly sums: number }) =>
      Buffer.from(this.#parts.arena.bytes(result.sums, 4 * this.#program.sumsFloats));
    const areEqual =
      bits(own).equals(bits({ sums })) && Buffer.from(own.scalars.buffer).equals(Buffer.from(scalars.buffer));
    own.release();
    return areEqual;
  }

  close(): void {
    this.#session.dispose();
  }

  #feed({ node, shards, parameters }: NodeTask): void {
    this.#feedFrom(0, this.#parameters, this.#copies?.takeParameters(parameters) ?? parameters);
    for (let shard = 0; shard < this.#count; shard++) {
      const { columns } = shards.get(node.lo + shard)!;
      this.#feedFrom(shard + 1, this.#columns[shard]!, this.#copies?.takeColumns(shard, columns) ?? columns);
    }
  }

  #feedFrom(place: number, tensors: TensorsByAddress, address: number): void {
    if (this.#fed[place] === address) return;
    Object.assign(this.#feeds, tensors.at(address));
    this.#fed[place] = address;
  }
}

/** Memory of one ShortNode, into which its inputs are copied. */
class Copies {
  readonly memory: TensorMemory;
  /** Where the output is. */
  readonly flat: number;
  readonly #arena: Arena;
  readonly #parameterBytes: number;
  readonly #columnBytes: number;
  readonly #columnStride: number;

  constructor(program: ShardProgram, count: number, arena: Arena) {
    this.#arena = arena;
    this.#parameterBytes = 4 * Math.max(0, ...program.parameters.map(({ offset, length }) => offset + length));
    this.#columnBytes = packedColumns(program).totalBytes;
    this.#columnStride = alignUp(this.#columnBytes);
    this.flat = alignUp(this.#parameterBytes) + count * this.#columnStride;
    this.memory = privateMemory(this.flat + 4 * flatFloats(program, count));
  }

  takeParameters(address: number): number {
    return this.#take(address, 0, this.#parameterBytes);
  }

  takeColumns(shard: number, address: number): number {
    return this.#take(address, alignUp(this.#parameterBytes) + shard * this.#columnStride, this.#columnBytes);
  }

  #take(from: number, to: number, bytes: number): number {
    (this.memory.view("uint8", to, bytes) as Uint8Array).set(this.#arena.bytes(from, bytes));
    return to;
  }
}

const noOptions: Ort.InferenceSession.RunOptions = Object.freeze({});

function additionsOf(node: TreeNode): readonly (readonly [number, number])[] {
  if (isLeaf(node)) return [];
  const [left, right] = children(node);
  return [...additionsOf(left), ...additionsOf(right), [left.lo, right.lo]];
}
