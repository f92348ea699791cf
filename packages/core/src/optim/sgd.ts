import type { Kernels } from "../kernels/kernels.ts";
import type { SgdDefinition } from "./definition.ts";
import { GradientOptions } from "./gradient-options.ts";
import type { Slot, UpdateRange, UpdateRule } from "./update.ts";

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

  rate(step: number): number {
    return this.#gradient.rate(step);
  }

  update({ raw }: Kernels, range: UpdateRange, begin: number, end: number): void {
    const { from, to, step, clipScale } = range;
    const { momentum, dampening, nesterov, velocity } = this.#definition;
    const { clipValue, coupledDecay } = this.#gradient;
    const rate = this.rate(step);
    const byte = begin * 4;
    const count = end - begin;
    const parameter = from.parameters + byte;
    const nextParameter = to.parameters + byte;
    const sum = range.gradientSum + byte;
    const divisor = this.#gradient.signed(range.divisor);
    const decoupledDecay = this.#gradient.decoupledDecay(rate);
    if (momentum === 0) {
      // biome-ignore format: the kernel's arguments, a group a line
      raw.sgd(
        count, parameter, nextParameter, sum,
        divisor, clipScale, clipValue, coupledDecay, decoupledDecay,
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
      divisor, clipScale, clipValue, coupledDecay, decoupledDecay,
      isStep ? rate : 1, isStep ? 1 : rate, momentum, step === 1 ? 1 : 1 - dampening,
    );
  }
}
