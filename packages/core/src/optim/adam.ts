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
import { flag, fractionBelowOne, oneOf, positive } from "./options.ts";
import type { PlateauState } from "./plateau.ts";
import type { Slot, UpdateRange, UpdateRule } from "./update.ts";

export interface AdamOptions extends RuleOptions {
  /** Share of the old average of gradients; default 0.9. */
  readonly beta1: number;
  /** Share of the old average of squares; default 0.999. */
  readonly beta2: number;
  /** ε; default 1e-8. */
  readonly epsilon: number;
  /**
   * "averages" (default, PyTorch): ε is added to the root of the corrected average. "rate" (Keras): the corrections go into the
   * rate, ε is added to the root of the average itself; matters for small t.
   */
  readonly correction: "averages" | "rate";
  /** Divide by the largest average of squares so far (Reddi et al. 2018); default false. */
  readonly amsgrad: boolean;
}

export type AdamDefinition = Definition<"adam", AdamOptions>;

const defaults = {
  ...{ lr: 1e-3, ...ruleDefaults, ...sharedDefaults, beta1: 0.9, beta2: 0.999 },
  ...{ epsilon: 1e-8, correction: "averages", amsgrad: false },
} as const;

/** Kingma and Ba, "Adam" (2015), as torch.optim.Adam. Throws TuttiError BAD_OPTION. */
export function adam(options: Given<AdamOptions> = {}): AdamDefinition {
  return checkAdam("optim.adam", { ...defaults, ...options });
}

/**
 * Loshchilov and Hutter, "Decoupled weight decay regularization" (2019), as torch.optim.AdamW: Adam with decoupled decay,
 * 0.01 by default. Throws TuttiError BAD_OPTION.
 */
export function adamW(options: Given<AdamOptions> = {}): AdamDefinition {
  return checkAdam("optim.adamW", { ...defaults, decay: "decoupled", weightDecay: 0.01, ...options });
}

export function checkAdam(where: string, found: object): AdamDefinition {
  const own = { beta1: fractionBelowOne, beta2: fractionBelowOne, epsilon: positive, amsgrad: flag };
  return checkDefinition("adam", where, found, { ...ruleReaders, ...own, correction: oneOf("averages", "rate") });
}

/**
 * Per element in float32, after what GradientOptions says, each β and 1 − β rounded once:
 *
 *     m = β₁·m + (1 − β₁)·g;  s = β₂·s + ((1 − β₂)·g)·g;  amsgrad: x = max(x, s), else x = s
 *     θ = θ − (meanRate·m) / (√x·rootScale + ε)
 *     correction "averages":  meanRate = lr/(1 − β₁ᵗ);             rootScale = 1/√(1 − β₂ᵗ)
 *     correction "rate":      meanRate = lr·√(1 − β₂ᵗ)/(1 − β₁ᵗ);  rootScale = 1
 *
 * meanRate and rootScale in float64 with portablePow, rounded once.
 */
export class AdamRule implements UpdateRule {
  readonly slots: readonly Slot[];
  readonly #definition: AdamDefinition;
  readonly #gradient: GradientOptions;

  constructor(definition: AdamDefinition) {
    this.#definition = definition;
    this.#gradient = new GradientOptions(definition);
    const names = ["gradientAverage", "squareAverage"];
    if (definition.amsgrad) names.push("largestSquareAverage");
    this.slots = names.map((name) => ({ name, initialValue: 0 }));
  }

  rate(step: number, plateau: PlateauState | undefined): number {
    return this.#gradient.rate(step, plateau);
  }

  update({ raw }: Kernels, range: UpdateRange, begin: number, end: number): void {
    const { from, to, step, clipScale } = range;
    const { beta1, beta2, epsilon, correction, amsgrad } = this.#definition;
    const { clipValue, coupledDecay, l1 } = this.#gradient;
    const rate = this.rate(step, range.plateau);
    const squareCorrection = Math.sqrt(1 - portablePow(beta2, step));
    const correctedRate = rate / (1 - portablePow(beta1, step));
    const meanRate = correction === "rate" ? correctedRate * squareCorrection : correctedRate;
    const rootScale = correction === "rate" ? 1 : 1 / squareCorrection;
    const byte = begin * 4;
    const count = end - begin;
    const parameter = from.parameters + byte;
    const nextParameter = to.parameters + byte;
    const sum = range.gradientSum + byte;
    const divisor = this.#gradient.signed(range.divisor);
    const scale = this.#gradient.scale(range.divisor);
    const shrink = this.#gradient.shrink(rate);
    if (amsgrad) {
      // biome-ignore format: the kernel's arguments, a group a line
      raw.adamAmsgrad(
        count, parameter, nextParameter, sum,
        from.slots[0]! + byte, to.slots[0]! + byte, from.slots[1]! + byte, to.slots[1]! + byte,
        from.slots[2]! + byte, to.slots[2]! + byte,
        scale, divisor, clipScale, clipValue, coupledDecay, l1, shrink,
        meanRate, beta1, 1 - beta1, beta2, 1 - beta2, rootScale, epsilon,
      );
      return;
    }
    // biome-ignore format: the kernel's arguments, a group a line
    raw.adam(
      count, parameter, nextParameter, sum,
      from.slots[0]! + byte, to.slots[0]! + byte, from.slots[1]! + byte, to.slots[1]! + byte,
      scale, divisor, clipScale, clipValue, coupledDecay, l1, shrink,
      meanRate, beta1, 1 - beta1, beta2, 1 - beta2, rootScale, epsilon,
    );
  }
}
