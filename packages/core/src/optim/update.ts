import { TuttiError } from "../errors/index.ts";
import { checkAddress, type Kernels } from "../kernels/kernels.ts";
import type { PlateauState } from "./plateau.ts";

/** A state vector beside the parameters: one float32 for each, `initialValue` before the first update. */
export interface Slot {
  readonly name: string;
  readonly initialValue: number;
}

/** Byte addresses of float 0 of the flat layout, on 64 bytes: the parameters, and each slot in the order of `slots`. */
export interface GenerationAddresses {
  readonly parameters: number;
  readonly slots: readonly number[];
}

/** One update of the floats [begin, end), from generation t to t + 1. */
export interface UpdateRange {
  /** Floats of the flat layout; multiples of 16. */
  readonly begin: number;
  readonly end: number;
  /** Number of this update: 1 for the first that is applied to the initial state. */
  readonly step: number;
  /** Sum of the sample weights (rounded to float32): the gradient is gradientSum / divisor. */
  readonly divisor: number;
  /** What `clipScale` returned for the gradient's global norm; 1 without clipping by norm. */
  readonly clipScale: number;
  readonly from: GenerationAddresses;
  readonly to: GenerationAddresses;
  /** Byte address of float 0 of the gradient's sum, on 64 bytes. */
  readonly gradientSum: number;
  /** Where the definition has `reduceOnPlateau`: its state before this update. */
  readonly plateau?: PlateauState;
}

/** How one kind of optimizer updates [begin, end), whatever other ranges do. */
export interface UpdateRule {
  readonly slots: readonly Slot[];
  /** Learning rate of update `step`, in float64. */
  rate(step: number, plateau: PlateauState | undefined): number;
  update(kernels: Kernels, range: UpdateRange, begin: number, end: number): void;
}

/** Throws TuttiError INTERNAL for a range that breaks what UpdateRange says. */
export function checkRange(range: UpdateRange, totalFloats: number, slotCount: number): void {
  const { begin, end, step, from, to } = range;
  if (begin % 16 !== 0 || end % 16 !== 0 || begin < 0 || begin > end || end > totalFloats) {
    throw new TuttiError(
      "INTERNAL",
      `An update needs a range within ${totalFloats} floats in multiples of 16, found [${begin}, ${end}).`,
    );
  }
  if (!Number.isSafeInteger(step) || step < 1) {
    throw new TuttiError("INTERNAL", `Updates are numbered from 1, found ${step}.`);
  }
  if (from.slots.length !== slotCount || to.slots.length !== slotCount) {
    throw new TuttiError(
      "INTERNAL",
      `This optimizer has ${slotCount} slots, found ${from.slots.length} and ${to.slots.length} addresses.`,
    );
  }
  checkAddress(range.gradientSum);
  checkAddress(from.parameters);
  checkAddress(to.parameters);
  for (let slot = 0; slot < slotCount; slot++) {
    checkAddress(from.slots[slot]!);
    checkAddress(to.slots[slot]!);
  }
}
