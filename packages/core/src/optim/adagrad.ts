import type { Kernels } from "../kernels/kernels.ts";
import type { AdagradDefinition } from "./definition.ts";
import { epsilonInside, epsilonOutside } from "./epsilon.ts";
import { GradientOptions } from "./gradient-options.ts";
import type { Slot, UpdateRange, UpdateRule } from "./update.ts";

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

  rate(step: number): number {
    return this.#gradient.rate(step) / (1 + (step - 1) * this.#definition.lrDecay);
  }

  update({ raw }: Kernels, range: UpdateRange, begin: number, end: number): void {
    const { from, to, clipScale } = range;
    const { clipValue, coupledDecay } = this.#gradient;
    const rate = this.rate(range.step);
    const byte = begin * 4;
    // biome-ignore format: the kernel's arguments, a group a line
    raw.adagrad(
      end - begin, from.parameters + byte, to.parameters + byte, range.gradientSum + byte,
      from.slots[0]! + byte, to.slots[0]! + byte,
      this.#gradient.signed(range.divisor), clipScale, clipValue, coupledDecay, this.#gradient.decoupledDecay(rate),
      rate, epsilonInside(this.#definition), epsilonOutside(this.#definition),
    );
  }
}
