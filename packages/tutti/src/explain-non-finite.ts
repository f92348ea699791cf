import type { StateView } from "@tutti/coordinator";
import { inlineLane } from "@tutti/core/engine";
import { isTuttiError, TuttiError } from "@tutti/core/errors";
import { Arena } from "@tutti/core/memory";
import type { RunDefinition } from "@tutti/core/run";
import { prepareRun } from "./prepare-run.ts";

/** Samples named in the message; all are in the details. */
const namedSamples = 8;

/**
 * Finds which samples make a step's loss or gradient NaN or infinite, by computing each of them alone from the
 * parameters the step began with. Returns the error with the answer added; any other error as it is.
 */
export async function explainNonFinite(
  error: unknown,
  definition: RunDefinition,
  baseDirectory: string,
  state: StateView,
): Promise<unknown> {
  if (!isTuttiError(error) || error.code !== "NON_FINITE") return error;
  let explanation: { readonly text: string; readonly rows: readonly number[] };
  try {
    explanation = await computeAlone(definition, baseDirectory, state);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    explanation = { text: `The samples could not be computed one by one: ${reason}`, rows: [] };
  }
  const details = { ...error.details, rows: explanation.rows };
  return new TuttiError("NON_FINITE", `${error.message}. ${explanation.text}`, details, { cause: error });
}

async function computeAlone(
  definition: RunDefinition,
  baseDirectory: string,
  { step, parameters }: StateView,
): Promise<{ text: string; rows: readonly number[] }> {
  const whole = await prepareRun(definition, baseDirectory);
  const { samples } = whole.compiled.plan.at(step);
  await whole.close();
  const single = await prepareRun(definition, baseDirectory, {
    shards: whole.compiled.plan.batchSize,
  });
  const arena = new Arena();
  const lane = await inlineLane({ arena });
  try {
    const { compiled, run } = single;
    await Promise.all(run.programs.filter(({ mode }) => mode === "train").map((program) => lane.load(program)));
    const address = arena.allocate(parameters.byteLength);
    arena.floats(address, parameters.length).set(parameters);
    const batch = await run.batches.read(step);
    const planned = compiled.plan.at(step);
    const rows: number[] = [];
    for (const [shard, { program, bytes, firstPosition }] of batch.shards.entries()) {
      const columns = arena.allocate(Math.max(64, bytes.byteLength));
      arena.bytes(columns, bytes.byteLength).set(bytes);
      const input = { programId: program, columns, firstPosition };
      const result = await lane.compute({
        node: { lo: shard, hi: shard + 1 },
        shards: new Map([[shard, input]]),
        parameters: address,
        generation: 1,
        seed: run.seed,
        step,
      });
      const sums = arena.floats(result.sums, compiled.updated.totalFloats);
      if (!result.scalars.every(Number.isFinite) || !sums.every(Number.isFinite)) {
        rows.push(compiled.plan.row(planned.epoch, planned.firstPosition + firstPosition));
      }
      result.release();
    }
    if (rows.length === 0) return { text: `None of the ${samples} samples is alone responsible`, rows };
    const named = rows.slice(0, namedSamples).map((row) => {
      const place = single.trainTable?.locate(row);
      return place === undefined ? row : `${place.file} row ${place.row}`;
    });
    const more = rows.length > namedSamples ? ` and ${rows.length - namedSamples} more` : "";
    return {
      text: `Alone, these rows of the training data give it: ${named.join(", ")}${more}`,
      rows,
    };
  } finally {
    await lane.close();
    await single.close();
  }
}
