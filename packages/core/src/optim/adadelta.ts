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
import { fraction, positive } from "./options.ts";
import type { PlateauState } from "./plateau.ts";
import type { Slot, UpdateRange, UpdateRule } from "./update.ts";

export interface AdadeltaOptions extends RuleOptions {
  /** ρ, share of the old averages; default 0.9. */
  readonly rho: number;
  /** ε, added to both averages under the root; default 1e-6. */
  readonly epsilon: number;
}

export type AdadeltaDefinition = Definition<"adadelta", AdadeltaOptions>;

const defaults = { lr: 1, ...ruleDefaults, ...sharedDefaults, rho: 0.9, epsilon: 1e-6 } as const;

/** Zeiler, "ADADELTA: an adaptive learning rate method" (2012), as torch.optim.Adadelta. Throws TuttiError BAD_OPTION. */
export function adadelta(options: Given<AdadeltaOptions> = {}): AdadeltaDefinition {
  return checkAdadelta("optim.adadelta", { ...defaults, ...options });
}

export function checkAdadelta(where: string, found: object): AdadeltaDefinition {
  return checkDefinition("adadelta", where, found, { ...ruleReaders, rho: fraction, epsilon: positive });
}

/**
 * Per element in float32, after what GradientOptions says, ρ and 1 − ρ each rounded once:
 *
 *     s = ρ·s + ((1 − ρ)·g)·g;  δ = √((a + ε) / (s + ε))·g;  a = ρ·a + ((1 − ρ)·δ)·δ;  θ = θ − lr·δ
 */
export class AdadeltaRule implements UpdateRule {
  readonly slots: readonly Slot[] = [
    { name: "squareAverage", initialValue: 0 },
    { name: "squareStepAverage", initialValue: 0 },
  ];
  readonly #definition: AdadeltaDefinition;
  readonly #gradient: GradientOptions;

  constructor(definition: AdadeltaDefinition) {
    this.#definition = definition;
    this.#gradient = new GradientOptions(definition);
  }

  rate(step: number, plateau: PlateauState | undefined): number {
    return this.#gradient.rate(step, plateau);
  }

  update({ raw }: Kernels, range: UpdateRange, begin: number, end: number): void {
    const { from, to, divisor, clipScale } = range;
    const { rho, epsilon } = this.#definition;
    const { clipValue, coupledDecay, l1 } = this.#gradient;
    const rate = this.rate(range.step, range.plateau);
    const byte = begin * 4;
    // biome-ignore format: the kernel's arguments, a group a line
    raw.adadelta(
      end - begin, from.parameters + byte, to.parameters + byte, range.gradientSum + byte,
      from.slots[0]! + byte, to.slots[0]! + byte, from.slots[1]! + byte, to.slots[1]! + byte,
      this.#gradient.scale(divisor), this.#gradient.signed(divisor),
      clipScale, clipValue, coupledDecay, l1, this.#gradient.shrink(rate),
      rate, rho, 1 - rho, epsilon,
    );
  }
}
