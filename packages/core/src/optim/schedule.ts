import { portableCos } from "../random/portable-math.ts";
import { count, nonNegative, readOptions, refuse } from "./options.ts";

/** A learning rate as a function of the update's number, as plain JSON data. */
export type Schedule =
  | { readonly kind: "constant"; readonly value: number }
  | {
      readonly kind: "warmupCosine";
      readonly peak: number;
      readonly warmupSteps: number;
      readonly totalSteps: number;
      readonly final: number;
    };

export interface WarmupCosineOptions {
  /** Rate after the warm-up. */
  readonly peak: number;
  /** Updates over which the rate climbs linearly to `peak`; 0: starts there. */
  readonly warmupSteps: number;
  /** Update from which on the rate is `final`. */
  readonly totalSteps: number;
  /** Default 0. */
  readonly final?: number;
}

/** Always `value`. */
function constant(value: number): Schedule {
  return checkSchedule("optim.schedule.constant", { kind: "constant", value });
}

/**
 * Update s of the warm-up runs at peak·s/warmupSteps, a later one at
 * final + (peak − final)·(1 + cos(π·(s − warmupSteps)/(totalSteps − warmupSteps)))/2 (Loshchilov and Hutter, "SGDR", 2017,
 * without restarts), those from totalSteps on at `final`.
 */
function warmupCosine(options: WarmupCosineOptions): Schedule {
  return checkSchedule("optim.schedule.warmupCosine", { final: 0, ...options, kind: "warmupCosine" });
}

export const schedule = { constant, warmupCosine };

/** Checks data that may come from anywhere; `where` names it in the error. Throws TuttiError BAD_OPTION. */
export function checkSchedule(where: string, found: unknown): Schedule {
  if (typeof found === "object" && found !== null && "kind" in found) {
    if (found.kind === "constant") return { kind: "constant", ...readOptions(where, found, { value: nonNegative }) };
    if (found.kind === "warmupCosine") return checkWarmupCosine(where, found);
  }
  return refuse(where, "a schedule made by optim.schedule.constant or optim.schedule.warmupCosine", found);
}

function checkWarmupCosine(where: string, found: object): Schedule {
  const readers = { peak: nonNegative, warmupSteps: count, totalSteps: count, final: nonNegative };
  const options = readOptions<Required<WarmupCosineOptions>>(where, found, readers);
  const { warmupSteps, totalSteps } = options;
  if (warmupSteps >= totalSteps) refuse(`${where}: warmupSteps`, `less than totalSteps, ${totalSteps}`, warmupSteps);
  return { kind: "warmupCosine", ...options };
}

/** The rate of update `step` (1, 2, …), in float64 with portable functions. */
export function rateAt(rate: number | Schedule, step: number): number {
  if (typeof rate === "number") return rate;
  if (rate.kind === "constant") return rate.value;
  const { peak, warmupSteps, totalSteps, final } = rate;
  if (step <= warmupSteps) return (peak * step) / warmupSteps;
  if (step >= totalSteps) return final;
  const progress = (step - warmupSteps) / (totalSteps - warmupSteps);
  return final + (peak - final) * 0.5 * (1 + portableCos(Math.PI * progress));
}
