import { TuttiError } from "../errors/index.ts";
import { type Arena, alignUp } from "../memory/index.ts";
import type { ProgramManifest } from "../step/shard-program.ts";
import { children, nodeKey, type TreeNode } from "../step/tree.ts";
import type { Block, BufferPool } from "./buffer-pool.ts";
import { buffersFor, cutForLanes } from "./cut.ts";
import type { NodeTask } from "./lanes.ts";
import { packedCollects, packedScratch } from "./packed-tensors.ts";
import type { Join, Piece, PieceShard } from "./piece.ts";

/** What lanes must know of a loaded program to give it buffers. */
export interface ProgramBuffers {
  /** Names the layout of the sums: equal for programs whose sums can be added. */
  readonly layout: string;
  readonly sumsFloats: number;
  readonly scalars: number;
  readonly collectBytes: number;
  /** Of random inputs and changed columns. */
  readonly scratchBytes: number;
}

export function programBuffers(program: ProgramManifest): ProgramBuffers {
  const views = program.sums.map(({ offset, length }) => `${offset}+${length}`);
  return {
    layout: `${program.sumsFloats}:${views}`,
    sumsFloats: program.sumsFloats,
    scalars: program.scalars.length,
    collectBytes: packedCollects(program).totalBytes,
    scratchBytes: packedScratch(program).totalBytes,
  };
}

/** One node's computation: its pieces, the buffers they write, and how they meet. */
export class TaskPlan {
  /** In shard order. */
  readonly pieces: readonly TreeNode[];
  readonly #task: NodeTask;
  readonly #arena: Arena;
  readonly #pool: BufferPool;
  readonly #programs: ReadonlyMap<string, ProgramBuffers>;
  readonly #first: ProgramBuffers;
  readonly #scalarStride: number;
  readonly #shards: readonly PieceShard[];
  readonly #control: Block;
  readonly #scalars: Block;
  readonly #collects: readonly (Block | undefined)[];
  /** The buffer of each piece's sums, by the piece's first shard. */
  readonly #sums = new Map<number, Block>();
  readonly #joins = new Map<string, readonly Join[]>();

  /** Throws INTERNAL when a shard or program is missing, or the programs' results cannot be added. */
  constructor(
    task: NodeTask,
    lanes: number,
    arena: Arena,
    pool: BufferPool,
    programs: ReadonlyMap<string, ProgramBuffers>,
  ) {
    this.#task = task;
    this.#arena = arena;
    this.#pool = pool;
    this.#programs = programs;
    this.#first = this.#buffersOf(task.node.lo);
    for (let shard = task.node.lo; shard < task.node.hi; shard++) this.#checkShard(shard);
    this.pieces = cutForLanes(task.node, lanes);
    this.#scalarStride = alignUp(4 * this.#first.scalars);
    this.#control = pool.take(4 * this.pieces.length, "control");
    arena.bytes(this.#control.address, 4 * this.pieces.length).fill(0);
    this.#scalars = pool.take(this.#scalarStride * this.#count, "scalars");
    this.#collects = Array.from({ length: this.#count }, (_, row) => this.#takeCollects(row));
    if (this.#first.sumsFloats > 0) for (const { lo } of this.pieces) this.#sums.set(lo, this.#takeSums());
    this.#shards = Array.from({ length: this.#count }, (_, row) => this.#shard(row));
    this.#planJoins(task.node, []);
  }

  /** The piece as a lane is sent it, and the buffers that the lane needs meanwhile and gives back afterwards. */
  piece(node: TreeNode): { readonly piece: Piece; readonly scratch: readonly Block[] } {
    const { sumsFloats } = this.#first;
    const own = this.#sums.get(node.lo);
    const sums = own === undefined ? [] : Array.from({ length: buffersFor(node) - 1 }, () => this.#takeSums());
    const buffers =
      own === undefined ? new Array<number>(buffersFor(node)).fill(0) : [own, ...sums].map(({ address }) => address);
    const randoms = this.#takeRandoms(node);
    const piece: Piece = {
      node,
      shards: this.#shards.slice(node.lo - this.#task.node.lo, node.hi - this.#task.node.lo),
      parameters: this.#task.parameters,
      generation: this.#task.generation,
      seed: this.#task.seed,
      step: this.#task.step,
      randoms: randoms?.address ?? 0,
      sumsFloats,
      buffers,
      cancelled: this.#control.address,
      rounding: this.#task.rounding,
      joins: this.#joins.get(nodeKey(node)) ?? [],
    };
    return { piece, scratch: randoms === undefined ? sums : [...sums, randoms] };
  }

  /** Lanes stop before their next shard. */
  cancel(): void {
    Atomics.store(this.#words(), 0, 1);
  }

  get cancelled(): boolean {
    return Atomics.load(this.#words(), 0) !== 0;
  }

  /** Once all pieces are done: address of the node's sums, 0 if there are none. */
  get sums(): number {
    return this.#sums.get(this.#task.node.lo)?.address ?? 0;
  }

  get collects(): readonly number[] {
    return this.#shards.map(({ collects }) => collects);
  }

  readScalars(): Float32Array<ArrayBuffer> {
    const length = this.#first.scalars;
    const rows = new Float32Array(this.#count * length);
    this.#shards.forEach(({ scalars }, row) => {
      rows.set(this.#arena.floats(scalars, length), row * length);
    });
    return rows;
  }

  /** Gives back what only the lanes needed; the results stay. */
  releaseInner(): void {
    const inner = [...this.#sums].filter(([lo]) => lo !== this.#task.node.lo).map(([, block]) => block);
    this.#pool.giveBack([this.#control, this.#scalars, ...inner]);
  }

  releaseResults(): void {
    const results = [this.#sums.get(this.#task.node.lo), ...this.#collects];
    this.#pool.giveBack(results.filter((block) => block !== undefined));
  }

  get #count(): number {
    return this.#task.node.hi - this.#task.node.lo;
  }

  #words(): Int32Array {
    const { address } = this.#control;
    return new Int32Array(this.#arena.memory.buffer, address, this.pieces.length);
  }

  #buffersOf(shard: number): ProgramBuffers {
    const programId = this.#task.shards.get(shard)?.programId;
    const buffers = programId === undefined ? undefined : this.#programs.get(programId);
    if (buffers !== undefined) return buffers;
    const what = programId === undefined ? "was not given" : `needs program ${programId}, which is not loaded`;
    throw new TuttiError("INTERNAL", `node ${nodeKey(this.#task.node)}: shard ${shard} ${what}`);
  }

  #checkShard(shard: number): void {
    const { layout, scalars } = this.#buffersOf(shard);
    if (layout === this.#first.layout && scalars === this.#first.scalars) return;
    throw new TuttiError(
      "INTERNAL",
      `node ${nodeKey(this.#task.node)}: the sums of shards ${this.#task.node.lo} and ${shard} lie differently and cannot be added`,
    );
  }

  #takeSums(): Block {
    return this.#pool.takeShared(4 * this.#first.sumsFloats, this.#first.layout);
  }

  /** One block for all shards of a piece, one after the other. */
  #takeRandoms({ lo, hi }: TreeNode): Block | undefined {
    let bytes = 0;
    for (let shard = lo; shard < hi; shard++) bytes = Math.max(bytes, this.#buffersOf(shard).scratchBytes);
    return bytes > 0 ? this.#pool.take(bytes, "randoms") : undefined;
  }

  #takeCollects(row: number): Block | undefined {
    const { collectBytes } = this.#buffersOf(this.#task.node.lo + row);
    return collectBytes > 0 ? this.#pool.take(collectBytes, "collects") : undefined;
  }

  #shard(row: number): PieceShard {
    const input = this.#task.shards.get(this.#task.node.lo + row);
    if (input === undefined)
      throw new TuttiError("INTERNAL", `row ${row} of node ${nodeKey(this.#task.node)} was not given`);
    return {
      programId: input.programId,
      columns: input.columns,
      firstPosition: input.firstPosition,
      scalars: this.#scalars.address + row * this.#scalarStride,
      collects: this.#collects[row]?.address ?? 0,
    };
  }

  /** @param above from the parent of `node` up to the root. */
  #planJoins(node: TreeNode, above: readonly Join[]): void {
    if (this.pieces.some(({ lo, hi }) => lo === node.lo && hi === node.hi)) {
      this.#joins.set(nodeKey(node), above);
      return;
    }
    const [left, right] = children(node);
    // The split is the start of exactly one piece, and never of the first, whose word is `cancelled`.
    const join: Join = {
      node,
      finished: this.#control.address + 4 * this.pieces.findIndex(({ lo }) => lo === right.lo),
      left: this.#sums.get(left.lo)?.address ?? 0,
      right: this.#sums.get(right.lo)?.address ?? 0,
    };
    this.#planJoins(left, [join, ...above]);
    this.#planJoins(right, [join, ...above]);
  }
}
