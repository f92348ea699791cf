import type { CommonOptions } from "./definition.ts";
import { rateAt } from "./schedule.ts";

/**
 * The options every optimizer shares, as the numbers the kernels take; what is off becomes the neutral number. Each is
 * rounded once to float32, by the kernel's argument. Per element, in float32 and in this order:
 *
 *     g = gradientSum / divisor; g = g·clipScale; g = clamp(g, ±clipValue); g = g + coupledDecay·θ
 *     θ = θ − decoupledDecay·θ   (before the optimizer's own step, with g from the old θ)
 *
 * A decay of 0 is not computed, so that it changes no bit of finite numbers, not even of −0.
 */
export class GradientOptions {
  readonly clipValue: number;
  readonly coupledDecay: number;
  readonly #options: CommonOptions;

  constructor(options: CommonOptions) {
    this.#options = options;
    this.clipValue = options.clipValue ?? Number.POSITIVE_INFINITY;
    this.coupledDecay = options.decay === "coupled" ? options.weightDecay : 0;
  }

  /** To maximize is to negate the gradient; division and clipping commute with that, bit for bit. */
  signed(divisor: number): number {
    return this.#options.maximize ? -divisor : divisor;
  }

  /** In float64, before rounding. */
  rate(step: number): number {
    return rateAt(this.#options.lr, step);
  }

  decoupledDecay(rate: number): number {
    return this.#options.decay === "decoupled" ? rate * this.#options.weightDecay : 0;
  }
}
