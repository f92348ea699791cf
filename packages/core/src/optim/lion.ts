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
import { fractionBelowOne } from "./options.ts";
import type { PlateauState } from "./plateau.ts";
import type { Slot, UpdateRange, UpdateRule } from "./update.ts";

/** Decay is "decoupled" by default. */
export interface LionOptions extends RuleOptions {
  /** Share of the old average in the step; default 0.9. */
  readonly beta1: number;
  /** Share of the old average in the new one; default 0.99. */
  readonly beta2: number;
}

export type LionDefinition = Definition<"lion", LionOptions>;

const defaults = {
  ...{ lr: 1e-4, ...ruleDefaults, ...sharedDefaults, decay: "decoupled", beta1: 0.9, beta2: 0.99 },
} as const;

/**
 * Chen et al., "Symbolic discovery of optimization algorithms" (2023), algorithm 2: every element moves by lr. Its rate is 3 to
 * 10 times smaller than AdamW's, its decay as much larger. Throws TuttiError BAD_OPTION.
 */
export function lion(options: Given<LionOptions> = {}): LionDefinition {
  return checkLion("optim.lion", { ...defaults, ...options });
}

export function checkLion(where: string, found: object): LionDefinition {
  return checkDefinition("lion", where, found, { ...ruleReaders, beta1: fractionBelowOne, beta2: fractionBelowOne });
}

/**
 * Per element in float32, after what GradientOptions says, each β and 1 − β rounded once, sign(0) = 0:
 *
 *     θ = θ − lr·sign(β₁·m + (1 − β₁)·g);  m = β₂·m + (1 − β₂)·g
 */
export class LionRule implements UpdateRule {
  readonly slots: readonly Slot[] = [{ name: "gradientAverage", initialValue: 0 }];
  readonly #definition: LionDefinition;
  readonly #gradient: GradientOptions;

  constructor(definition: LionDefinition) {
    this.#definition = definition;
    this.#gradient = new GradientOptions(definition);
  }

  rate(step: number, plateau: PlateauState | undefined): number {
    return this.#gradient.rate(step, plateau);
  }

  update({ raw }: Kernels, range: UpdateRange, begin: number, end: number): void {
    const { from, to, divisor, clipScale } = range;
    const { beta1, beta2 } = this.#definition;
    const { clipValue, coupledDecay, l1 } = this.#gradient;
    const rate = this.rate(range.step, range.plateau);
    const byte = begin * 4;
    // biome-ignore format: the kernel's arguments, a group a line
    raw.lion(
      end - begin, from.parameters + byte, to.parameters + byte, range.gradientSum + byte,
      from.slots[0]! + byte, to.slots[0]! + byte,
      this.#gradient.scale(divisor), this.#gradient.signed(divisor),
      clipScale, clipValue, coupledDecay, l1, this.#gradient.shrink(rate),
      rate, beta1, 1 - beta1, beta2, 1 - beta2,
    );
  }
}
