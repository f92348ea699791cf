import type { Kernels } from "../kernels/kernels.ts";
import { portablePow } from "../random/portable-math.ts";
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
import { fractionBelowOne, nonNegative, positive } from "./options.ts";
import type { PlateauState } from "./plateau.ts";
import type { Slot, UpdateRange, UpdateRule } from "./update.ts";

export interface NadamOptions extends RuleOptions {
  /** Share of the old average of gradients; default 0.9. */
  readonly beta1: number;
  /** Share of the old average of squares; default 0.999. */
  readonly beta2: number;
  /** ε; default 1e-8. */
  readonly epsilon: number;
  /** ψ of μₜ = β₁·(1 − ½·0.96^(t·ψ)); default 0.004 (Keras: 1). */
  readonly momentumDecay: number;
}

export type NadamDefinition = Definition<"nadam", NadamOptions>;

const defaults = {
  ...{ lr: 2e-3, ...ruleDefaults, ...sharedDefaults, beta1: 0.9, beta2: 0.999 },
  ...{ epsilon: 1e-8, momentumDecay: 0.004 },
} as const;

/** Dozat, "Incorporating Nesterov momentum into Adam" (2016), as torch.optim.NAdam. Throws TuttiError BAD_OPTION. */
export function nadam(options: Given<NadamOptions> = {}): NadamDefinition {
  return checkNadam("optim.nadam", { ...defaults, ...options });
}

export function checkNadam(where: string, found: object): NadamDefinition {
  const own = { beta1: fractionBelowOne, beta2: fractionBelowOne, epsilon: positive, momentumDecay: nonNegative };
  return checkDefinition("nadam", where, found, { ...ruleReaders, ...own });
}

/**
 * Per element in float32, after what GradientOptions says, each β and 1 − β rounded once:
 *
 *     m = β₁·m + (1 − β₁)·g;  s = β₂·s + ((1 − β₂)·g)·g
 *     θ = θ − (gradientRate·g + meanRate·m) / (√s·rootScale + ε)
 *     gradientRate = lr·(1 − μₜ)/(1 − Πμ₁…μₜ);  meanRate = lr·μₜ₊₁/(1 − Πμ₁…μₜ₊₁);  rootScale = 1/√(1 − β₂ᵗ)
 *
 * The rates and rootScale in float64 with portablePow, the product from μ₁ on, rounded once.
 */
export class NadamRule implements UpdateRule {
  readonly slots: readonly Slot[] = [
    { name: "gradientAverage", initialValue: 0 },
    { name: "squareAverage", initialValue: 0 },
  ];
  readonly #definition: NadamDefinition;
  readonly #gradient: GradientOptions;
  // The product of the last step that was asked for, so that a run does not begin at μ₁ every time.
  #productStep = 0;
  #product = 1;

  constructor(definition: NadamDefinition) {
    this.#definition = definition;
    this.#gradient = new GradientOptions(definition);
  }

  rate(step: number, plateau: PlateauState | undefined): number {
    return this.#gradient.rate(step, plateau);
  }

  update({ raw }: Kernels, range: UpdateRange, begin: number, end: number): void {
    const { from, to, step, clipScale } = range;
    const { beta1, beta2, epsilon } = this.#definition;
    const { clipValue, coupledDecay, l1 } = this.#gradient;
    const rate = this.rate(step, range.plateau);
    const product = this.#productUpTo(step);
    const nextMomentum = this.#momentum(step + 1);
    const gradientRate = (rate * (1 - this.#momentum(step))) / (1 - product);
    const meanRate = (rate * nextMomentum) / (1 - product * nextMomentum);
    const rootScale = 1 / Math.sqrt(1 - portablePow(beta2, step));
    const byte = begin * 4;
    // biome-ignore format: the kernel's arguments, a group a line
    raw.nadam(
      end - begin, from.parameters + byte, to.parameters + byte, range.gradientSum + byte,
      from.slots[0]! + byte, to.slots[0]! + byte, from.slots[1]! + byte, to.slots[1]! + byte,
      this.#gradient.scale(range.divisor), this.#gradient.signed(range.divisor),
      clipScale, clipValue, coupledDecay, l1, this.#gradient.shrink(rate),
      meanRate, gradientRate, beta1, 1 - beta1, beta2, 1 - beta2, rootScale, epsilon,
    );
  }

  /** μ of a step. */
  #momentum(step: number): number {
    const { beta1, momentumDecay } = this.#definition;
    return beta1 * (1 - 0.5 * portablePow(0.96, step * momentumDecay));
  }

  #productUpTo(step: number): number {
    if (step < this.#productStep) {
      this.#productStep = 0;
      this.#product = 1;
    }
    while (this.#productStep < step) {
      // Every μ is below 1: from here on 1 − product is 1.
      if (this.#product < 1e-20) return 0;
      this.#productStep++;
      this.#product *= this.#momentum(this.#productStep);
    }
    return this.#product;
  }
}
