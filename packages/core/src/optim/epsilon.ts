import type { EpsilonPlacement } from "./definition.ts";

interface EpsilonOptions {
  readonly epsilon: number;
  readonly epsilonPlacement: EpsilonPlacement;
}

/** What is added under the root of √(v + inside) + outside. */
export function epsilonInside({ epsilon, epsilonPlacement }: EpsilonOptions): number {
  return epsilonPlacement === "outside" ? 0 : epsilon;
}

export function epsilonOutside({ epsilon, epsilonPlacement }: EpsilonOptions): number {
  return epsilonPlacement === "inside" ? 0 : epsilon;
}
