import {
  flag,
  fraction,
  nonNegative,
  type OptionReader,
  oneOf,
  positive,
  positiveOrNull,
  readOptions,
  refuse,
} from "./options.ts";
import { checkSchedule, type Schedule } from "./schedule.ts";

/** What every optimizer takes. Plain JSON data; options left out are PyTorch's defaults. */
export interface CommonOptions {
  /** Learning rate, or a schedule in updates. Rounded once to float32 for each update. */
  readonly lr: number | Schedule;
  /** λ; default 0. */
  readonly weightDecay: number;
  /** "coupled" (default, PyTorch): g += λθ. "decoupled" (Keras): θ −= lr·λ·θ before the update. */
  readonly decay: "coupled" | "decoupled";
  /** Climb instead of descend; default false. */
  readonly maximize: boolean;
  /** g *= min(1, clipNorm / (‖g‖ + 1e-6)) with ‖g‖ over all parameters, before everything else; default null. */
  readonly clipNorm: number | null;
  /** Every element of g is clamped to ±clipValue, after clipNorm; default null. */
  readonly clipValue: number | null;
}

export interface SgdOptions extends CommonOptions {
  /** μ; 0 (default) keeps no velocity. */
  readonly momentum: number;
  /** v = μv + (1 − dampening)·g, but v = g at the first update; default 0. */
  readonly dampening: number;
  /** Steps along g + μv; needs momentum and no dampening; default false. */
  readonly nesterov: boolean;
  /** "gradient" (default, PyTorch): θ −= lr·v with v of gradients. "step" (Keras): v = μv + lr·g, θ −= v. */
  readonly velocity: "gradient" | "step";
}

/** Where ε stands: √v + ε (PyTorch), √(v + ε) (Keras), √(v + ε) + ε (textbook). */
export type EpsilonPlacement = "outside" | "inside" | "both";

export interface AdagradOptions extends CommonOptions {
  /** Update t runs at lr/(1 + (t − 1)·lrDecay); default 0. */
  readonly lrDecay: number;
  /** What the sum of squares starts from; default 0 (Keras: 0.1). */
  readonly initialAccumulator: number;
  /** ε; default 1e-10. */
  readonly epsilon: number;
  /** Default "outside". */
  readonly epsilonPlacement: EpsilonPlacement;
}

export interface RmspropOptions extends CommonOptions {
  /** Share of the old average of squares; default 0.99. */
  readonly alpha: number;
  /** ε; default 1e-8. */
  readonly epsilon: number;
  /** Default "outside". */
  readonly epsilonPlacement: EpsilonPlacement;
  /** μ; 0 (default) keeps no velocity. */
  readonly momentum: number;
  /** Divide by the root of the variance, v − ḡ², instead of v; default false. */
  readonly centered: boolean;
  /** As in SGD. */
  readonly velocity: "gradient" | "step";
}

export type SgdDefinition = { readonly kind: "sgd" } & SgdOptions;
export type AdagradDefinition = { readonly kind: "adagrad" } & AdagradOptions;
export type RmspropDefinition = { readonly kind: "rmsprop" } & RmspropOptions;
export type OptimizerDefinition = SgdDefinition | AdagradDefinition | RmspropDefinition;

const commonDefaults = { weightDecay: 0, decay: "coupled", maximize: false, clipNorm: null, clipValue: null } as const;

const sgdDefaults = { ...commonDefaults, momentum: 0, dampening: 0, nesterov: false, velocity: "gradient" } as const;

const adagradDefaults = {
  ...{ lr: 0.01, ...commonDefaults, lrDecay: 0, initialAccumulator: 0, epsilon: 1e-10 },
  epsilonPlacement: "outside",
} as const;

const rmspropDefaults = {
  ...{ lr: 0.01, ...commonDefaults, alpha: 0.99, epsilon: 1e-8, epsilonPlacement: "outside" },
  ...{ momentum: 0, centered: false, velocity: "gradient" },
} as const;

/**
 * Stochastic gradient descent, as torch.optim.SGD; with `batchSize: "all"` plain gradient descent. `lr` is required.
 * Throws TuttiError BAD_OPTION.
 */
export function sgd(options: Partial<SgdOptions> & Pick<SgdOptions, "lr">): SgdDefinition {
  return checkSgd("optim.sgd", { ...sgdDefaults, ...options });
}

/** Duchi, Hazan and Singer, "Adaptive subgradient methods" (2011), as torch.optim.Adagrad. Throws TuttiError BAD_OPTION. */
export function adagrad(options: Partial<AdagradOptions> = {}): AdagradDefinition {
  return checkAdagrad("optim.adagrad", { ...adagradDefaults, ...options });
}

/** Hinton's RMSprop (2012) and Graves's centered form (2013), as torch.optim.RMSprop. Throws TuttiError BAD_OPTION. */
export function rmsprop(options: Partial<RmspropOptions> = {}): RmspropDefinition {
  return checkRmsprop("optim.rmsprop", { ...rmspropDefaults, ...options });
}

/** Checks a definition that may have been edited since it was made. Throws TuttiError BAD_OPTION. */
export function checkOptimizer(found: unknown): OptimizerDefinition {
  if (typeof found === "object" && found !== null && "kind" in found) {
    if (found.kind === "sgd") return checkSgd("optimizer", found);
    if (found.kind === "adagrad") return checkAdagrad("optimizer", found);
    if (found.kind === "rmsprop") return checkRmsprop("optimizer", found);
  }
  return refuse("optimizer", "made by optim.sgd, optim.adagrad or optim.rmsprop", found);
}

const rate: OptionReader<number | Schedule> = (where, found) =>
  typeof found === "object" && found !== null ? checkSchedule(where, found) : nonNegative(where, found);

const commonReaders = {
  ...{ lr: rate, weightDecay: nonNegative, decay: oneOf("coupled", "decoupled") },
  ...{ maximize: flag, clipNorm: positiveOrNull, clipValue: positiveOrNull },
};
const velocityReaders = { momentum: fraction, velocity: oneOf("gradient", "step") };
const epsilonReaders = {
  epsilon: positive, // at 0, a gradient that is zero would divide zero by zero
  epsilonPlacement: oneOf("outside", "inside", "both"),
};

function checkSgd(where: string, found: object): SgdDefinition {
  const readers = { ...commonReaders, ...velocityReaders, dampening: fraction, nesterov: flag };
  const options = readOptions<SgdOptions>(where, found, readers);
  const { momentum, dampening, nesterov, velocity } = options;
  if (nesterov && momentum === 0) refuse(`${where}: momentum`, "above 0 with nesterov", momentum);
  if (nesterov && dampening !== 0) refuse(`${where}: dampening`, "0 with nesterov", dampening);
  if (velocity === "step" && dampening !== 0) refuse(`${where}: dampening`, '0 with velocity "step"', dampening);
  return { kind: "sgd", ...options };
}

function checkAdagrad(where: string, found: object): AdagradDefinition {
  const readers = { ...commonReaders, ...epsilonReaders, lrDecay: nonNegative, initialAccumulator: nonNegative };
  return { kind: "adagrad", ...readOptions<AdagradOptions>(where, found, readers) };
}

function checkRmsprop(where: string, found: object): RmspropDefinition {
  const readers = { ...commonReaders, ...velocityReaders, ...epsilonReaders, alpha: fraction, centered: flag };
  return { kind: "rmsprop", ...readOptions<RmspropOptions>(where, found, readers) };
}
