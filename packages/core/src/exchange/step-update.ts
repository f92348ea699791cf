import { TuttiError } from "../errors/index.ts";
import type { Kernels } from "../kernels/index.ts";
import type { Arena } from "../memory/index.ts";
import type { CompiledOptimizer, PlateauState } from "../optim/index.ts";
import { type FlatLayout, type RunningStatistics, updateRunningStatistics } from "../step/index.ts";
import { combineChunkHashes, type Generation } from "./generations.ts";
import { type RangeTools, type RangeWork, type WorkKind, workOnRange } from "./range-work.ts";
import type { UpdateThreads } from "./update-threads.ts";

/** Below it, what float32 loses of small squares could be seen. */
const leastQuickSquares = 2 ** -64;

/** Sums whose squares are finite in float32 are below 2^64: divided by more than this, they stay finite. */
const leastQuickDivisor = 2 ** -32;

/**
 * Applies the optimizer to one step, t → t+1, chunk by chunk as the chunks' sums become final, while others are still
 * arriving; clipping by norm has to wait for the last, buffers for all their statistics. Nothing is visible before the generations are committed.
 */
export class StepUpdate {
  readonly #parts: StepUpdateParts;
  readonly #hashes: BigUint64Array;
  readonly #isHashed: Uint8Array;
  readonly #tools: RangeTools;
  readonly #updated: Uint8Array;
  readonly #reduced: Uint8Array;
  #divisor: number | undefined;
  /** Chunks with buffers whose sums are still to come; their trained part may be updated already. */
  #missingStatistics: number;
  readonly #waitingForStatistics = new Set<number>();
  #brokenBuffer: string | undefined;

  constructor(parts: StepUpdateParts) {
    this.#parts = parts;
    const chunks = this.#chunks;
    this.#hashes = new BigUint64Array(chunks);
    this.#isHashed = new Uint8Array(chunks);
    this.#updated = new Uint8Array(chunks);
    this.#reduced = new Uint8Array(chunks);
    this.#missingStatistics = chunks - this.#firstBufferChunk;
    const { kernels, optimizer, layout, normBlockFloats, threads } = parts;
    const blockSquares = threads?.blockSquares ?? new Float64Array(Math.ceil(layout.totalFloats / normBlockFloats));
    this.#tools = { kernels, optimizer, normBlockFloats, blockSquares };
  }

  /** Chunks of t+1 that are final, for a worker that joins in the middle of the step. */
  get updatedChunks(): readonly number[] {
    return [...this.#updated.keys()].filter((chunk) => this.#updated[chunk] === 1);
  }

  chunkReduced(chunk: number): void {
    this.#reduced[chunk] = 1;
    if (chunk >= this.#firstBufferChunk && --this.#missingStatistics === 0) this.#updateBuffers();
    if (this.#divisor !== undefined) this.#takeUp(chunk, this.#divisor);
  }

  /** @param divisor the step's sum of sample weights, as float32. */
  divisorKnown(divisor: number): void {
    if (this.#divisor !== undefined) return;
    this.#divisor = divisor;
    for (const [chunk, isReduced] of this.#reduced.entries()) if (isReduced === 1) this.#takeUp(chunk, divisor);
  }

  /**
   * Ends the update once all sums are final: returns the gradient's global norm and the hash of t+1 ("" where nobody could compare it).
   * Throws NON_FINITE, before anything was committed, naming the parameter.
   */
  finish(): { gradientNorm: number; hash: string } {
    const { kernels, arena, optimizer, hashScratch, needsHash } = this.#parts;
    const divisor = this.#divisor!;
    const gradientNorm = this.#gradientNorm(divisor);
    if (!Number.isFinite(gradientNorm)) throw this.#nonFinite();
    if (this.#brokenBuffer !== undefined) throw this.#nonFiniteBuffer(this.#brokenBuffer);
    if (optimizer.needsGlobalNorm) {
      const clipScale = optimizer.clipScale(gradientNorm);
      for (let chunk = 0; chunk < this.#chunks; chunk++) {
        this.#work(chunk, ["update"], divisor, clipScale);
        this.#finishUpdate(chunk);
      }
    }
    if (!needsHash()) return { gradientNorm, hash: "" };
    for (const [chunk, isHashed] of this.#isHashed.entries()) if (isHashed === 0) this.#hash(chunk); // it was not needed then
    return { gradientNorm, hash: combineChunkHashes(kernels, arena, hashScratch, this.#hashes) };
  }

  get #chunks(): number {
    return Math.ceil(this.#parts.generations.updatedFloats / this.#parts.reduction.chunkFloats);
  }

  /** The first chunk that holds buffers; the number of chunks if there are none. */
  get #firstBufferChunk(): number {
    const { layout, generations, reduction } = this.#parts;
    if (layout.totalFloats === generations.updatedFloats) return this.#chunks;
    return Math.floor(layout.totalFloats / reduction.chunkFloats);
  }

  #takeUp(chunk: number, divisor: number): void {
    if (this.#parts.optimizer.needsGlobalNorm) {
      this.#work(chunk, ["exactSquares"], divisor);
    } else {
      this.#work(chunk, ["quickSquares", "update"], divisor);
      this.#finishUpdate(chunk);
    }
  }

  /** In float64 where weights depend on it, and where float32 is not enough to tell it, or whether it is finite. */
  #gradientNorm(divisor: number): number {
    let squares = this.#sumOfBlocks();
    if (this.#parts.optimizer.needsGlobalNorm) return Math.sqrt(squares);
    const isKnown = squares > leastQuickSquares && squares < Number.POSITIVE_INFINITY;
    if (isKnown && Math.abs(divisor) > leastQuickDivisor) return Math.sqrt(squares) / Math.abs(divisor);
    for (let chunk = 0; chunk < this.#chunks; chunk++) this.#work(chunk, ["exactSquares"], divisor);
    squares = this.#sumOfBlocks();
    return Math.sqrt(squares);
  }

  #sumOfBlocks(): number {
    let squares = 0;
    for (const block of this.#tools.blockSquares) squares += block;
    return squares;
  }

  /** With the trained part of a chunk. */
  #work(chunk: number, kinds: readonly WorkKind[], divisor: number, clipScale = 1): void {
    const { reduction, generations, layout, plateau, threads } = this.#parts;
    const begin = chunk * reduction.chunkFloats;
    const end = Math.min(layout.totalFloats, begin + reduction.chunkFloats);
    if (begin >= end) return;
    const work: RangeWork = {
      ...{ kinds, divisor, clipScale, plateau },
      step: generations.updates + 1,
      from: generations.current,
      to: generations.next,
      gradientSum: reduction.sums,
    };
    if (threads === undefined) workOnRange(this.#tools, work, begin, end);
    else threads.run(this.#tools, work, begin, end);
  }

  /** The trained part of a chunk is updated: the chunk is final if it holds no buffers or they are. */
  #finishUpdate(chunk: number): void {
    if (chunk < this.#firstBufferChunk || this.#missingStatistics === 0) this.#finishChunk(chunk);
    else this.#waitingForStatistics.add(chunk);
  }

  /** Needs no divisor: statistics count samples, not their weights. */
  #updateBuffers(): void {
    const { arena, reduction, generations, statistics, samples } = this.#parts;
    const floats = (address: number): Float32Array => arena.floats(address, generations.updatedFloats);
    const buffers = {
      current: floats(generations.current.parameters),
      next: floats(generations.next.parameters),
      sums: floats(reduction.sums),
    };
    for (const one of statistics) {
      if (!updateRunningStatistics(one, buffers, samples, generations.updates + 1)) this.#brokenBuffer ??= one.name;
    }
    for (const chunk of this.#waitingForStatistics) this.#finishChunk(chunk);
    this.#waitingForStatistics.clear();
  }

  #finishChunk(chunk: number): void {
    const { needsHash, send } = this.#parts;
    if (needsHash()) this.#hash(chunk);
    this.#updated[chunk] = 1;
    const { address, bytes } = this.#nextChunk(chunk);
    send(chunk, address, bytes);
  }

  #hash(chunk: number): void {
    const { address, bytes } = this.#nextChunk(chunk);
    this.#hashes[chunk] = this.#parts.kernels.hash64(address, bytes, 0n);
    this.#isHashed[chunk] = 1;
  }

  /** Where a chunk of t+1 is. */
  #nextChunk(chunk: number): { readonly address: number; readonly bytes: number } {
    const { reduction, generations } = this.#parts;
    const begin = chunk * reduction.chunkFloats;
    const bytes = (Math.min(generations.updatedFloats, begin + reduction.chunkFloats) - begin) * 4;
    return { address: generations.next.parameters + begin * 4, bytes };
  }

  #nonFiniteBuffer(name: string): TuttiError {
    const step = this.#parts.generations.step + 1;
    return new TuttiError(
      "NON_FINITE",
      `step ${step}: the batch statistics of ${name} are NaN or infinite; the step was not committed. Lower the learning rate, or check the data`,
      { step, buffer: name },
    );
  }

  #nonFinite(): TuttiError {
    const { kernels, reduction, layout, generations } = this.#parts;
    const index = kernels.firstNonFinite(reduction.sums, layout.totalFloats);
    const entry = layout.entries.find(({ offset, length }) => index >= offset && index < offset + length);
    return new TuttiError(
      "NON_FINITE",
      `step ${generations.step + 1}: the gradient of ${entry?.name ?? "a parameter"} is NaN or infinite; the step was not committed. Lower the learning rate, clip gradients, or look for log(0) and division by 0 in the step function`,
      { step: generations.step + 1, parameter: entry?.name },
    );
  }
}

/** Generations as an update sees them: the coordinator's, or a worker's replica. */
export interface UpdatedGenerations {
  /** t: committed steps, those that were left out included. */
  readonly step: number;
  /** How many updates the current parameters have had. */
  readonly updates: number;
  /** The prefix that updates write. */
  readonly updatedFloats: number;
  readonly current: Generation;
  readonly next: Generation;
}

/** A step's sums as an update sees them, wherever they were added up. */
export interface ReducedSums {
  readonly chunkFloats: number;
  /** Their address in the arena. */
  readonly sums: number;
  /** First float and end of a chunk. */
  range(chunk: number): { begin: number; end: number };
}

export interface StepUpdateParts {
  readonly kernels: Kernels;
  readonly arena: Arena;
  readonly layout: FlatLayout;
  readonly optimizer: CompiledOptimizer;
  /** What validations have made of the rate. */
  readonly plateau: PlateauState;
  readonly generations: UpdatedGenerations;
  readonly reduction: ReducedSums;
  /** The global norm is summed over blocks of this many floats of the layout: fixed, never the wire's chunks. */
  readonly normBlockFloats: number;
  /** Made for this layout and optimizer, if cores are free while updates are applied. */
  readonly threads?: UpdateThreads | undefined;
  /** How buffers follow from the step's sums. */
  readonly statistics: readonly RunningStatistics[];
  /** Samples of the global batch. */
  readonly samples: number;
  /** Whether there is another copy of t+1 that its hash could find to differ. */
  readonly needsHash: () => boolean;
  /** Room for 8 bytes per chunk. */
  readonly hashScratch: number;
  /** Called with each final chunk of t+1: an address in the arena and its bytes. */
  readonly send: (chunk: number, address: number, bytes: number) => void;
}
