import type { BatchPlan, Dataset } from "../data/index.ts";
import { TuttiError } from "../errors/index.ts";
import { augmentationProblem, type ProgramAugmentation } from "../step/augmentation.ts";
import type { ProgramColumn } from "../step/index.ts";
import { suggestion } from "./nearest.ts";
import type { PlainDefinition } from "./plain.ts";

/** The run's changes of training samples, checked against the columns; undefined without any. Throws BAD_OPTION. */
export function programAugmentation(
  { augment }: PlainDefinition,
  { columns, sequences }: Dataset,
  { stepsPerEpoch, batchSize }: BatchPlan,
): ProgramAugmentation | undefined {
  const wanted = Object.entries(augment).filter(([, changes]) => changes.length > 0);
  if (wanted.length === 0) return undefined;
  for (const [name, changes] of wanted) {
    const type = Object.hasOwn(columns, name) ? columns[name] : undefined;
    if (type === undefined)
      throw new TuttiError("BAD_OPTION", `augment.${name}: no such column; ${suggestion(name, Object.keys(columns))}`);
    if (sequences !== undefined && Object.hasOwn(columns, `${name}_mask`)) {
      throw new TuttiError("BAD_OPTION", `augment.${name}: not for sequences of different lengths`);
    }
    for (const [place, change] of changes.entries()) {
      const problem = augmentationProblem(change, type);
      if (problem !== undefined) throw new TuttiError("BAD_OPTION", `augment.${name}.${place}: ${problem}`);
    }
  }
  return { stepsPerEpoch, batchSize, columns: wanted.map(([column, changes]) => ({ column, changes })) };
}

/** Throws BAD_OPTION where noise would change labels or indices. */
export function checkAugmented(augmentation: ProgramAugmentation | undefined, columns: readonly ProgramColumn[]): void {
  for (const { column, changes } of augmentation?.columns ?? []) {
    const isIndex = columns.some(({ name, range }) => name === column && range !== undefined);
    if (!isIndex || !changes.some(({ kind }) => kind === "noise")) continue;
    throw new TuttiError("BAD_OPTION", `augment.${column}: the step function uses it as an index: noise is not for it`);
  }
}
