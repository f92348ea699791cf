import {
  count,
  flag,
  fraction,
  nonNegative,
  type OptionReader,
  oneOf,
  positive,
  positiveCount,
  readOptions,
  refuse,
} from "./options.ts";

/** Always `value`. */
export interface ConstantSchedule {
  readonly kind: "constant";
  readonly value: number;
}

export interface WarmupCosineSchedule {
  readonly kind: "warmupCosine";
  /** Rate after the warm-up. */
  readonly peak: number;
  /** Updates over which the rate climbs linearly to `peak`; 0: starts there. */
  readonly warmupSteps: number;
  /** Update from which on the rate is `final`. */
  readonly totalSteps: number;
  readonly final: number;
}

export interface StepSchedule {
  readonly kind: "step";
  readonly initial: number;
  /** Updates between two multiplications by `factor`. */
  readonly everySteps: number;
  readonly factor: number;
}

export interface MultiStepSchedule {
  readonly kind: "multiStep";
  readonly initial: number;
  /** Numbers of updates, increasing, after each of which the rate is multiplied by `factor`. */
  readonly milestones: readonly number[];
  readonly factor: number;
}

export interface ExponentialSchedule {
  readonly kind: "exponential";
  readonly initial: number;
  readonly factor: number;
  /** Updates in which the rate falls to `factor`, evenly. */
  readonly everySteps: number;
}

export interface PolynomialSchedule {
  readonly kind: "polynomial";
  readonly initial: number;
  readonly final: number;
  /** Updates after which the rate is `final`. */
  readonly totalSteps: number;
  readonly power: number;
}

export interface CosineSchedule {
  readonly kind: "cosine";
  readonly initial: number;
  readonly final: number;
  /** Updates after which the rate is `final`. */
  readonly totalSteps: number;
}

export interface CosineRestartsSchedule {
  readonly kind: "cosineRestarts";
  /** Rate at the beginning of every period. */
  readonly peak: number;
  readonly final: number;
  /** Updates of the first period. */
  readonly periodSteps: number;
  /** How many times longer each period is than the one before; an integer. */
  readonly periodFactor: number;
}

export interface OneCycleSchedule {
  readonly kind: "oneCycle";
  readonly peak: number;
  readonly totalSteps: number;
  /** Share of the updates in which the rate climbs. */
  readonly warmupShare: number;
  readonly annealing: "cosine" | "linear";
  /** The first rate is peak/initialDivisor. */
  readonly initialDivisor: number;
  /** The last rate is peak/initialDivisor/finalDivisor. */
  readonly finalDivisor: number;
  /** Fall to the first rate in as many updates as it took to climb, then on to the last one. */
  readonly threePhase: boolean;
}

export interface WarmupSchedule {
  readonly kind: "warmup";
  /** Updates before `rate` begins. */
  readonly steps: number;
  /** The first update runs at startFactor times the first rate of `rate`; from there linearly to it. */
  readonly startFactor: number;
  readonly rate: number | Schedule;
}

export interface SequenceSchedule {
  readonly kind: "sequence";
  /** One after the other, each for so many updates, which it counts from 1. */
  readonly parts: readonly { readonly steps: number; readonly rate: number | Schedule }[];
  /** What follows without end. */
  readonly last: number | Schedule;
}

export interface ScaledSchedule {
  readonly kind: "scaled";
  readonly by: number;
  readonly rate: number | Schedule;
}

/** A learning rate as a function of the update's number, as plain JSON data. */
export type Schedule =
  | ConstantSchedule
  | WarmupCosineSchedule
  | StepSchedule
  | MultiStepSchedule
  | ExponentialSchedule
  | PolynomialSchedule
  | CosineSchedule
  | CosineRestartsSchedule
  | OneCycleSchedule
  | WarmupSchedule
  | SequenceSchedule
  | ScaledSchedule;

const rateOrSchedule: OptionReader<number | Schedule> = (where, found) =>
  typeof found === "object" && found !== null ? checkSchedule(where, found) : nonNegative(where, found);

const milestones: OptionReader<readonly number[]> = (where, found) => {
  const isMilestone = (value: unknown, before: unknown) =>
    typeof value === "number" && Number.isSafeInteger(value) && typeof before === "number" && value > before;
  if (
    !Array.isArray(found) ||
    found.length === 0 ||
    !found.every((value, index) => isMilestone(value, index === 0 ? 0 : found[index - 1]))
  ) {
    return refuse(where, "increasing integers of at least 1", found);
  }
  return [...found];
};

const parts: OptionReader<SequenceSchedule["parts"]> = (where, found) => {
  if (!Array.isArray(found) || found.length === 0) return refuse(where, "a list of { steps, rate }", found);
  return found.map((part: unknown, index) => {
    const at = `${where}[${index}]`;
    if (typeof part !== "object" || part === null) return refuse(at, "{ steps, rate }", part);
    return readOptions<SequenceSchedule["parts"][number]>(at, part, { steps: positiveCount, rate: rateOrSchedule });
  });
};

const checks: { readonly [Kind in Schedule["kind"]]: (where: string, found: object) => Schedule } = {
  constant: (where, found) => ({ kind: "constant", ...readOptions(where, found, { value: nonNegative }) }),
  warmupCosine(where, found) {
    const readers = { peak: nonNegative, warmupSteps: count, totalSteps: count, final: nonNegative };
    const options = readOptions<Omit<WarmupCosineSchedule, "kind">>(where, found, readers);
    const { warmupSteps, totalSteps } = options;
    if (warmupSteps >= totalSteps) refuse(`${where}: warmupSteps`, `less than totalSteps, ${totalSteps}`, warmupSteps);
    return { kind: "warmupCosine", ...options };
  },
  step(where, found) {
    const readers = { initial: nonNegative, everySteps: positiveCount, factor: nonNegative };
    return { kind: "step", ...readOptions<Omit<StepSchedule, "kind">>(where, found, readers) };
  },
  multiStep(where, found) {
    const readers = { initial: nonNegative, milestones, factor: nonNegative };
    return { kind: "multiStep", ...readOptions<Omit<MultiStepSchedule, "kind">>(where, found, readers) };
  },
  exponential(where, found) {
    const readers = { initial: nonNegative, factor: positive, everySteps: positiveCount };
    return { kind: "exponential", ...readOptions<Omit<ExponentialSchedule, "kind">>(where, found, readers) };
  },
  polynomial(where, found) {
    const readers = { initial: nonNegative, final: nonNegative, totalSteps: positiveCount, power: positive };
    return { kind: "polynomial", ...readOptions<Omit<PolynomialSchedule, "kind">>(where, found, readers) };
  },
  cosine(where, found) {
    const readers = { initial: nonNegative, final: nonNegative, totalSteps: positiveCount };
    return { kind: "cosine", ...readOptions<Omit<CosineSchedule, "kind">>(where, found, readers) };
  },
  cosineRestarts(where, found) {
    const readers = { peak: nonNegative, final: nonNegative, periodSteps: positiveCount, periodFactor: positiveCount };
    return { kind: "cosineRestarts", ...readOptions<Omit<CosineRestartsSchedule, "kind">>(where, found, readers) };
  },
  oneCycle(where, found) {
    const options = readOptions<Omit<OneCycleSchedule, "kind">>(where, found, {
      ...{ peak: nonNegative, totalSteps: positiveCount, warmupShare: fraction },
      ...{ annealing: oneOf("cosine", "linear"), initialDivisor: positive, finalDivisor: positive, threePhase: flag },
    });
    const { totalSteps, warmupShare, threePhase } = options;
    const shares = threePhase ? 2 * warmupShare : warmupShare;
    if (shares * totalSteps >= totalSteps) {
      refuse(`${where}: warmupShare`, threePhase ? "below a half with threePhase" : "below 1", warmupShare);
    }
    if (warmupShare * totalSteps <= 1) refuse(`${where}: warmupShare`, "more than one update", warmupShare);
    return { kind: "oneCycle", ...options };
  },
  warmup(where, found) {
    const readers = { steps: positiveCount, startFactor: fraction, rate: rateOrSchedule };
    return { kind: "warmup", ...readOptions<Omit<WarmupSchedule, "kind">>(where, found, readers) };
  },
  sequence(where, found) {
    const readers = { parts, last: rateOrSchedule };
    return { kind: "sequence", ...readOptions<Omit<SequenceSchedule, "kind">>(where, found, readers) };
  },
  scaled(where, found) {
    const readers = { by: nonNegative, rate: rateOrSchedule };
    return { kind: "scaled", ...readOptions<Omit<ScaledSchedule, "kind">>(where, found, readers) };
  },
};

/** Checks data that may come from anywhere; `where` names it in the error. Throws TuttiError BAD_OPTION. */
export function checkSchedule(where: string, found: unknown): Schedule {
  if (typeof found === "object" && found !== null && "kind" in found && isKind(found.kind)) {
    return checks[found.kind](where, found);
  }
  return refuse(where, `a schedule made by optim.schedule (${Object.keys(checks).join(", ")})`, found);
}

function isKind(kind: unknown): kind is Schedule["kind"] {
  return typeof kind === "string" && Object.hasOwn(checks, kind);
}
