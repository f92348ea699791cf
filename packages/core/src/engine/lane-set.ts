import { TuttiError } from "../errors/index.ts";
import type { Arena } from "../memory/index.ts";
import type { ShardProgram } from "../step/shard-program.ts";
import type { TreeNode } from "../step/tree.ts";
import { type Block, BufferPool } from "./buffer-pool.ts";
import type { Lane } from "./lane.ts";
import type { Lanes, NodeResult, NodeTask } from "./lanes.ts";
import type { NearLane } from "./near-lane.ts";
import { type EngineFailure, failureOf, type Piece, type PieceOutcome } from "./piece.ts";
import type { ShortNode } from "./short-node.ts";
import type { ShortNodes } from "./short-nodes.ts";
import { type ProgramBuffers, programBuffers, TaskPlan } from "./task-plan.ts";

/** A piece that waits for a lane. */
interface Waiting {
  readonly plan: TaskPlan;
  /** Called when a lane is free: only then are the lane's own buffers taken. */
  readonly make: () => { readonly piece: Piece; readonly scratch: readonly Block[] };
  readonly finish: (outcome: PieceOutcome) => void;
}

/** Waking a thread and being woken by it takes 0.1 ms, more on busy machines: less work than this is not split. */
const leastLaneMs = 0.25;

/** The calling thread computes shards of at most this length, where it has a lane: its event loop waits for one at a time. */
const mostNearMs = 10;

/** By how much the next run of a shard may be slower without that being taken for its length: machines stutter. */
const slowing = 1.05;

/** Deals pieces to lanes: a lane that becomes free takes the piece that has waited longest. */
export class LaneSet implements Lanes {
  readonly count: number;
  readonly #arena: Arena;
  readonly #lanes: readonly Lane[];
  readonly #idle: Lane[];
  readonly #pool: BufferPool;
  readonly #loading = new Map<string, Promise<void>>();
  readonly #near: NearLane | undefined;
  readonly #short: ShortNodes | undefined;
  readonly #programs = new Map<string, ProgramBuffers>();
  readonly #loaded = new Map<string, ShardProgram>();
  /** How long a shard takes, by program, as far as is known. */
  readonly #shardMs = new Map<string, number>();
  readonly #underWay = new Set<Promise<unknown>>();
  #waiting: Waiting[] = [];
  #closed: Promise<void> | undefined;

  constructor(arena: Arena, lanes: readonly Lane[], near?: NearLane, short?: ShortNodes) {
    this.#near = near;
    this.#short = short;
    this.count = lanes.length;
    this.#arena = arena;
    this.#lanes = lanes;
    this.#idle = [...lanes];
    this.#pool = new BufferPool(arena);
  }

  load(program: ShardProgram): Promise<void> {
    const known = this.#loading.get(program.id);
    if (known !== undefined) return known;
    const loading = this.#track(this.#loadEverywhere(program));
    this.#loading.set(program.id, loading);
    loading.catch(() => this.#loading.delete(program.id));
    return loading;
  }

  compute(task: NodeTask): Promise<NodeResult> {
    const short = this.#short?.for(task);
    return short === undefined ? this.#track(this.#compute(task)) : this.#computeShort(short, task);
  }

  close(): Promise<void> {
    this.#closed ??= this.#drainAndClose();
    return this.#closed;
  }

  async #loadEverywhere(program: ShardProgram): Promise<void> {
    this.#refuseWhenClosed();
    const buffers = programBuffers(program);
    const loads = await Promise.allSettled(this.#lanes.map((lane) => lane.load(program)));
    for (const load of loads) if (load.status === "rejected") throw load.reason;
    this.#programs.set(program.id, buffers);
    this.#loaded.set(program.id, program);
  }

  async #computeShort(short: ShortNode, task: NodeTask): Promise<NodeResult> {
    this.#refuseWhenClosed();
    const turn = this.#short?.turn();
    return turn === undefined ? short.run(task) : this.#track(turn.then(() => short.run(task)));
  }

  async #compute(task: NodeTask): Promise<NodeResult> {
    this.#refuseWhenClosed();
    task.abort?.throwIfAborted();
    const plan = new TaskPlan(task, this.#lanesFor(task), this.#arena, this.#pool, this.#programs);
    const abort = (): void => this.#cancel(plan);
    task.abort?.addEventListener("abort", abort, { once: true });
    const startMs = performance.now();
    const outcomes = await this.#run(task, plan);
    const computeMs = performance.now() - startMs;
    task.abort?.removeEventListener("abort", abort);

    const scalars = plan.readScalars();
    plan.releaseInner();
    const failure = outcomes.find((outcome): outcome is EngineFailure => outcome.status === "failed");
    if (failure !== undefined || task.abort?.aborted === true) {
      plan.releaseResults();
      if (failure !== undefined) throw new TuttiError(failure.code, failure.message, failure.details);
      throw task.abort?.reason;
    }
    let released = false;
    const release = (): void => {
      if (!released) plan.releaseResults();
      released = true;
    };
    const result = { sums: plan.sums, scalars, collects: plan.collects, computeMs, release };
    this.#observe(task, result);
    return result;
  }

  #observe(task: NodeTask, result: NodeResult): void {
    const programId = task.shards.get(task.node.lo)?.programId ?? "";
    const program = this.#loaded.get(programId);
    const shardMs = this.#shardMs.get(programId);
    if (program !== undefined && shardMs !== undefined)
      this.#short?.observe(task, program, shardMs, this.#pool, result);
  }

  /** The last piece here, where there is a lane for it: its thread need not be woken, and those of the others are before. */
  #run(task: NodeTask, plan: TaskPlan): Promise<readonly PieceOutcome[]> {
    const near = plan.pieces.length > this.count ? undefined : this.#nearFor(task);
    const queued = near === undefined ? plan.pieces : plan.pieces.slice(0, -1);
    const outcomes = queued.map((node) => this.#queue(plan, () => plan.piece(node)));
    const last = plan.pieces.at(-1);
    if (near !== undefined && last !== undefined) outcomes.push(this.#runNear(near, plan, last));
    return Promise.all(outcomes);
  }

  async #runNear(near: NearLane, plan: TaskPlan, node: TreeNode): Promise<PieceOutcome> {
    const outcome = await near.run((lane) => this.#runPiece(lane, () => plan.piece(node))).catch(failureOf);
    if (outcome.status === "failed") this.#cancel(plan);
    return outcome;
  }

  /** Undefined where the task's shards are too large, or not to be computed here. */
  #nearFor(task: NodeTask): NearLane | undefined {
    if (this.#near === undefined) return undefined;
    const ids = new Set([...task.shards.values()].map(({ programId }) => programId));
    for (const id of ids) if ((this.#shardMs.get(id) ?? Number.POSITIVE_INFINITY) > mostNearMs) return undefined;
    return this.#near.isReady([...ids].flatMap((id) => this.#loaded.get(id) ?? [])) ? this.#near : undefined;
  }

  #queue(plan: TaskPlan, make: Waiting["make"]): Promise<PieceOutcome> {
    return new Promise((finish) => {
      this.#waiting.push({ plan, make, finish });
      this.#deal();
    });
  }

  #deal(): void {
    while (this.#waiting.length > 0) {
      const lane = this.#idle.pop();
      if (lane === undefined) return;
      const next = this.#waiting.shift();
      if (next !== undefined) void this.#runOn(lane, next);
    }
  }

  async #runOn(lane: Lane, { plan, make, finish }: Waiting): Promise<void> {
    const outcome = await this.#runPiece(lane, make).catch(failureOf);
    this.#idle.push(lane);
    if (outcome.status === "failed") this.#cancel(plan); // the other pieces would be thrown away
    finish(outcome);
    this.#deal();
  }

  async #runPiece(lane: Lane, make: Waiting["make"]): Promise<PieceOutcome> {
    const { piece, scratch } = make();
    const outcome = await lane.run(piece);
    this.#pool.giveBack(scratch);
    if (outcome.status === "done") {
      const shardMs = outcome.busyMs / piece.shards.length;
      for (const id of new Set(piece.shards.map(({ programId }) => programId))) {
        const before = this.#shardMs.get(id) ?? Number.POSITIVE_INFINITY;
        this.#shardMs.set(id, Math.min(shardMs, slowing * before));
      }
    }
    return outcome;
  }

  /** As many lanes as have work worth waking a thread for, as far as is known; the bits do not depend on it. */
  #lanesFor(task: NodeTask): number {
    return Math.max(1, Math.min(this.count, Math.floor(this.#workMs(task) / leastLaneMs)));
  }

  /** What the task takes on one lane; infinite the first time. */
  #workMs({ node, shards }: NodeTask): number {
    let workMs = 0;
    for (let shard = node.lo; shard < node.hi; shard++) {
      workMs += this.#shardMs.get(shards.get(shard)?.programId ?? "") ?? Number.POSITIVE_INFINITY;
    }
    return workMs;
  }

  /** Pieces that wait are dropped; those that run stop before their next shard. */
  #cancel(plan: TaskPlan): void {
    plan.cancel();
    const dropped = this.#waiting.filter((waiting) => waiting.plan === plan);
    this.#waiting = this.#waiting.filter((waiting) => waiting.plan !== plan);
    for (const { finish } of dropped) finish({ status: "cancelled" });
  }

  async #drainAndClose(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
    await Promise.all([...this.#lanes, ...(this.#near === undefined ? [] : [this.#near])].map((lane) => lane.close()));
    this.#short?.close();
  }

  #track<Result>(work: Promise<Result>): Promise<Result> {
    this.#underWay.add(work);
    const forget = (): void => {
      this.#underWay.delete(work);
    };
    work.then(forget, forget);
    return work;
  }

  #refuseWhenClosed(): void {
    if (this.#closed !== undefined)
      throw new TuttiError("INTERNAL", "lanes were asked to compute after they were closed");
  }
}
