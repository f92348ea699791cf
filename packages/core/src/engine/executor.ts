import { isRounded, roundSums } from "../compression/gradient-rounding.ts";
import { TuttiError } from "../errors/index.ts";
import { createKernels, type Kernels } from "../kernels/index.ts";
import type { SharedMemory } from "../memory/index.ts";
import type { ShardProgram } from "../step/shard-program.ts";
import { children, isLeaf, type TreeNode } from "../step/tree.ts";
import { augmentColumns } from "./augment-columns.ts";
import { type BoundProgram, bindProgram, ParameterCopies } from "./bound-program.ts";
import { drawRandoms } from "./draw-randoms.ts";
import type { Lane } from "./lane.ts";
import { packedScratch } from "./packed-tensors.ts";
import { failureOf, type Piece, type PieceOutcome } from "./piece.ts";
import type { Engine } from "./runtime.ts";
import { sharedMemory, type TensorMemory } from "./tensor-memory.ts";

/** Computes pieces in the thread that it was made in, one at a time. */
export class Executor implements Lane {
  readonly #engine: Engine;
  readonly #arena: TensorMemory;
  readonly #kernels: Kernels;
  readonly #copies: ParameterCopies | undefined;
  readonly #programs = new Map<string, BoundProgram>();

  /** @param zeroCopy false to copy even where the runtime would take shared memory. */
  constructor(engine: Engine, memory: SharedMemory, zeroCopy: boolean) {
    this.#engine = engine;
    this.#arena = sharedMemory(memory);
    this.#kernels = createKernels(memory);
    this.#copies = zeroCopy && engine.zeroCopy ? undefined : new ParameterCopies(this.#arena);
  }

  /** Throws ENGINE_FAILED. */
  async load(program: ShardProgram): Promise<void> {
    if (this.#programs.has(program.id)) return;
    this.#programs.set(program.id, await bindProgram(this.#engine, program, this.#arena, this.#copies));
  }

  /** Whether all programs of a piece are loaded. */
  holds({ shards }: Piece): boolean {
    return shards.every(({ programId }) => this.#programs.has(programId));
  }

  /** Never throws: the lane is as good as before whatever the outcome. */
  async run(piece: Piece): Promise<PieceOutcome> {
    try {
      const startMs = performance.now();
      const cancelled = this.#word(piece.cancelled);
      if (!(await this.#sum(piece, piece.node, piece.buffers, cancelled))) return { status: "cancelled" };
      if (piece.sumsFloats > 0) this.#join(piece);
      return { status: "done", busyMs: performance.now() - startMs };
    } catch (error) {
      return failureOf(error);
    }
  }

  async close(): Promise<void> {
    for (const program of this.#programs.values()) await program.close();
    this.#programs.clear();
  }

  /** Leaves the sums of `node` in the first of `buffers`; false if cancelled before the end. */
  async #sum(piece: Piece, node: TreeNode, buffers: readonly number[], cancelled: Int32Array): Promise<boolean> {
    if (isLeaf(node)) {
      if (Atomics.load(cancelled, 0) !== 0) return false;
      await this.#shard(piece, node.lo, buffers[0] ?? 0);
      this.#round(piece, node, buffers[0]);
      return true;
    }
    const [left, right] = children(node);
    if (!(await this.#sum(piece, left, buffers, cancelled))) return false;
    const others = buffers.slice(1);
    if (!(await this.#sum(piece, right, others, cancelled))) return false;
    if (piece.sumsFloats > 0) this.#add(piece, node, buffers[0], others[0]);
    return true;
  }

  async #shard(piece: Piece, index: number, sums: number): Promise<void> {
    const shard = piece.shards[index - piece.node.lo];
    const bound = shard && this.#programs.get(shard.programId);
    if (shard === undefined || bound === undefined) {
      throw new TuttiError("INTERNAL", `shard ${index}: program ${shard?.programId} was not loaded in this lane`);
    }
    const { scalars, collects, firstPosition } = shard;
    const { parameters, randoms } = piece;
    const position = { seed: piece.seed, step: piece.step, firstPosition };
    drawRandoms(this.#kernels, bound.program, randoms, position);
    const { augmentation } = bound.program;
    let { columns } = shard;
    if (augmentation !== undefined) {
      const scratch = packedScratch(bound.program);
      const changed = randoms + scratch.columns;
      const noise = { kernels: this.#kernels, address: randoms + scratch.noise };
      augmentColumns(this.#arena, bound.program, augmentation, columns, changed, noise, position);
      columns = changed;
    }
    await bound.run({ columns, parameters, randoms, sums, scalars, collects }, piece.generation);
  }

  /** Goes up from the piece as long as the other half of each join is finished too. */
  #join(piece: Piece): void {
    for (const { node, finished, left, right } of piece.joins) {
      if (Atomics.add(this.#word(finished), 0, 1) === 0) return; // the other half will do the rest
      this.#add(piece, node, left, right);
    }
  }

  #add(piece: Piece, node: TreeNode, left: number | undefined, right: number | undefined): void {
    if (left === undefined || right === undefined)
      throw new TuttiError("INTERNAL", "a piece came with too few buffers");
    this.#kernels.add(left, left, right, piece.sumsFloats);
    this.#round(piece, node, left);
  }

  #round(piece: Piece, node: TreeNode, sums: number | undefined): void {
    const { rounding, sumsFloats, seed, step } = piece;
    if (sumsFloats === 0 || sums === undefined || !isRounded(rounding, node)) return;
    roundSums(this.#kernels, rounding, { seed, step, node }, sums, 0, sumsFloats);
  }

  #word(address: number): Int32Array {
    return this.#arena.view("int32", address, 1) as Int32Array;
  }
}
