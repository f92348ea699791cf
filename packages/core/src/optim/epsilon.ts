import { oneOf, positive } from "./options.ts";

/** Where ε stands: √v + ε (PyTorch), √(v + ε) (Keras), √(v + ε) + ε (textbook). */
export type EpsilonPlacement = "outside" | "inside" | "both";

export interface EpsilonOptions {
  readonly epsilon: number;
  readonly epsilonPlacement: EpsilonPlacement;
}

export const epsilonReaders = {
  epsilon: positive, // at 0, a gradient that is zero would divide zero by zero
  epsilonPlacement: oneOf("outside", "inside", "both"),
};

/** What is added under the root of √(v + inside) + outside. */
export function epsilonInside({ epsilon, epsilonPlacement }: EpsilonOptions): number {
  return epsilonPlacement === "outside" ? 0 : epsilon;
}

export function epsilonOutside({ epsilon, epsilonPlacement }: EpsilonOptions): number {
  return epsilonPlacement === "inside" ? 0 : epsilon;
}
