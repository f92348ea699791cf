import { TuttiError } from "../errors/index.ts";
import type { Augmentation } from "../step/augmentation.ts";
import { isRecord } from "./source.ts";

/**
 * Random changes of training samples, for `defineRun({ augment: { image: [augment.flip({ axis: 2 })] } })`: plain data. What
 * becomes of a sample depends on the seed, the epoch and the sample's position in it. Axes count from 0, the batch's not
 * counted: of images [channels, height, width], 1 is vertical and 2 horizontal.
 *
 * @namespace
 */
export const augment = {
  /** Turns samples around along an axis, with a probability of ½ by default. Throws BAD_OPTION. */
  flip({ axis, probability = 0.5 }: { readonly axis: number; readonly probability?: number }): Augmentation {
    return checkAugmentation("augment.flip", { kind: "flip", axis, probability });
  },
  /**
   * Moves samples along the axes by up to `padding` values either way, each as likely; what comes in is zero. As if samples were
   * padded with zeros and a piece of the old size cut out. Throws BAD_OPTION.
   */
  crop({ axes, padding }: { readonly axes: readonly number[]; readonly padding: number }): Augmentation {
    return checkAugmentation("augment.crop", { kind: "crop", axes, padding });
  },
  /** Adds normal noise of this standard deviation, in the units of the column. Throws BAD_OPTION. */
  noise({ std }: { readonly std: number }): Augmentation {
    return checkAugmentation("augment.noise", { kind: "noise", std });
  },
} as const;

/** A copy of plain data as a change. @param where for the message. Throws BAD_OPTION. */
export function checkAugmentation(where: string, found: unknown): Augmentation {
  const bad = (expected: string): TuttiError =>
    new TuttiError("BAD_OPTION", `${where}: expected ${expected}, found ${JSON.stringify(found) ?? String(found)}`);
  if (!isRecord(found)) throw bad("augment.flip, augment.crop or augment.noise");
  const { kind, axis, probability, axes, padding, std, ...others } = found;
  if (Object.keys(others).length > 0) throw bad("no other options");
  const isAxis = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;
  switch (kind) {
    case "flip":
      if (!isAxis(axis)) throw bad("an axis from 0 on");
      if (typeof probability !== "number" || !(probability > 0 && probability <= 1))
        throw bad("a probability above 0 and up to 1");
      return { kind, axis, probability };
    case "crop":
      if (!Array.isArray(axes) || axes.length === 0 || !axes.every(isAxis) || new Set(axes).size !== axes.length)
        throw bad("a list of different axes");
      if (!isAxis(padding) || padding === 0) throw bad("a positive whole number as padding");
      return { kind, axes: [...axes], padding };
    case "noise":
      if (typeof std !== "number" || !(std > 0 && std < Number.POSITIVE_INFINITY)) throw bad("a positive std");
      return { kind, std };
    default:
      throw bad("augment.flip, augment.crop or augment.noise");
  }
}
