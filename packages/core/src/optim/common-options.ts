import {
  flag,
  nonNegative,
  type OptionReader,
  oneOf,
  positiveOrNull,
  type Readers,
  readOptions,
  refuse,
} from "./options.ts";
import { checkPlateau, type ReduceOnPlateau } from "./plateau.ts";
import { checkSchedule, type Schedule } from "./schedule-data.ts";
import { checkAverage, type WeightAverage } from "./weight-average.ts";

/** What every optimizer takes, for all parameters or for a group. Plain JSON data; what is left out is PyTorch's default. */
export interface RuleOptions {
  /** Learning rate, or a schedule in updates. Rounded once to float32 for each update. */
  readonly lr: number | Schedule;
  /** λ; default 0 (AdamW: 0.01). */
  readonly weightDecay: number;
  /**
   * "coupled" (PyTorch): g += λθ. "decoupled" (AdamW, Lion, Keras): θ = (1 − lr·λ)·θ before the update. Default "coupled" but for
   * AdamW and Lion.
   */
  readonly decay: "coupled" | "decoupled";
  /** Adds l1·‖θ‖₁ to the loss: g += l1·sign(θ), sign(0) = 0; after clipping. With `l2`, the elastic net. Default 0. */
  readonly l1: number;
  /** Adds l2/2·‖θ‖² to the loss: g += l2·θ, after clipping, as coupled weight decay; default 0. */
  readonly l2: number;
  /** Climb instead of descend; default false. Penalties are still made smaller. */
  readonly maximize: boolean;
  /** Every element of g is clamped to ±clipValue, after clipNorm; default null. */
  readonly clipValue: number | null;
  /**
   * After the update, every row θ[i] of a parameter of rank 2 or more whose norm is above it is scaled by
   * maxNorm/(norm + 1e-7), as torch.renorm with p 2 and dim 0; parameters of rank 0 and 1 are left alone. Norms in float64 and
   * a fixed order, the factor rounded once to float32. Makes the update wait for the whole gradient. Default null.
   */
  readonly maxNorm: number | null;
}

/** What every optimizer takes once. */
export interface SharedOptions<Own extends RuleOptions> {
  /** g *= min(1, clipNorm / (‖g‖ + 1e-6)) with ‖g‖ over all parameters, before everything else; default null. */
  readonly clipNorm: number | null;
  /** Keeps an exponential moving average of the weights, for validation, export and predict; default null. */
  readonly ema: WeightAverage | null;
  /** Lowers all rates when a metric no longer gets better; default null. */
  readonly reduceOnPlateau: ReduceOnPlateau | null;
  /** Other options for some parameters, by name; a parameter belongs to the first group that matches. Default []. */
  readonly groups: readonly ParameterGroup<Own>[];
}

/**
 * Options for the parameters whose names match one of the patterns: `*` stands for any characters, dots included, `?` for
 * one. What is not given is as for the others. What decides which state is kept must be the same for all.
 */
export type ParameterGroup<Own extends RuleOptions = RuleOptions> = Partial<Own> & {
  readonly match: string | readonly string[];
  /** The rate is `lrScale` times the one of the others; instead of `lr`. */
  readonly lrScale?: number;
};

export type Definition<Kind extends string, Own extends RuleOptions> = { readonly kind: Kind } & Own &
  SharedOptions<Own>;

/** What a constructor takes: options left out get their defaults. */
export type Given<Own extends RuleOptions> = Partial<Own> & Partial<SharedOptions<Own>>;

export const ruleDefaults = {
  ...{ weightDecay: 0, decay: "coupled", l1: 0, l2: 0 },
  ...{ maximize: false, clipValue: null, maxNorm: null },
} as const;

export const sharedDefaults = { clipNorm: null, ema: null, reduceOnPlateau: null, groups: [] } as const;

export const rate: OptionReader<number | Schedule> = (where, found) =>
  typeof found === "object" && found !== null ? checkSchedule(where, found) : nonNegative(where, found);

export const ruleReaders: Readers<RuleOptions> = {
  ...{ lr: rate, weightDecay: nonNegative, decay: oneOf("coupled", "decoupled"), l1: nonNegative, l2: nonNegative },
  ...{ maximize: flag, clipValue: positiveOrNull, maxNorm: positiveOrNull },
};

/**
 * Checks a definition that may come from anywhere, with its groups; `together` checks what no option says alone. Throws
 * TuttiError BAD_OPTION.
 */
export function checkDefinition<Kind extends string, Own extends RuleOptions>(
  kind: Kind,
  where: string,
  found: object,
  readers: Readers<Own>,
  together: (where: string, options: Own) => void = () => undefined,
): Definition<Kind, Own> {
  const sharedReaders: Readers<SharedOptions<Own>> = {
    clipNorm: positiveOrNull,
    ema: (at, value) => (value === null ? null : checkAverage(at, value)),
    reduceOnPlateau: (at, value) => (value === null ? null : checkPlateau(at, value)),
    groups: (at, value) => {
      if (!Array.isArray(value)) refuse(at, "a list of groups", value);
      return value.map((group: unknown, index) =>
        checkGroup(`${where}: groups[${index}]`, own, group, readers, together),
      );
    },
  };
  const own = readOptions(where, found, readers, Object.keys(sharedReaders));
  together(where, own);
  const shared = readOptions(where, found, sharedReaders, Object.keys(readers));
  return { kind, ...own, ...shared };
}

function checkGroup<Own extends RuleOptions>(
  where: string,
  rest: Own,
  group: unknown,
  readers: Readers<Own>,
  together: (where: string, options: Own) => void,
): ParameterGroup<Own> {
  if (typeof group !== "object" || group === null || !("match" in group)) {
    return refuse(where, 'an object such as { match: "*.bias", weightDecay: 0 }', group);
  }
  const { match, lrScale, ...changes }: { match: unknown; lrScale?: unknown } = { ...group };
  const patterns = typeof match === "string" ? [match] : match;
  const isPattern = (pattern: unknown) => typeof pattern === "string" && pattern !== "";
  if (!Array.isArray(patterns) || patterns.length === 0 || !patterns.every(isPattern)) {
    refuse(`${where}: match`, 'a pattern of parameter names such as "*.bias", or a list of them', match);
  }
  if (lrScale !== undefined && "lr" in changes) refuse(`${where}: lrScale`, "left out where lr is given", lrScale);
  const own = readOptions(where, { ...rest, ...changes }, readers);
  together(where, own);
  const changed = Object.entries(own).filter(([name]) => name in changes);
  const scale = lrScale === undefined ? {} : { lrScale: nonNegative(`${where}: lrScale`, lrScale) };
  return { match, ...scale, ...Object.fromEntries(changed) } as ParameterGroup<Own>;
}
