import { TuttiError } from "../errors/index.ts";
import type { Dataset } from "./dataset.ts";
import { scalarColumn } from "./scalar-column.ts";

/** The column that weighs samples, unless the step function returns a weight of its own. */
export const sampleWeightColumn = "weight";

/**
 * Reads the data set's sample weights and refuses what cannot be one.
 *
 * @param where "data.train" or "data.validation", for messages.
 * @throws TuttiError DATA_INVALID naming the row (from 1) for a weight that is negative, NaN or infinite, and where no
 *   weight is positive.
 */
export async function checkSampleWeights(dataset: Dataset, where: string): Promise<void> {
  const weights = await scalarColumn(dataset, sampleWeightColumn);
  for (const [row, weight] of weights.entries()) requireWeight(weight, where, sampleWeightColumn, row);
  if (weights.some((weight) => weight > 0)) return;
  throw new TuttiError(
    "DATA_INVALID",
    `${where}: column "${sampleWeightColumn}": expected weights some of which are positive, found ${weights.length} rows of weight 0`,
    { column: sampleWeightColumn },
  );
}

/** @throws TuttiError DATA_INVALID for a weight that is negative, NaN or infinite. @param row from 0. */
export function requireWeight(weight: number, where: string, column: string, row: number): void {
  if (weight >= 0 && weight < Number.POSITIVE_INFINITY) return;
  throw new TuttiError(
    "DATA_INVALID",
    `${where}: column "${column}", row ${row + 1}: expected a finite weight of at least 0, found ${weight}`,
    { column, row: row + 1, value: weight },
  );
}
