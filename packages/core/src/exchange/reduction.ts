import { type GradientRounding, isRounded, roundSums, SumsPacking } from "../compression/index.ts";
import { TuttiError } from "../errors/index.ts";
import type { ComputeMemory } from "../kernels/index.ts";
import { children, isLeaf, nodeKey, type TreeNode } from "../step/index.ts";

interface Vertex {
  readonly key: string;
  readonly node: TreeNode;
  readonly parent: Vertex | undefined;
  left: Vertex | undefined;
  right: Vertex | undefined;
  /** Where its sums are: a buffer, or where the first chunk was lent; a parent takes over its left child's. Stays once it is known. */
  address: number | undefined;
  readonly ready: Uint8Array; // by chunk
}

/** Chunks first … end − 1. */
export interface ChunkRange {
  readonly first: number;
  readonly end: number;
}

/** How a step's sums lie, travel and are rounded. */
export interface SumsShape {
  readonly sumsFloats: number;
  /** A multiple of 32 where sums are rounded. */
  readonly chunkFloats: number;
  readonly rounding: GradientRounding | undefined;
  /** The run's. */
  readonly seed: number;
}

/**
 * Adds up the sums of a step's leased nodes along the canonical tree, chunk by chunk as they arrive. Which node comes
 * first changes nothing: every sum is left + right in float32 at its place in the tree, rounded where the run says so.
 */
export class Reduction {
  readonly chunkFloats: number;
  readonly chunks: number;
  readonly #memory: ComputeMemory;
  readonly #rounding: GradientRounding | undefined;
  readonly #packing: SumsPacking;
  readonly #seed: number;
  readonly #sumsFloats: number;
  readonly #buffers: { address: number; floats: number }[] = [];
  #leased = new Map<string, Vertex>();
  #root: Vertex | undefined;
  #window: ChunkRange;
  #missing = 0;
  #usedBuffers = 0;
  #scratch: number | undefined;
  #step = 0;
  #onRootChunk: (chunk: number) => void = () => {};

  constructor(memory: ComputeMemory, shape: SumsShape) {
    const { sumsFloats, chunkFloats, rounding, seed } = shape;
    this.#memory = memory;
    this.#rounding = rounding;
    this.#packing = new SumsPacking(rounding, memory);
    this.#seed = seed;
    this.#sumsFloats = sumsFloats;
    this.chunkFloats = chunkFloats;
    this.chunks = Math.ceil(sumsFloats / chunkFloats);
    this.#window = { first: 0, end: this.chunks };
  }

  /** First float and number of floats of a chunk. */
  range(chunk: number): { begin: number; end: number } {
    return { begin: chunk * this.chunkFloats, end: Math.min(this.#sumsFloats, (chunk + 1) * this.chunkFloats) };
  }

  /** Address of the finished sums (of float 0, in the window or not); chunk c is final once `onRootChunk(c)` was called. */
  get sums(): number {
    if (this.#root === undefined) throw new TuttiError("INTERNAL", "no reduction is under way");
    return placeOf(this.#root);
  }

  get isComplete(): boolean {
    return this.#missing === 0;
  }

  /**
   * Starts a step (t) whose tree over [0, shards) is leased as exactly these nodes.
   * @param window the chunks that are added up here, all by default: buffers are no longer than that.
   * @param areLent sums will be lent: a buffer is taken when one is not; otherwise all are taken now, so that memory runs out here if it does.
   */
  begin(
    step: number,
    shards: number,
    leased: readonly TreeNode[],
    onRootChunk: (chunk: number) => void,
    window: ChunkRange = { first: 0, end: this.chunks },
    areLent = false,
  ): void {
    this.#step = step;
    this.#window = window;
    const wanted = new Set(leased.map(nodeKey));
    this.#leased = new Map();
    this.#onRootChunk = onRootChunk;
    this.#missing = window.end - window.first;
    this.#usedBuffers = 0;
    this.#memory.arena.reclaimPages(); // of workers that are gone: what they lent is not used any more
    const build = (node: TreeNode, parent: Vertex | undefined): Vertex => {
      const key = nodeKey(node);
      const vertex: Vertex = {
        key,
        node,
        parent,
        left: undefined,
        right: undefined,
        address: undefined,
        ready: new Uint8Array(this.chunks),
      };
      if (wanted.has(key)) {
        if (!areLent) vertex.address = this.#nextBuffer();
        this.#leased.set(key, vertex);
      } else {
        if (isLeaf(node)) throw new TuttiError("INTERNAL", `shard ${node.lo} is in no lease`);
        const [left, right] = children(node);
        vertex.left = build(left, vertex);
        vertex.right = build(right, vertex);
      }
      return vertex;
    };
    this.#root = build({ lo: 0, hi: shards }, undefined);
  }

  /** Bytes of a chunk of this node's sums as they travel. */
  chunkBytes(node: TreeNode, chunk: number): number {
    const { begin, end } = this.range(chunk);
    return this.#packing.bytes(node, begin, end);
  }

  /** True if this chunk of a leased node is in, or not needed any more. */
  has(node: TreeNode, chunk: number): boolean {
    return this.#vertex(node).ready[chunk] === 1 || this.isReduced(chunk);
  }

  /** True if this chunk of the whole step's sums is final. */
  isReduced(chunk: number): boolean {
    return this.#root?.ready[chunk] === 1;
  }

  /** Takes a chunk of the whole step's sums that was added up elsewhere; nothing happens if it is final already. */
  deliverReduced(chunk: number, bytes: Uint8Array): void {
    const root = this.#root!;
    if (root.ready[chunk] === 1) return;
    const { begin, end } = this.range(chunk);
    root.address ??= this.#nextBuffer();
    this.#packing.unpack(root.node, bytes, root.address, begin, end);
    root.ready[chunk] = 1;
    this.#finish(chunk);
  }

  /** A final chunk of the whole step's sums, as it travels: a copy if it is packed, a view until the next step begins otherwise. */
  reducedBytes(chunk: number): Uint8Array {
    const { begin, end } = this.range(chunk);
    const root = this.#root!;
    return this.#packing.packed(root.node, placeOf(root), begin, end);
  }

  /** Size of a chunk of the whole step's sums as it travels. */
  reducedChunkBytes(chunk: number): number {
    return this.chunkBytes(this.#root!.node, chunk);
  }

  /**
   * Takes a chunk of a leased node's sums (`chunkBytes` of them) and merges what has become complete. At most once
   * per (node, chunk).
   * @param isLent `bytes` are a view of this arena that stays until the step is over: used, and added to, where they are.
   * @returns the hash of the chunk's bytes, if it is wanted.
   */
  deliver(
    node: TreeNode,
    chunk: number,
    bytes: Uint8Array,
    { wantsHash = false, isLent = false }: { readonly wantsHash?: boolean; readonly isLent?: boolean } = {},
  ): bigint | undefined {
    const vertex = this.#vertex(node);
    if (vertex.ready[chunk] === 1)
      throw new TuttiError("INTERNAL", `chunk ${chunk} of node ${vertex.key} was merged already`);
    const { begin, end } = this.range(chunk);
    const hash = wantsHash ? this.hash(bytes) : undefined;
    const isUsable = isLent && !isRounded(this.#rounding, node);
    vertex.address ??= isUsable ? bytes.byteOffset - begin * 4 : this.#nextBuffer();
    if (!isUsable || vertex.address + begin * 4 !== bytes.byteOffset)
      this.#packing.unpack(node, bytes, vertex.address, begin, end);
    vertex.ready[chunk] = 1;
    this.#merge(vertex, chunk);
    return hash;
  }

  /** Hash of a chunk's bytes. */
  hash(bytes: Uint8Array): bigint {
    const { arena, kernels } = this.#memory;
    this.#scratch ??= arena.allocate(this.chunkFloats * 4);
    arena.bytes(this.#scratch, bytes.byteLength).set(bytes);
    return kernels.hash64(this.#scratch, bytes.byteLength, 0n);
  }

  #merge(delivered: Vertex, chunk: number): void {
    const { kernels } = this.#memory;
    const { begin, end } = this.range(chunk);
    let vertex = delivered;
    for (let parent = vertex.parent; parent !== undefined; parent = vertex.parent) {
      const left = parent.left!;
      const right = parent.right!;
      if (left.ready[chunk] !== 1 || right.ready[chunk] !== 1) return;
      const from = placeOf(left);
      parent.address ??= from;
      kernels.add(parent.address + begin * 4, from + begin * 4, placeOf(right) + begin * 4, end - begin);
      this.#round(parent.node, parent.address, begin, end);
      parent.ready[chunk] = 1;
      vertex = parent;
    }
    this.#finish(chunk);
  }

  #finish(chunk: number): void {
    this.#missing--;
    this.#onRootChunk(chunk);
  }

  #round(node: TreeNode, address: number, begin: number, end: number): void {
    if (!isRounded(this.#rounding, node)) return;
    const place = { seed: this.#seed, step: this.#step, node };
    roundSums(this.#memory.kernels, this.#rounding, place, address, begin, end);
  }

  #vertex(node: TreeNode): Vertex {
    const vertex = this.#leased.get(nodeKey(node));
    if (vertex === undefined) throw new TuttiError("INTERNAL", `node ${nodeKey(node)} is not leased in this step`);
    return vertex;
  }

  /** Where float 0 would be: only the window is there. */
  #nextBuffer(): number {
    const index = this.#usedBuffers++;
    const { first, end } = this.#window;
    const firstFloat = first * this.chunkFloats;
    const floats = Math.max(0, Math.min(end * this.chunkFloats, this.#sumsFloats) - firstFloat);
    let buffer = this.#buffers[index];
    if (buffer === undefined || buffer.floats < floats) {
      buffer = { address: this.#memory.arena.allocate(floats * 4), floats };
      this.#buffers[index] = buffer;
    }
    return buffer.address - firstFloat * 4;
  }
}

/** Where the vertex's sums are, once some of them have come. */
function placeOf({ key, address }: Vertex): number {
  if (address === undefined) throw new TuttiError("INTERNAL", `no sums of node ${key} have come`);
  return address;
}
