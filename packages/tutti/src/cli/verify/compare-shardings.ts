import { inlineLane } from "@tutti/core/engine";
import { TuttiError } from "@tutti/core/errors";
import { Arena } from "@tutti/core/memory";
import type { RunDefinition } from "@tutti/core/run";
import { type PreparedRun, prepareRun } from "../../prepare-run.ts";
import { freshStart } from "../../starting-point.ts";

/** How much the first gradient depends on how its batch is cut. */
export interface ShardingComparison {
  readonly shards: readonly [number, number];
  /** ‖difference‖/‖gradient‖ of the parameter where it is largest. */
  readonly relative: number;
  readonly parameter: string;
  /** Scopes in which the step function joins samples of a shard by `nn.perShard`; only then may the gradients differ. */
  readonly perShard: readonly string[];
}

/** Rounding differs between shardings, and by far less than this. */
const tolerance = 1e-4;
/** A parameter whose gradient is this small a part of the whole is measured against the whole: it may be all rounding. */
const negligible = 1e-3;

/**
 * Compares the first gradient at the run's own number of shards with that at one (at two, if its own is one): a step
 * function that is a sum over samples gives the same. Undefined for batches of a single sample.
 *
 * @throws TuttiError MIXES_SAMPLES if they differ by more than rounding and the step function does not declare it.
 */
export async function compareShardings(
  definition: RunDefinition,
  baseDirectory: string,
): Promise<ShardingComparison | undefined> {
  const own = await prepareRun(definition, baseDirectory);
  try {
    const { shards, plan, trainable, perShard } = own.compiled;
    if (plan.batchSize === 1) return undefined;
    const other = await prepareRun(definition, baseDirectory, { shards: shards === 1 ? 2 : 1 });
    try {
      const [a, b] = [await firstGradient(own), await firstGradient(other)];
      const comparison = {
        shards: [shards, other.compiled.shards] as const,
        ...largestDifference(trainable.entries, a, b),
        perShard,
      };
      if (!mixesSamples(comparison) || perShard.length > 0) return comparison;
      throw new TuttiError(
        "MIXES_SAMPLES",
        `the step function mixes samples: the first gradient of ${comparison.parameter} differs by ${comparison.relative.toExponential(1)} of its size between ${shards} shards and ${other.compiled.shards}, expected at most ${tolerance}. The result would depend on \`shards\`; look for a mean or sum over the batch in the step function`,
      );
    } finally {
      await other.close();
    }
  } finally {
    await own.close();
  }
}

export function mixesSamples({ relative }: ShardingComparison): boolean {
  return !(relative <= tolerance);
}

/** Mean gradient of the first batch at the initial parameters, flat. */
async function firstGradient({ compiled, run }: PreparedRun): Promise<Float64Array> {
  const arena = new Arena();
  const lanes = await inlineLane({ arena });
  try {
    const batch = await run.batches.read(0);
    for (const program of compiled.training.programs.values()) await lanes.load(program);
    const start = freshStart(compiled);
    const parameters = arena.allocate(4 * compiled.layout.totalFloats);
    arena.floats(parameters, start.parameters.length).set(start.parameters);
    const shards = new Map(
      batch.shards.map(({ program, firstPosition, bytes }, shard) => {
        const columns = arena.allocate(Math.max(64, bytes.byteLength));
        arena.bytes(columns, bytes.byteLength).set(bytes);
        return [shard, { programId: program, columns, firstPosition }] as const;
      }),
    );
    const task = { node: { lo: 0, hi: batch.shards.length }, shards, parameters, generation: 1 };
    const result = await lanes.compute({ ...task, seed: run.seed, step: 0 });
    const rowLength = result.scalars.length / batch.shards.length;
    let weight = 0;
    for (let shard = 0; shard < batch.shards.length; shard++) weight += result.scalars[shard * rowLength + 1]!;
    const gradient = Float64Array.from(
      arena.floats(result.sums, compiled.trainable.totalFloats),
      (sum) => sum / weight,
    );
    result.release();
    return gradient;
  } finally {
    await lanes.close();
  }
}

function largestDifference(
  entries: readonly { readonly name: string; readonly offset: number; readonly length: number }[],
  a: Float64Array,
  b: Float64Array,
): { relative: number; parameter: string } {
  const whole = norm(a, 0, a.length);
  let worst = { relative: 0, parameter: entries[0]?.name ?? "" };
  for (const { name, offset, length } of entries) {
    const difference = Float64Array.from({ length }, (_, i) => a[offset + i]! - b[offset + i]!);
    const size = Math.max(norm(a, offset, length), negligible * whole);
    const relative = size === 0 ? 0 : norm(difference, 0, length) / size;
    if (!(relative <= worst.relative)) worst = { relative, parameter: name };
  }
  return worst;
}

function norm(values: Float64Array, offset: number, length: number): number {
  let sum = 0;
  for (let i = offset; i < offset + length; i++) sum += values[i]! ** 2;
  return Math.sqrt(sum);
}
