import { TuttiError } from "../../errors/index.ts";
import type { Attributes } from "../node.ts";
import { batchAxis, type Shape, shapeToString, staticShape } from "../shape.ts";
import { integersAttribute } from "../type-rules.ts";

/** How a kernel slides over the spatial axes (those behind samples and channels); one entry for each of them. */
export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Added before and after each axis. */
  readonly begin: readonly number[];
  readonly end: readonly number[];
}

/** What a user says of a window; all in ONNX's order, `pads` before each axis and then after each. */
export interface WindowOptions {
  readonly strides?: readonly number[];
  readonly pads?: readonly number[];
}

/**
 * The sizes of the spatial axes of images [samples, channels, …]. Throws SHAPE_MISMATCH for a tensor without spatial
 * axes, MIXES_SAMPLES when samples are counted by another axis than the first.
 */
export function spatialSizes(shape: Shape, at: string): readonly number[] {
  if (shape.length < 3) {
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `${at}: expected [samples, channels, …sizes], found ${shapeToString(shape)}; add an axis of channels, e.g. .unsqueeze(1)`,
      { shapes: [shapeToString(shape)] },
    );
  }
  refuseMovedSamples(shape, at);
  return staticShape(shape.slice(2));
}

/** Throws MIXES_SAMPLES when samples are counted by another axis than the first. */
export function refuseMovedSamples(shape: Shape, at: string): void {
  if (batchAxis(shape) < 1) return;
  throw new TuttiError(
    "MIXES_SAMPLES",
    `${at}: axis ${batchAxis(shape)} of ${shapeToString(shape)} counts samples, and samples must not affect each other; transpose it to the front`,
    { shapes: [shapeToString(shape)] },
  );
}

/** Throws MIXES_SAMPLES for a weight, scale or bias that is one per sample. */
export function refuseSamples(shape: Shape | undefined, what: string, at: string): void {
  if (shape === undefined || batchAxis(shape) === -1) return;
  throw new TuttiError(
    "MIXES_SAMPLES",
    `${at}: the ${what} ${shapeToString(shape)} counts samples, but is shared by all of them; expected known sizes`,
    { shapes: [shapeToString(shape)] },
  );
}

/** The window that ONNX attributes describe. Throws SHAPE_MISMATCH for a wrong number of entries, or entries out of range. */
export function windowOf(attributes: Attributes, kernel: readonly number[], at: string): Window {
  const rank = kernel.length;
  const list = (name: string, fallback: number, least: number, count = rank): readonly number[] => {
    const values = integersAttribute(attributes, name, at) ?? Array.from({ length: count }, () => fallback);
    if (values.length !== count || values.some((value) => value < least)) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `${at}: ${name} is [${values.join(",")}], expected ${count} integers >= ${least} for a kernel [${kernel.join(",")}]`,
      );
    }
    return values;
  };
  const pads = list("pads", 0, 0, 2 * rank);
  return {
    kernel,
    strides: list("strides", 1, 1),
    dilations: list("dilations", 1, 1),
    begin: pads.slice(0, rank),
    end: pads.slice(rank),
  };
}

/** From the first to the last entry that the window touches along an axis. */
export function extent({ kernel, dilations }: Window, axis: number): number {
  return (kernel[axis]! - 1) * dilations[axis]! + 1;
}

/**
 * How many places the window has along each axis. With `ceil` the last one may reach beyond the end, if it starts before.
 * Throws SHAPE_MISMATCH where it has none.
 */
export function placesOf(sizes: readonly number[], window: Window, ceil: boolean, at: string): readonly number[] {
  return sizes.map((size, axis) => {
    const stride = window.strides[axis]!;
    const room = size + window.begin[axis]! + window.end[axis]! - extent(window, axis);
    if (room < 0) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `${at}: the kernel [${window.kernel.join(",")}] reaches over ${extent(window, axis)} entries, but axis ${axis + 2} has ${size} and ${window.begin[axis]! + window.end[axis]!} of padding`,
      );
    }
    if (!ceil) return Math.floor(room / stride) + 1;
    const places = Math.ceil(room / stride) + 1;
    return (places - 1) * stride >= size + window.begin[axis]! ? places - 1 : places;
  });
}
