import type { Kernels } from "../kernels/kernels.ts";
import {
  checkDefinition,
  type Definition,
  type Given,
  type RuleOptions,
  ruleDefaults,
  ruleReaders,
  sharedDefaults,
} from "./common-options.ts";
import { GradientOptions } from "./gradient-options.ts";
import { flag, fraction, oneOf, refuse } from "./options.ts";
import type { PlateauState } from "./plateau.ts";
import type { Slot, UpdateRange, UpdateRule } from "./update.ts";

export interface SgdOptions extends RuleOptions {
  /** μ; 0 (default) keeps no velocity. */
  readonly momentum: number;
  /** v = μv + (1 − dampening)·g, but v = g at the first update; default 0. */
  readonly dampening: number;
  /** Steps along g + μv; needs momentum and no dampening; default false. */
  readonly nesterov: boolean;
  /** "gradient" (default, PyTorch): θ −= lr·v with v of gradients. "step" (Keras): v = μv + lr·g, θ −= v. */
  readonly velocity: "gradient" | "step";
}

export type SgdDefinition = Definition<"sgd", SgdOptions>;

const defaults = {
  ...{ ...ruleDefaults, ...sharedDefaults },
  ...{ momentum: 0, dampening: 0, nesterov: false, velocity: "gradient" },
} as const;

/**
 * Stochastic gradient descent, as torch.optim.SGD; with `batchSize: "all"` plain gradient descent. `lr` is required.
 * Throws TuttiError BAD_OPTION.
 */
export function sgd(options: Given<SgdOptions> & Pick<SgdOptions, "lr">): SgdDefinition {
  return checkSgd("optim.sgd", { ...defaults, ...options });
}

export function checkSgd(where: string, found: object): SgdDefinition {
  const velocity = { momentum: fraction, dampening: fraction, nesterov: flag, velocity: oneOf("gradient", "step") };
  return checkDefinition("sgd", where, found, { ...ruleReaders, ...velocity }, checkTogether);
}

function checkTogether(where: string, { momentum, dampening, nesterov, velocity }: SgdOptions): void {
  if (nesterov && momentum === 0) refuse(`${where}: momentum`, "above 0 with nesterov", momentum);
  if (nesterov && dampening !== 0) refuse(`${where}: dampening`, "0 with nesterov", dampening);
  if (velocity === "step" && dampening !== 0) refuse(`${where}: dampening`, '0 with velocity "step"', dampening);
}

/**
 * Per element in float32, after what GradientOptions says, with `undampened` = 1 at the first update, else 1 − dampening:
 *
 *     without momentum:     θ = θ − lr·g
 *     velocity "gradient":  v = μ·v + undampened·g;  θ = θ − lr·(nesterov ? g + μ·v : v)
 *     velocity "step":      s = lr·g;  v = μ·v + s;  θ = θ − (nesterov ? s + μ·v : v)
 *
 * v starts at zero, so that at the first update it becomes g (or s) itself.
 */
export class SgdRule implements UpdateRule {
  readonly slots: readonly Slot[];
  readonly #definition: SgdDefinition;
  readonly #gradient: GradientOptions;

  constructor(definition: SgdDefinition) {
    this.#definition = definition;
    this.#gradient = new GradientOptions(definition);
    this.slots = definition.momentum === 0 ? [] : [{ name: "momentum", initialValue: 0 }];
  }

  rate(step: number, plateau: PlateauState | undefined): number {
    return this.#gradient.rate(step, plateau);
  }

  update({ raw }: Kernels, range: UpdateRange, begin: number, end: number): void {
    const { from, to, step, clipScale } = range;
    const { momentum, dampening, nesterov, velocity } = this.#definition;
    const { clipValue, coupledDecay, l1 } = this.#gradient;
    const rate = this.rate(step, range.plateau);
    const byte = begin * 4;
    const count = end - begin;
    const parameter = from.parameters + byte;
    const nextParameter = to.parameters + byte;
    const sum = range.gradientSum + byte;
    const divisor = this.#gradient.signed(range.divisor);
    const scale = this.#gradient.scale(range.divisor);
    const shrink = this.#gradient.shrink(rate);
    if (momentum === 0) {
      // biome-ignore format: the kernel's arguments, a group a line
      raw.sgd(
        count, parameter, nextParameter, sum,
        scale, divisor, clipScale, clipValue, coupledDecay, l1, shrink,
        rate,
      );
      return;
    }
    const isStep = velocity === "step";
    const kernel = nesterov ? raw.sgdNesterov : raw.sgdMomentum;
    // biome-ignore format: the kernel's arguments, a group a line
    kernel(
      count, parameter, nextParameter, sum,
      from.slots[0]! + byte, to.slots[0]! + byte,
      scale, divisor, clipScale, clipValue, coupledDecay, l1, shrink,
      isStep ? rate : 1, isStep ? 1 : rate, momentum, step === 1 ? 1 : 1 - dampening,
    );
  }
}
