import { nonNegative, oneOf, positiveCount, readOptions, refuse, text } from "./options.ts";

/** When to end a run whose metric no longer gets better, as keras.callbacks.EarlyStopping. Plain JSON data. */
export interface EarlyStopping {
  /** "loss" or the name of a metric, over the validation data; default "loss". */
  readonly metric: string;
  /** "min" (default): smaller is better. */
  readonly mode: "min" | "max";
  /** Validations without improvement, one after the other, at which the run ends; default 10. */
  readonly patience: number;
  /** How much better than the best value counts as better; default 0. */
  readonly minDelta: number;
}

/** Plain JSON data, part of a checkpoint. */
export interface EarlyStoppingState {
  /** Best value so far; null before the first. */
  readonly best: number | null;
  readonly badCount: number;
  /** Whether the run should end now. */
  readonly isOver: boolean;
}

/** Throws TuttiError BAD_OPTION. */
export function earlyStopping(options: Partial<EarlyStopping> = {}): EarlyStopping {
  return checkEarlyStopping("earlyStopping", options);
}

/** Checks data that may come from anywhere; `where` names it in the error. Throws TuttiError BAD_OPTION. */
export function checkEarlyStopping(where: string, found: unknown): EarlyStopping {
  if (typeof found !== "object" || found === null) return refuse(where, "an object of options", found);
  return readOptions<EarlyStopping>(
    where,
    { metric: "loss", mode: "min", patience: 10, minDelta: 0, ...found },
    { metric: text, mode: oneOf("min", "max"), patience: positiveCount, minDelta: nonNegative },
  );
}

export const initialEarlyStopping: EarlyStoppingState = Object.freeze({ best: null, badCount: 0, isOver: false });

/** The state after a validation. A value that is not finite is no improvement. Pure. */
export function nextEarlyStopping(
  { mode, patience, minDelta }: EarlyStopping,
  state: EarlyStoppingState,
  value: number,
): EarlyStoppingState {
  const isBetter =
    Number.isFinite(value) &&
    (state.best === null || (mode === "min" ? value < state.best - minDelta : value > state.best + minDelta));
  const badCount = isBetter ? 0 : state.badCount + 1;
  return { best: isBetter ? value : state.best, badCount, isOver: badCount >= patience };
}
