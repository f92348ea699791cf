import { count, fraction, nonNegative, oneOf, readOptions, refuse, text } from "./options.ts";

/**
 * When to lower the rates, as torch.optim.lr_scheduler.ReduceLROnPlateau: each time the metric has failed to get better in
 * more than `patience` validations one after the other, all rates are multiplied by `factor`. Plain JSON data.
 */
export interface ReduceOnPlateau {
  /** "loss" or the name of a metric, over the validation data. */
  readonly metric: string;
  /** "min" (default): smaller is better. */
  readonly mode: "min" | "max";
  /** Default 0.1; below 1. */
  readonly factor: number;
  /** Validations without improvement that are let pass; default 10. */
  readonly patience: number;
  /** How much better counts as better; default 1e-4. */
  readonly threshold: number;
  /** Whether `threshold` is a share of the best value (default) or a difference from it. */
  readonly thresholdMode: "relative" | "absolute";
  /** Validations after a reduction that do not count against `patience`; default 0. */
  readonly cooldown: number;
  /** No rate is lowered below it; default 0. */
  readonly minLr: number;
}

/** What `nextPlateau` has learnt so far. Plain JSON data, part of a checkpoint. */
export interface PlateauState {
  /** What all rates are multiplied by. */
  readonly scale: number;
  /** Best value so far; null before the first. */
  readonly best: number | null;
  /** Validations without improvement, one after the other. */
  readonly badCount: number;
  readonly cooldownLeft: number;
}

const defaults = {
  ...{ metric: "loss", mode: "min", factor: 0.1, patience: 10, threshold: 1e-4 },
  ...{ thresholdMode: "relative", cooldown: 0, minLr: 0 },
} as const;

/** Throws TuttiError BAD_OPTION. */
export function reduceOnPlateau(options: Partial<ReduceOnPlateau> = {}): ReduceOnPlateau {
  return checkPlateau("optim.reduceOnPlateau", options);
}

export function checkPlateau(where: string, found: unknown): ReduceOnPlateau {
  if (typeof found !== "object" || found === null) {
    return refuse(where, "made by optim.reduceOnPlateau, or null for none", found);
  }
  const options = readOptions<ReduceOnPlateau>(
    where,
    { ...defaults, ...found },
    {
      ...{ metric: text, mode: oneOf("min", "max"), factor: fraction, patience: count, threshold: nonNegative },
      ...{ thresholdMode: oneOf("relative", "absolute"), cooldown: count, minLr: nonNegative },
    },
  );
  if (options.factor === 1) refuse(`${where}: factor`, "below 1", options.factor);
  return options;
}

export const initialPlateau: PlateauState = Object.freeze({ scale: 1, best: null, badCount: 0, cooldownLeft: 0 });

/** The state after a validation. A value that is not finite is no improvement. Pure; made of + − · and comparisons. */
export function nextPlateau(options: ReduceOnPlateau, state: PlateauState, value: number): PlateauState {
  const isBetter = Number.isFinite(value) && (state.best === null || isBeyond(options, state.best, value));
  const isCooling = state.cooldownLeft > 0;
  const badCount = isBetter || isCooling ? 0 : state.badCount + 1;
  const isOver = badCount > options.patience;
  return {
    scale: isOver ? state.scale * options.factor : state.scale,
    best: isBetter ? value : state.best,
    badCount: isOver ? 0 : badCount,
    cooldownLeft: isOver ? options.cooldown : Math.max(0, state.cooldownLeft - 1),
  };
}

function isBeyond({ mode, threshold, thresholdMode }: ReduceOnPlateau, best: number, value: number): boolean {
  if (mode === "min") return value < (thresholdMode === "relative" ? best * (1 - threshold) : best - threshold);
  return value > (thresholdMode === "relative" ? best * (1 + threshold) : best + threshold);
}

/** The rate that is left of `rate`, in float64; one that is below `minLr` by itself stays. */
export function reducedRate({ minLr }: ReduceOnPlateau, { scale }: PlateauState, rate: number): number {
  return scale === 1 ? rate : Math.min(rate, Math.max(minLr, rate * scale));
}
