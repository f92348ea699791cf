import { createHash } from "node:crypto";
import type { Lanes, NodeResult, ShardInput } from "@tutti/core/engine";
import { packedColumns } from "@tutti/core/engine";
import { Arena } from "@tutti/core/memory";
import { randomStream } from "@tutti/core/random";
import type { ShardProgram, TreeNode } from "@tutti/core/step";

/** One step of a classifier in an arena of its own: parameters and the packed batch data of every shard. */
export interface ClassifierStep {
  readonly arena: Arena;
  readonly parameters: number;
  readonly shards: ReadonlyMap<number, ShardInput>;
  /** The program of each shard, in order. */
  readonly programs: readonly ShardProgram[];
}

export function classifierStep(programs: readonly ShardProgram[], arena = new Arena()): ClassifierStep {
  const parameters = arena.allocate(4 * 65_536);
  for (const { name, offset, length } of programs[0]?.parameters ?? []) {
    randomStream(1, name).fillUniform(arena.floats(parameters + 4 * offset, length), -0.5, 0.5);
  }
  const inputs = programs.map((program, shard) => ({
    programId: program.id,
    columns: placeColumns(arena, program, shard),
    firstPosition: shard * program.samples,
  }));
  return { arena, parameters, shards: new Map(inputs.entries()), programs };
}

/** Random pixels and labels for one shard, packed in a new block. */
export function placeColumns(arena: Arena, program: ShardProgram, shard: number, address?: number): number {
  const { offsets, totalBytes } = packedColumns(program);
  const at = address ?? arena.allocate(totalBytes);
  const [pixels = 0, labels = 0] = offsets;
  const stream = randomStream(2, "columns", shard);
  const width = program.columns[0]?.shape[1] ?? 0;
  for (let i = 0; i < program.samples * width; i++)
    arena.bytes(at + pixels, program.samples * width)[i] = stream.uint32At(i) % 256;
  const classes = program.parameters.at(-1)?.length ?? 1;
  const label = new BigInt64Array(arena.memory.buffer, at + labels, program.samples);
  for (let i = 0; i < program.samples; i++) label[i] = BigInt(stream.uint32At(1_000_000 + i) % classes);
  return at;
}

/** Loads the step's programs and computes `node`, by default all shards. */
export async function compute(
  lanes: Lanes,
  step: ClassifierStep,
  node?: TreeNode,
  generation = 0,
): Promise<NodeResult> {
  await Promise.all(step.programs.map((program) => lanes.load(program)));
  const { parameters, shards } = step;
  const where = { node: node ?? { lo: 0, hi: shards.size }, shards, parameters, generation };
  return lanes.compute({ ...where, seed: 1, step: generation });
}

/** SHA-256 of the sums and scalars. */
export function bitsOf(step: ClassifierStep, result: NodeResult): string {
  const floats = step.programs[0]?.sumsFloats ?? 0;
  const sums = step.arena.bytes(result.sums, 4 * floats);
  const { buffer, byteOffset, byteLength } = result.scalars;
  return createHash("sha256")
    .update(sums)
    .update(new Uint8Array(buffer, byteOffset, byteLength))
    .digest("hex");
}
