import type {
  CosineRestartsSchedule,
  CosineSchedule,
  ExponentialSchedule,
  MultiStepSchedule,
  OneCycleSchedule,
  PolynomialSchedule,
  Schedule,
  SequenceSchedule,
  StepSchedule,
  WarmupCosineSchedule,
  WarmupSchedule,
} from "./schedule-data.ts";
import { checkSchedule } from "./schedule-data.ts";

/** Options of a schedule; those of `Optional` have defaults. */
type OptionsOf<One, Optional extends keyof One = never> = Omit<One, "kind" | Optional> & Partial<Pick<One, Optional>>;

export type WarmupCosineOptions = OptionsOf<WarmupCosineSchedule, "final">;

/** Always `value`. */
export function constant(value: number): Schedule {
  return checkSchedule("optim.schedule.constant", { kind: "constant", value });
}

/**
 * Update s of the warm-up runs at peak·s/warmupSteps, a later one at
 * final + (peak − final)·(1 + cos(π·(s − warmupSteps)/(totalSteps − warmupSteps)))/2 (Loshchilov and Hutter, "SGDR", 2017,
 * without restarts), those from totalSteps on at `final` (default 0).
 */
export function warmupCosine(options: WarmupCosineOptions): Schedule {
  return checkSchedule("optim.schedule.warmupCosine", { final: 0, ...options, kind: "warmupCosine" });
}

/** Update s runs at initial·factor^⌊(s − 1)/everySteps⌋; factor 0.1 by default. As torch's StepLR. */
export function step(options: OptionsOf<StepSchedule, "factor">): Schedule {
  return checkSchedule("optim.schedule.step", { factor: 0.1, ...options, kind: "step" });
}

/** Update s runs at initial·factor^n, n milestones being below s; factor 0.1 by default. As torch's MultiStepLR. */
export function multiStep(options: OptionsOf<MultiStepSchedule, "factor">): Schedule {
  return checkSchedule("optim.schedule.multiStep", { factor: 0.1, ...options, kind: "multiStep" });
}

/** Update s runs at initial·factor^((s − 1)/everySteps), everySteps 1 by default. As torch's ExponentialLR. */
export function exponential(options: OptionsOf<ExponentialSchedule, "everySteps">): Schedule {
  return checkSchedule("optim.schedule.exponential", { everySteps: 1, ...options, kind: "exponential" });
}

/**
 * Update s runs at final + (initial − final)·(1 − (s − 1)/totalSteps)^power, those after totalSteps at `final` (default
 * 0). As torch's PolynomialLR; power 1, the default, is its LinearLR, also upwards.
 */
export function polynomial(options: OptionsOf<PolynomialSchedule, "final" | "power">): Schedule {
  return checkSchedule("optim.schedule.polynomial", { final: 0, power: 1, ...options, kind: "polynomial" });
}

/**
 * Update s runs at final + (initial − final)·(1 + cos(π·(s − 1)/totalSteps))/2, those after totalSteps at `final` (default
 * 0). As torch's CosineAnnealingLR.
 */
export function cosine(options: OptionsOf<CosineSchedule, "final">): Schedule {
  return checkSchedule("optim.schedule.cosine", { final: 0, ...options, kind: "cosine" });
}

/**
 * `cosine` from `peak` to `final` again and again, each period periodFactor (default 1) times as long as the one before:
 * Loshchilov and Hutter, "SGDR" (2017), as torch's CosineAnnealingWarmRestarts.
 */
export function cosineRestarts(options: OptionsOf<CosineRestartsSchedule, "final" | "periodFactor">): Schedule {
  return checkSchedule("optim.schedule.cosineRestarts", {
    ...{ final: 0, periodFactor: 1, ...options },
    kind: "cosineRestarts",
  });
}

/**
 * Smith and Topin, "Super-convergence" (2018), as torch's OneCycleLR with the momentum left alone: from peak/initialDivisor
 * (25) in warmupShare (0.3) of the updates to `peak`, then down to peak/initialDivisor/finalDivisor (1e4) at update
 * totalSteps, where it stays; along cosines or lines.
 */
export function oneCycle(
  options: OptionsOf<OneCycleSchedule, "warmupShare" | "annealing" | "initialDivisor" | "finalDivisor" | "threePhase">,
): Schedule {
  return checkSchedule("optim.schedule.oneCycle", {
    ...{ warmupShare: 0.3, annealing: "cosine", initialDivisor: 25, finalDivisor: 1e4, threePhase: false },
    ...options,
    kind: "oneCycle",
  });
}

/**
 * A linear warm-up before any schedule, which then counts its updates from 1: update s runs at r·(startFactor +
 * (1 − startFactor)·(s − 1)/steps), r being the first rate of `rate`. By default startFactor is 1/(steps + 1), so that
 * update s runs at r·s/(steps + 1).
 */
export function warmup(options: OptionsOf<WarmupSchedule, "startFactor">): Schedule {
  const startFactor = 1 / (options.steps + 1);
  return checkSchedule("optim.schedule.warmup", { startFactor, ...options, kind: "warmup" });
}

/** Schedules one after the other, each for its own number of updates, counted from 1. As torch's SequentialLR. */
export function sequence(options: OptionsOf<SequenceSchedule>): Schedule {
  return checkSchedule("optim.schedule.sequence", { ...options, kind: "sequence" });
}

/** Another schedule times a number. */
export function scaled(rate: number | Schedule, by: number): Schedule {
  return checkSchedule("optim.schedule.scaled", { kind: "scaled", by, rate });
}

/**
 * Learning rates that change from step to step: plain JSON data, computed by portable functions.
 *
 * @namespace
 */
export const schedule = {
  constant,
  warmupCosine,
  step,
  multiStep,
  exponential,
  polynomial,
  cosine,
  cosineRestarts,
  oneCycle,
  warmup,
  sequence,
  scaled,
};
