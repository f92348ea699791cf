import {
  type EarlyStoppingState,
  initialEarlyStopping,
  initialPlateau,
  nextEarlyStopping,
  nextPlateau,
  type PlateauState,
} from "@tutti/core/optim";
import type { TrainingRun } from "./training-run.ts";
import type { Validation } from "./validator.ts";

/** What the validations so far decide about the steps to come. Plain JSON data, part of a checkpoint. */
export interface Progress {
  readonly plateau: PlateauState;
  readonly earlyStopping: EarlyStoppingState;
}

export const initialProgress: Progress = Object.freeze({
  plateau: initialPlateau,
  earlyStopping: initialEarlyStopping,
});

/** The progress after a validation. Pure. */
export function nextProgress(
  progress: Progress,
  { optimizer, earlyStopping }: Pick<TrainingRun, "optimizer" | "earlyStopping">,
  validation: Validation,
): Progress {
  const { reduceOnPlateau } = optimizer;
  const value = (metric: string): number => validation[metric] ?? Number.NaN;
  return {
    plateau:
      reduceOnPlateau === null
        ? progress.plateau
        : nextPlateau(reduceOnPlateau, progress.plateau, value(reduceOnPlateau.metric)),
    earlyStopping:
      earlyStopping === null
        ? progress.earlyStopping
        : nextEarlyStopping(earlyStopping, progress.earlyStopping, value(earlyStopping.metric)),
  };
}
