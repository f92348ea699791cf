import { createKernels } from "../kernels/index.ts";
import type { Arena } from "../memory/index.ts";
import type { ShardProgram } from "../step/shard-program.ts";
import type { BufferPool } from "./buffer-pool.ts";
import type { NodeResult, NodeTask } from "./lanes.ts";
import type { Engine } from "./runtime.ts";
import type { ShortNode } from "./short-node.ts";

/** Of longer shards a call of the engine for each is no great part. */
const mostShardMs = 0.1;

/** Nodes of more shards are computed as others are. */
const mostShards = 8;

/** Compiling a graph takes longer than this many tasks save. */
const patience = 32;

/** Tasks that are computed both ways, with the same bits, before others are computed this way alone. */
const probation = 8;

/** For no longer than this the calling thread's event loop goes without a turn. */
const mostWithoutTurnMs = 2;

/** Nodes of so many shards of one program. */
interface Kind {
  computed: number;
  agreed: number;
  node: ShortNode | undefined;
}

/**
 * Computes nodes of a few tiny shards in the calling thread, with one call of the engine for all shards of a node, by a graph that
 * holds the program once for each (`repeatedProgram`). That graph is used once it has given the bits of the lanes for several tasks.
 */
export class ShortNodes {
  readonly #engine: () => Promise<Engine>;
  readonly #arena: Arena;
  readonly #kinds = new Map<string, Map<number, Kind>>();
  #lastTurnMs = 0;
  #isClosed = false;

  constructor(engine: () => Promise<Engine>, arena: Arena) {
    this.#engine = engine;
    this.#arena = arena;
  }

  /** What computes the task, if it can be computed here. */
  for({ node, shards, rounding, abort }: NodeTask): ShortNode | undefined {
    const programId = shards.get(node.lo)?.programId;
    if (programId === undefined || rounding !== undefined || abort !== undefined) return undefined;
    const kind = this.#kinds.get(programId)?.get(node.hi - node.lo);
    if (kind === undefined || kind.agreed < probation) return undefined;
    return isUniform(shards, node, programId) ? kind.node : undefined;
  }

  /** Lanes have computed the task; the result is not released yet. @param shardMs what a shard takes there. */
  observe(task: NodeTask, program: ShardProgram, shardMs: number, pool: BufferPool, result: NodeResult): void {
    const { node, shards, rounding } = task;
    const count = node.hi - node.lo;
    if (count > mostShards || rounding !== undefined || shardMs > mostShardMs || !isUniform(shards, node, program.id))
      return;
    const kinds = this.#kinds.get(program.id) ?? new Map<number, Kind>();
    this.#kinds.set(program.id, kinds);
    const kind = kinds.get(count) ?? { computed: 0, agreed: 0, node: undefined };
    kinds.set(count, kind);
    if (++kind.computed === patience) this.#load(kind, program, count, pool).catch(() => {}); // lanes have it
    if (kind.node === undefined) return;
    if (agrees(kind.node, task, result)) {
      kind.agreed++;
      return;
    }
    kind.node.close();
    kind.node = undefined; // for good: it is loaded once
  }

  /** A turn of the event loop, if it has had none for a while; undefined if it has. */
  turn(): Promise<void> | undefined {
    if (performance.now() - this.#lastTurnMs < mostWithoutTurnMs) return undefined;
    return new Promise((resolve) => {
      setImmediate(() => {
        this.#lastTurnMs = performance.now();
        resolve();
      });
    });
  }

  close(): void {
    this.#isClosed = true;
    for (const kinds of this.#kinds.values()) for (const { node } of kinds.values()) node?.close();
    this.#kinds.clear();
  }

  async #load(kind: Kind, program: ShardProgram, count: number, pool: BufferPool): Promise<void> {
    const [{ repeatedProgram }, { openCallingSession }, { ShortNode }] = await Promise.all([
      import("./repeated-program.ts"),
      import("./calling-session.ts"),
      import("./short-node.ts"),
    ]);
    const engine = await this.#engine();
    const onnx = repeatedProgram(program, count);
    const session = onnx && !this.#isClosed ? openCallingSession(engine, onnx) : undefined;
    if (session === undefined) return;
    const kernels = createKernels(this.#arena.memory);
    kind.node = new ShortNode(engine, session, program, count, { arena: this.#arena, kernels, pool });
  }
}

/** False, too, where the graph does not run: the task has its result. */
function agrees(node: ShortNode, task: NodeTask, result: NodeResult): boolean {
  try {
    return node.hasBits(task, result);
  } catch {
    return false;
  }
}

function isUniform(shards: NodeTask["shards"], { lo, hi }: NodeTask["node"], programId: string): boolean {
  for (let shard = lo; shard < hi; shard++) if (shards.get(shard)?.programId !== programId) return false;
  return true;
}
