import type { RuleOptions } from "./common-options.ts";
import { type PlateauState, type ReduceOnPlateau, reducedRate } from "./plateau.ts";
import { rateAt } from "./rate-at.ts";

/**
 * The options every optimizer shares, as the numbers the kernels take; what is off becomes the neutral number. Each is
 * rounded once to float32, by the kernel's argument. Per element, in float32 and in this order:
 *
 *     g = gradientSum / divisor; g = g·clipScale; g = clamp(g, ±clipValue)
 *     g = g + coupledDecay·θ; g = g + l1·sign(θ)
 *     θ = (1 − lr·λ)·θ if decay is decoupled, before the optimizer's own step, with g from the old θ
 *
 * A penalty of 0 is not computed, so that it changes no bit of finite numbers, not even of −0.
 */
export class GradientOptions {
  readonly clipValue: number;
  /** λ if coupled, plus `l2`. */
  readonly coupledDecay: number;
  readonly l1: number;
  readonly #options: RuleOptions & { readonly reduceOnPlateau: ReduceOnPlateau | null };

  constructor(options: RuleOptions & { readonly reduceOnPlateau: ReduceOnPlateau | null }) {
    this.#options = options;
    this.clipValue = options.clipValue ?? Number.POSITIVE_INFINITY;
    this.coupledDecay = (options.decay === "coupled" ? options.weightDecay : 0) + options.l2;
    this.l1 = options.l1;
  }

  /** To maximize is to negate the gradient; division and clipping commute with that, bit for bit. */
  signed(divisor: number): number {
    return this.#options.maximize ? -divisor : divisor;
  }

  /**
   * 1/divisor where multiplying by it gives the bits of the division: where it is a float32, which it is for a power of two.
   * Else 0.
   */
  scale(divisor: number): number {
    const rounded = Math.fround(this.signed(divisor));
    const reciprocal = Math.fround(1 / rounded);
    return reciprocal * rounded === 1 ? reciprocal : 0; // the product of two float32 is exact in float64
  }

  /** In float64, before rounding. */
  rate(step: number, plateau: PlateauState | undefined): number {
    const { lr, reduceOnPlateau } = this.#options;
    const rate = rateAt(lr, step);
    return reduceOnPlateau === null || plateau === undefined ? rate : reducedRate(reduceOnPlateau, plateau, rate);
  }

  /** 1 − lr·λ, but not below 0, if decoupled, else 1: what is kept of θ. */
  shrink(rate: number): number {
    const { decay, weightDecay } = this.#options;
    return decay === "decoupled" ? Math.max(0, 1 - rate * weightDecay) : 1; // below 0, padding would become −0
  }
}
