import { createHash } from "node:crypto";
import { type ComputeMemory, drawUniform } from "../kernels/index.ts";
import { randomWords } from "../random/index.ts";
import type { ShardProgram } from "../step/shard-program.ts";
import { canonicalBytes } from "./canonical-bytes.ts";
import { engineName } from "./engine-choice.ts";
import type { Lanes } from "./lanes.ts";
import { elementsOf, packedCollects } from "./packed-tensors.ts";
import { sharedMemory } from "./tensor-memory.ts";

/** What the canary computes: the run's own programs, loaded in the lanes, each on one given batch of data. */
export interface Canary {
  readonly lanes: Lanes;
  readonly memory: ComputeMemory;
  readonly programs: readonly CanaryProgram[];
  /** A flat parameter buffer that the canary may overwrite. */
  readonly parameters: number;
  /** As in a NodeTask; the buffer must be given a new one afterwards. */
  readonly generation: number;
}

export interface CanaryProgram {
  readonly program: ShardProgram;
  /** Address of a block packed as `packedColumns` says. */
  readonly columns: number;
}

/**
 * SHA-256 (hex) of the engine's build and version and of all that the programs give on parameters drawn from Philox, uniform in
 * [−0.1, 0.1) (buffers, which may be variances: [0, 0.1)) and keyed by name. Two machines of one numeric class compute the same bits; CPU families differ.
 * Throws what `Lanes.compute` throws.
 */
export async function numericClass({ lanes, memory, programs, parameters, generation }: Canary): Promise<string> {
  const hash = createHash("sha256").update(engineName());
  const tensors = sharedMemory(memory.arena.memory);
  const named = new Map(programs.flatMap(({ program }) => program.parameters.map((view) => [view.offset, view])));
  for (const { name, offset, length, isBuffer } of named.values()) {
    const range = { low: isBuffer === true ? 0 : -0.1, high: 0.1 };
    drawUniform(memory, parameters + 4 * offset, length, randomWords(0, "canary", name), range);
  }
  for (const { program, columns } of programs) {
    const shards = new Map([[0, { programId: program.id, columns, firstPosition: 0 }]]);
    const task = { node: { lo: 0, hi: 1 }, shards, parameters, generation, seed: 0, step: 0 };
    const result = await lanes.compute(task);
    const add = (tensor: string, values: ReturnType<typeof tensors.view>) =>
      hash.update(`\n${program.mode} ${program.samples} ${tensor}\n`).update(canonicalBytes(values));
    add(program.scalars.name, result.scalars);
    for (const { name, offset, length } of program.sums) {
      add(name, tensors.view("float32", result.sums + 4 * offset, length));
    }
    const { offsets } = packedCollects(program);
    program.collects.forEach(({ name, dtype, shape }, index) => {
      const address = (result.collects[0] ?? 0) + (offsets[index] ?? 0);
      add(name, tensors.view(dtype, address, elementsOf(shape)));
    });
    result.release();
  }
  return hash.digest("hex");
}
