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
import { flag, fraction, oneOf } from "./options.ts";
import type { PlateauState } from "./plateau.ts";
import type { Slot, UpdateRange, UpdateRule } from "./update.ts";

/** ε is 1e-8 and "outside" by default. */
export interface RmspropOptions extends RuleOptions, EpsilonOptions {
  /** Share of the old average of squares; default 0.99. */
  readonly alpha: number;
  /** μ; 0 (default) keeps no velocity. */
  readonly momentum: number;
  /** Divide by the root of the variance, v − ḡ², instead of v; default false. */
  readonly centered: boolean;
  /** As in SGD. */
  readonly velocity: "gradient" | "step";
}

export type RmspropDefinition = Definition<"rmsprop", RmspropOptions>;

const defaults = {
  ...{ lr: 0.01, ...ruleDefaults, ...sharedDefaults, alpha: 0.99, epsilon: 1e-8, epsilonPlacement: "outside" },
  ...{ momentum: 0, centered: false, velocity: "gradient" },
} as const;

/** Hinton's RMSprop (2012) and Graves's centered form (2013), as torch.optim.RMSprop. Throws TuttiError BAD_OPTION. */
export function rmsprop(options: Given<RmspropOptions> = {}): RmspropDefinition {
  return checkRmsprop("optim.rmsprop", { ...defaults, ...options });
}

export function checkRmsprop(where: string, found: object): RmspropDefinition {
  const velocity = { momentum: fraction, velocity: oneOf("gradient", "step") };
  const readers = { ...ruleReaders, ...epsilonReaders, ...velocity, alpha: fraction, centered: flag };
  return checkDefinition("rmsprop", where, found, readers);
}

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

  rate(step: number, plateau: PlateauState | undefined): number {
    return this.#gradient.rate(step, plateau);
  }

  update({ raw }: Kernels, range: UpdateRange, begin: number, end: number): void {
    const { from, to, clipScale } = range;
    const { alpha, centered, momentum, velocity } = this.#definition;
    const { clipValue, coupledDecay, l1 } = this.#gradient;
    const rate = this.rate(range.step, range.plateau);
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
    const scale = this.#gradient.scale(range.divisor);
    const shrink = this.#gradient.shrink(rate);
    if (centered && momentum !== 0) {
      // biome-ignore format: the kernel's arguments, a group a line
      raw.rmspropCenteredMomentum(
        count, parameter, nextParameter, sum, square, nextSquare,
        from.slots[1]! + byte, to.slots[1]! + byte, from.slots[2]! + byte, to.slots[2]! + byte,
        scale, divisor, clipScale, clipValue, coupledDecay, l1, shrink,
        rateBefore, rateAfter, alpha, 1 - alpha, inside, outside, momentum,
      );
    } else if (centered) {
      // biome-ignore format: the kernel's arguments, a group a line
      raw.rmspropCentered(
        count, parameter, nextParameter, sum, square, nextSquare,
        from.slots[1]! + byte, to.slots[1]! + byte,
        scale, divisor, clipScale, clipValue, coupledDecay, l1, shrink,
        rate, alpha, 1 - alpha, inside, outside,
      );
    } else if (momentum !== 0) {
      // biome-ignore format: the kernel's arguments, a group a line
      raw.rmspropMomentum(
        count, parameter, nextParameter, sum, square, nextSquare,
        from.slots[1]! + byte, to.slots[1]! + byte,
        scale, divisor, clipScale, clipValue, coupledDecay, l1, shrink,
        rateBefore, rateAfter, alpha, 1 - alpha, inside, outside, momentum,
      );
    } else {
      // biome-ignore format: the kernel's arguments, a group a line
      raw.rmsprop(
        count, parameter, nextParameter, sum, square, nextSquare,
        scale, divisor, clipScale, clipValue, coupledDecay, l1, shrink,
        rate, alpha, 1 - alpha, inside, outside,
      );
    }
  }
}
