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
import { type EpsilonOptions, epsilonInside, epsilonOutside, epsilonReaders } from "./epsilon.ts";
import { GradientOptions } from "./gradient-options.ts";
import { nonNegative } from "./options.ts";
import type { PlateauState } from "./plateau.ts";
import type { Slot, UpdateRange, UpdateRule } from "./update.ts";

/** ε is 1e-10 and "outside" by default. */
export interface AdagradOptions extends RuleOptions, EpsilonOptions {
  /** Update t runs at lr/(1 + (t − 1)·lrDecay); default 0. */
  readonly lrDecay: number;
  /** What the sum of squares starts from; default 0 (Keras: 0.1). */
  readonly initialAccumulator: number;
}

export type AdagradDefinition = Definition<"adagrad", AdagradOptions>;

const defaults = {
  ...{ lr: 0.01, ...ruleDefaults, ...sharedDefaults, lrDecay: 0, initialAccumulator: 0 },
  ...{ epsilon: 1e-10, epsilonPlacement: "outside" },
} as const;

/** Duchi, Hazan and Singer, "Adaptive subgradient methods" (2011), as torch.optim.Adagrad. Throws TuttiError BAD_OPTION. */
export function adagrad(options: Given<AdagradOptions> = {}): AdagradDefinition {
  return checkAdagrad("optim.adagrad", { ...defaults, ...options });
}

export function checkAdagrad(where: string, found: object): AdagradDefinition {
  const readers = { ...ruleReaders, ...epsilonReaders, lrDecay: nonNegative, initialAccumulator: nonNegative };
  return checkDefinition("adagrad", where, found, readers);
}

/**
 * Per element in float32, after what GradientOptions says, with clr = lr/(1 + (step − 1)·lrDecay) in float64:
 *
 *     a = a + g·g;  θ = θ − (clr·g) / (√(a + inside) + outside)
 */
export class AdagradRule implements UpdateRule {
  readonly slots: readonly Slot[];
  readonly #definition: AdagradDefinition;
  readonly #gradient: GradientOptions;

  constructor(definition: AdagradDefinition) {
    this.#definition = definition;
    this.#gradient = new GradientOptions(definition);
    this.slots = [{ name: "squareSum", initialValue: Math.fround(definition.initialAccumulator) }];
  }

  rate(step: number, plateau: PlateauState | undefined): number {
    return this.#gradient.rate(step, plateau) / (1 + (step - 1) * this.#definition.lrDecay);
  }

  update({ raw }: Kernels, range: UpdateRange, begin: number, end: number): void {
    const { from, to, clipScale } = range;
    const { clipValue, coupledDecay, l1 } = this.#gradient;
    const rate = this.rate(range.step, range.plateau);
    const byte = begin * 4;
    // biome-ignore format: the kernel's arguments, a group a line
    raw.adagrad(
      end - begin, from.parameters + byte, to.parameters + byte, range.gradientSum + byte,
      from.slots[0]! + byte, to.slots[0]! + byte,
      this.#gradient.scale(range.divisor), this.#gradient.signed(range.divisor),
      clipScale, clipValue, coupledDecay, l1, this.#gradient.shrink(rate),
      rate, epsilonInside(this.#definition), epsilonOutside(this.#definition),
    );
  }
}
