import { isRounded, roundSums } from "@tutti/core/compression";
import type { Lanes, NodeResult, NodeTask } from "@tutti/core/engine";
import { TuttiError } from "@tutti/core/errors";
import type { ComputeMemory } from "@tutti/core/kernels";
import { children, isLeaf, type ShardProgram, type TreeNode } from "@tutti/core/step";
import type { Dice } from "../../packages/tutti/src/chaos/dice.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** Multiplies the time that computing takes; changed by faults. */
export interface Pace {
  factor: number;
  /** The next so many computations fail. */
  failures: number;
  /** The next so many computations find no memory. */
  starved: number;
  /** Called when the next computation begins, if set. */
  onCompute: (() => void) | undefined;
  /** The next so many computations give a wrong number. */
  lies: number;
}

/**
 * A tiny exact stand-in for the engine: for each shard, sums[i] = Σ over rows of (parameters[i] · row + parameters[i + 40]), every
 * operation in float32. It reads the first half of the parameters when it starts and the rest when it ends, so that
 * parameters overwritten meanwhile give other bits.
 */
export class ExactLanes implements Lanes {
  readonly count: number;
  readonly #memory: ComputeMemory;
  readonly #clock: VirtualClock;
  readonly #dice: Dice;
  readonly #pace: Pace;
  readonly #programs = new Map<string, ShardProgram>();
  readonly #free: number[] = [];
  #scratch: number | undefined;

  constructor(count: number, memory: ComputeMemory, clock: VirtualClock, dice: Dice, pace: Pace) {
    this.count = count;
    this.#memory = memory;
    this.#clock = clock;
    this.#dice = dice;
    this.#pace = pace;
  }

  async load(program: ShardProgram): Promise<void> {
    this.#programs.set(program.id, program);
  }

  async compute(task: NodeTask): Promise<NodeResult> {
    const { arena } = this.#memory;
    const { onCompute } = this.#pace;
    this.#pace.onCompute = undefined;
    onCompute?.();
    const programs = [...task.shards.values()].map(({ programId }) => this.#programs.get(programId)!);
    if (programs.length !== task.node.hi - task.node.lo)
      throw new TuttiError("INTERNAL", `rows are missing for node ${task.node.lo}-${task.node.hi}`);
    const length = Math.max(
      ...programs.flatMap(({ parameters }) => parameters.map((view) => view.offset + view.length)),
    );
    const parameters = new Float32Array(length);
    const source = arena.floats(task.parameters, length);
    parameters.set(source.subarray(0, length / 2));
    const startedMs = this.#clock.now();
    const tookMs = this.#pace.factor * (0.2 + this.#dice.uniform() * 4) * (task.node.hi - task.node.lo);
    await new Promise<void>((resolve) => this.#clock.setTimer(tookMs, resolve));
    parameters.set(source.subarray(length / 2), length / 2);
    if (this.#pace.failures > 0) {
      this.#pace.failures--;
      throw new TuttiError("ENGINE_FAILED", "planted engine error");
    }
    if (this.#pace.starved > 0) {
      this.#pace.starved--;
      throw new RangeError("Array buffer allocation failed");
    }
    const shards = [...task.shards].sort(([a], [b]) => a - b);
    const rows = new Map(
      shards.map(([shard, { programId, columns }]) => [
        shard,
        [...arena.floats(columns, this.#programs.get(programId)!.samples)],
      ]),
    );
    const scalars = new Float32Array(2 * shards.length);
    for (const [i, [shard]] of shards.entries()) {
      let loss = 0;
      for (const row of rows.get(shard)!) loss = Math.fround(loss + Math.fround(row * parameters[0]!));
      scalars[2 * i] = loss;
      scalars[2 * i + 1] = rows.get(shard)!.length;
    }
    const isTraining = programs[0]!.mode === "train";
    const lie = this.#pace.lies > 0 && isTraining ? this.#dice.whole(0, length - 1) : -1;
    const address = isTraining ? (this.#free.pop() ?? arena.allocate(length * 4)) : 0;
    if (isTraining) {
      const sums = nodeSums(task.node, parameters, rows, this.#rounder(task));
      arena.floats(address, length).set(sums);
    }
    if (lie >= 0) {
      this.#pace.lies--;
      arena.floats(address, length)[lie]! += 1 + this.#dice.uniform();
    }
    return {
      sums: address,
      scalars,
      collects: [],
      computeMs: this.#clock.now() - startedMs,
      release: () => {
        if (!isTraining) return;
        arena.floats(address, length).fill(Number.NaN); // whoever still reads it is found out
        this.#free.push(address);
      },
    };
  }

  async close(): Promise<void> {}

  #rounder({ rounding, seed, step }: NodeTask): (node: TreeNode, sums: Float32Array) => void {
    const { arena, kernels } = this.#memory;
    return (node, sums) => {
      if (!isRounded(rounding, node)) return;
      this.#scratch ??= arena.allocate(sums.byteLength);
      arena.floats(this.#scratch, sums.length).set(sums);
      roundSums(kernels, rounding, { seed, step, node }, this.#scratch, 0, sums.length);
      sums.set(arena.floats(this.#scratch, sums.length));
    };
  }
}

function nodeSums(
  node: TreeNode,
  parameters: Float32Array,
  rows: ReadonlyMap<number, readonly number[]>,
  round: (node: TreeNode, sums: Float32Array) => void,
): Float32Array {
  const sums = new Float32Array(parameters.length);
  if (isLeaf(node)) {
    for (const row of rows.get(node.lo)!) {
      for (let i = 0; i < sums.length; i++)
        sums[i] = Math.fround(
          sums[i]! + Math.fround(Math.fround(parameters[i]! * row) + parameters[(i + 40) % sums.length]!),
        );
    }
  } else {
    const [left, right] = children(node).map((child) => nodeSums(child, parameters, rows, round));
    for (let i = 0; i < sums.length; i++) sums[i] = Math.fround(left![i]! + right![i]!);
  }
  round(node, sums);
  return sums;
}
