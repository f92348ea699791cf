import type { Kernels } from "../kernels/kernels.ts";
import type { RmspropDefinition } from "./definition.ts";
import { epsilonInside, epsilonOutside } from "./epsilon.ts";
import { GradientOptions } from "./gradient-options.ts";
import type { Slot, UpdateRange, UpdateRule } from "./update.ts";

/**
 * Per element in float32, after what GradientOptions says, α and 1 − α each rounded once:
 *
 *     s = α·s + ((1 − α)·g)·g
 *     centered:  m = α·m + (1 − α)·g;  variance = max(s − m·m, 0), else variance = s
 *     root = √(variance + inside) + outside
 *     without momentum:     θ = θ − (lr·g) / root
 *     velocity "gradient":  v = μ·v + g / root;       θ = θ − lr·v
 *     velocity "step":      v = μ·v + (lr·g) / root;  θ = θ − v
 */
export class RmspropRule implements UpdateRule {
  readonly slots: readonly Slot[];
  readonly #definition: RmspropDefinition;
  readonly #gradient: GradientOptions;

  constructor(definition: RmspropDefinition) {
    this.#definition = definition;
    this.#gradient = new GradientOptions(definition);
    const names = ["squareAverage"];
    if (definition.centered) names.push("gradientAverage");
    if (definition.momentum !== 0) names.push("momentum");
    this.slots = names.map((name) => ({ name, initialValue: 0 }));
  }

  rate(step: number): number {
    return this.#gradient.rate(step);
  }

  update({ raw }: Kernels, range: UpdateRange, begin: number, end: number): void {
    const { from, to, clipScale } = range;
    const { alpha, centered, momentum, velocity } = this.#definition;
    const { clipValue, coupledDecay } = this.#gradient;
    const rate = this.rate(range.step);
    const rateBefore = velocity === "step" ? rate : 1;
    const rateAfter = velocity === "step" ? 1 : rate;
    const inside = epsilonInside(this.#definition);
    const outside = epsilonOutside(this.#definition);
    const byte = begin * 4;
    const count = end - begin;
    const parameter = from.parameters + byte;
    const nextParameter = to.parameters + byte;
    const sum = range.gradientSum + byte;
    const square = from.slots[0]! + byte;
    const nextSquare = to.slots[0]! + byte;
    const divisor = this.#gradient.signed(range.divisor);
    const decoupledDecay = this.#gradient.decoupledDecay(rate);
    if (centered && momentum !== 0) {
      // biome-ignore format: the kernel's arguments, a group a line
      raw.rmspropCenteredMomentum(
        count, parameter, nextParameter, sum, square, nextSquare,
        from.slots[1]! + byte, to.slots[1]! + byte, from.slots[2]! + byte, to.slots[2]! + byte,
        divisor, clipScale, clipValue, coupledDecay, decoupledDecay,
        rateBefore, rateAfter, alpha, 1 - alpha, inside, outside, momentum,
      );
    } else if (centered) {
      // biome-ignore format: the kernel's arguments, a group a line
      raw.rmspropCentered(
        count, parameter, nextParameter, sum, square, nextSquare,
        from.slots[1]! + byte, to.slots[1]! + byte,
        divisor, clipScale, clipValue, coupledDecay, decoupledDecay,
        rate, alpha, 1 - alpha, inside, outside,
      );
    } else if (momentum !== 0) {
      // biome-ignore format: the kernel's arguments, a group a line
      raw.rmspropMomentum(
        count, parameter, nextParameter, sum, square, nextSquare,
        from.slots[1]! + byte, to.slots[1]! + byte,
        divisor, clipScale, clipValue, coupledDecay, decoupledDecay,
        rateBefore, rateAfter, alpha, 1 - alpha, inside, outside, momentum,
      );
    } else {
      // biome-ignore format: the kernel's arguments, a group a line
      raw.rmsprop(
        count, parameter, nextParameter, sum, square, nextSquare,
        divisor, clipScale, clipValue, coupledDecay, decoupledDecay,
        rate, alpha, 1 - alpha, inside, outside,
      );
    }
  }
}
