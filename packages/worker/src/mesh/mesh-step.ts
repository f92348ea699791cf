import { SumsPacking } from "@tutti/core/compression";
import type { NodeResult } from "@tutti/core/engine";
import { isTuttiError, TuttiError } from "@tutti/core/errors";
import { type ChunkRange, type ReducedSums, type Reduction, StepUpdate } from "@tutti/core/exchange";
import { nodeKey, type TreeNode } from "@tutti/core/step";
import type { Connection, MessageOf, ToCoordinator, ToWorker } from "@tutti/core/wire";
import type { WorkerMemory } from "../worker-memory.ts";
import type { PeerLinks } from "./peer-links.ts";
import type { Replica } from "./replica.ts";

type Exchange = MessageOf<ToWorker, "exchange">;

export interface MeshStepParts {
  readonly connection: Connection<ToCoordinator, ToWorker>;
  readonly links: PeerLinks;
  readonly memory: WorkerMemory;
  readonly welcome: MessageOf<ToWorker, "welcome">;
  readonly replica: Replica;
  /** Takes a chunk of t+1, a view of the place where it belongs. */
  readonly stage: (step: number, chunk: number, bytes: Uint8Array) => void;
  /** Hash of t+1 once all its chunks were staged. */
  readonly stagedHash: () => string;
}

/** A computed node, kept until the step is over: its chunks may have to be sent to somebody else. */
interface HeldNode {
  readonly node: TreeNode;
  readonly result: NodeResult;
  /** By chunk, packed: views of the result's buffer. */
  readonly chunks: readonly Uint8Array[];
  unflushed: number;
}

/** Who adds up the chunks that nobody else does. */
const coordinator = "";

/**
 * One step of a worker that exchanges sums with others: sends every chunk of its nodes to the chunk's owner, adds up the
 * chunks that it owns, in the canonical tree, hands them to all, and applies the update itself once it has them all.
 */
export class MeshStep {
  readonly round: number;
  readonly #parts: MeshStepParts;
  readonly #exchange: Exchange;
  readonly #packing: SumsPacking;
  readonly #reduction: Reduction;
  readonly #nodes: ReadonlySet<string>;
  /** By chunk. */
  readonly #owners: string[];
  readonly #window: ChunkRange;
  readonly #update: StepUpdate;
  readonly #sums: ReducedSums;
  readonly #have: Uint8Array;
  readonly #held: HeldNode[] = [];
  readonly #giveReduction: () => void;
  /** Chunks that were added up here and are being sent. */
  #unflushed = 0;
  #missing: number;
  #isDivisorKnown = false;
  /** t+1 comes from the coordinator: it is not applied here. */
  #isSettled = false;
  #isOver = false;

  constructor(parts: MeshStepParts, exchange: Exchange) {
    const { memory, welcome, replica, stage } = parts;
    const { sumsFloats, chunkFloats, rounding, seed } = welcome;
    this.#parts = parts;
    this.#exchange = exchange;
    this.round = exchange.round;
    this.#packing = new SumsPacking(rounding, memory);
    const { reduction, give } = memory.takeReduction({ sumsFloats, chunkFloats, rounding, seed });
    this.#reduction = reduction;
    this.#giveReduction = give;
    const { chunks } = this.#reduction;
    this.#owners = new Array<string>(chunks).fill(coordinator);
    for (const { worker, first, end } of exchange.owners) this.#owners.fill(worker, first, end);
    this.#window = exchange.owners.find(({ worker }) => worker === welcome.worker) ?? { first: 0, end: 0 };
    this.#nodes = new Set(exchange.nodes.map(nodeKey));
    this.#have = new Uint8Array(chunks);
    this.#missing = chunks;
    this.#sums = {
      chunkFloats,
      sums: memory.block("reduced sums", sumsFloats * 4),
      range: (chunk) => reduction.range(chunk),
    };
    this.#update = new StepUpdate({
      kernels: memory.kernels,
      arena: memory.arena,
      layout: replica.layout,
      optimizer: replica.optimizer,
      plateau: exchange.plateau,
      generations: replica,
      reduction: this.#sums,
      normBlockFloats: replica.normBlockFloats,
      statistics: replica.statistics,
      samples: exchange.samples,
      needsHash: () => false, // they are hashed where they are staged
      hashScratch: 0,
      send: (chunk, address, bytes) => stage(exchange.step + 1, chunk, memory.arena.bytes(address, bytes)),
    });
    reduction.begin(exchange.step, exchange.shards, exchange.nodes, (chunk) => this.#reduced(chunk), this.#window);
  }

  /** A node that was computed here. Its buffer is given back when the step is over and nothing of it is being sent. */
  hold(node: TreeNode, result: NodeResult): void {
    const chunks = Array.from(this.#owners, (_, chunk) => {
      const { begin, end } = this.#reduction.range(chunk);
      return this.#packing.packInPlace(node, result.sums, begin, end);
    });
    const held: HeldNode = { node, result, chunks, unflushed: 0 };
    this.#held.push(held);
    // Everybody begins behind the own chunks, so that not all send to the same owner first.
    for (let i = 0; i < chunks.length; i++) this.#hand(held, (this.#window.end + i) % chunks.length);
  }

  /** A chunk of another worker's node. Throws PROTOCOL for a node that the step does not have. */
  contribution(node: TreeNode, chunk: number, bytes: Uint8Array): void {
    if (this.#isOver || chunk < this.#window.first || chunk >= this.#window.end) return;
    if (!this.#nodes.has(nodeKey(node)))
      throw new TuttiError("PROTOCOL", `sums of node ${nodeKey(node)}, which step ${this.#exchange.step + 1} has not`);
    if (this.#reduction.has(node, chunk)) return;
    checkBytes(bytes, this.#reduction.chunkBytes(node, chunk));
    this.#reduction.deliver(node, chunk, bytes);
  }

  /** A chunk of the whole step's sums, from its owner or the coordinator. */
  reduced(chunk: number, bytes: Uint8Array): void {
    if (this.#isOver || this.#have[chunk] !== 0) return;
    checkBytes(bytes, this.#packing.bytes(this.#root, ...this.#ends(chunk)));
    this.#packing.unpack(this.#root, bytes, this.#sums.sums, ...this.#ends(chunk));
    this.#take(chunk);
  }

  /** The step's sum of sample weights, as float32. */
  divisorKnown(divisor: number): void {
    if (this.#isOver || this.#isDivisorKnown) return;
    this.#isDivisorKnown = true;
    if (!this.#isSettled) this.#update.divisorKnown(divisor);
    this.#finishIfWhole();
  }

  /** From now on the coordinator adds up these chunks. */
  reown(ranges: readonly ChunkRange[]): void {
    if (this.#isOver) return;
    for (const { first, end } of ranges) {
      for (let chunk = first; chunk < Math.min(end, this.#owners.length); chunk++) {
        if (this.#owners[chunk] === coordinator) continue;
        this.#owners[chunk] = coordinator;
        for (const held of this.#held) this.#hand(held, chunk);
      }
    }
  }

  /** t+1 comes from the coordinator: this worker only still hands over what it has computed. */
  withdraw(): void {
    this.#isSettled = true;
  }

  /** True if t+1 was staged here, whole. */
  get isApplied(): boolean {
    return this.#isDivisorKnown && this.#missing === 0 && !this.#isSettled;
  }

  /** The step was committed or given up. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const held of this.#held) if (held.unflushed === 0) held.result.release();
    if (this.#unflushed === 0) this.#giveReduction();
  }

  get #root(): TreeNode {
    return { lo: 0, hi: this.#exchange.shards };
  }

  #ends(chunk: number): [begin: number, end: number] {
    const { begin, end } = this.#reduction.range(chunk);
    return [begin, end];
  }

  #hand(held: HeldNode, chunk: number): void {
    const { connection, links, welcome } = this.#parts;
    const { generation, round, step } = this.#exchange;
    const owner = this.#owners[chunk]!;
    const payload = held.chunks[chunk]!;
    if (owner === welcome.worker) {
      this.contribution(held.node, chunk, payload);
      return;
    }
    const position = { generation, round, step, ...held.node, chunk, payloadBytes: payload.byteLength };
    held.unflushed++;
    const flushed = (): void => {
      held.unflushed--;
      if (this.#isOver && held.unflushed === 0) held.result.release();
    };
    if (owner === coordinator) connection.send({ type: "partial", ...position }, payload, flushed);
    // Without a link the coordinator has been told, and will have the chunk sent to itself.
    else if (!links.send(owner, { type: "contribution", ...position }, payload, flushed)) flushed();
  }

  /** A chunk that this worker owns is added up: hands it to everybody. */
  #reduced(chunk: number): void {
    if (this.#isOver) return;
    const { connection, links, memory, welcome } = this.#parts;
    const { generation, round, step, owners } = this.#exchange;
    const payload = this.#reduction.reducedBytes(chunk);
    const message = { type: "reduced", generation, round, step, chunk, payloadBytes: payload.byteLength } as const;
    const flushed = (): void => {
      if (--this.#unflushed === 0 && this.#isOver) this.#giveReduction();
    };
    for (const { worker } of owners) {
      if (worker === welcome.worker) continue;
      this.#unflushed++;
      if (!links.send(worker, message, payload, flushed)) flushed();
    }
    this.#unflushed++;
    connection.send(message, payload, flushed);
    if (this.#have[chunk] !== 0) return;
    const [begin, end] = this.#ends(chunk);
    memory.kernels.copy(this.#sums.sums + begin * 4, this.#reduction.sums + begin * 4, end - begin);
    this.#take(chunk);
  }

  #take(chunk: number): void {
    this.#have[chunk] = 1;
    this.#missing--;
    if (!this.#isSettled) this.#update.chunkReduced(chunk);
    this.#finishIfWhole();
  }

  #finishIfWhole(): void {
    if (!this.isApplied) return;
    const { connection, stagedHash } = this.#parts;
    const { generation, round, step } = this.#exchange;
    let hash = "";
    try {
      this.#update.finish();
      hash = stagedHash();
    } catch (error) {
      if (!isTuttiError(error) || error.code !== "NON_FINITE") throw error; // the coordinator finds the same, and decides
    }
    connection.send({ type: "applied", generation, round, step, hash });
  }
}

function checkBytes(bytes: Uint8Array, expected: number): void {
  if (bytes.byteLength !== expected)
    throw new TuttiError("PROTOCOL", `a chunk of ${bytes.byteLength} bytes, expected ${expected}`);
}
