import { TuttiError } from "../../errors/index.ts";
import type { Attributes } from "../node.ts";
import type { Op } from "../op.ts";
import { normalizeAxis, type Shape, shapeToString, staticShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { expectDType, floats, inputType, integersAttribute, oneOf, refuseBatchAxis } from "../type-rules.ts";

const modes = ["constant", "reflect", "edge", "wrap"] as const;

export interface PadOptions {
  /** What is added: a value, the mirrored entries (without the outermost), the outermost one, or those of the other end. */
  readonly mode?: (typeof modes)[number];
  /** 0 by default. */
  readonly value?: number;
}

/** Pads before each axis, then after each. */
export function padded(x: Tensor, pads: readonly number[], { mode = "constant", value }: PadOptions): Tensor {
  return x.graph.apply(pad, [x], { mode, pads, value })[0]!;
}

interface Padding {
  readonly axis: number;
  readonly size: number;
  readonly before: number;
  readonly after: number;
}

/** What is added to each axis that changes. */
function paddedAxes(shape: Shape, attributes: Attributes, at: string): readonly Padding[] {
  const axes = integersAttribute(attributes, "axes", at) ?? shape.map((_, axis) => axis);
  const pads = integersAttribute(attributes, "pads", at) ?? [];
  const mode = attributes.mode ?? "constant";
  if (pads.length !== 2 * axes.length) {
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `${at}: pads [${pads.join(",")}] for ${shapeToString(shape)}: expected a count before each axis, then after each`,
    );
  }
  return axes.flatMap((named, i) => {
    const [before, after] = [pads[i]!, pads[i + axes.length]!];
    if (before === 0 && after === 0) return [];
    const axis = normalizeAxis(named, shape.length, at);
    refuseBatchAxis(shape, axis, at, "adds entries to", "pad another axis");
    const size = staticShape([shape[axis]!])[0]!;
    const most = mode === "reflect" ? size - 1 : mode === "wrap" ? size : Number.POSITIVE_INFINITY;
    const least = mode === "constant" ? -size : 0;
    if (Math.min(before, after) < least || Math.max(before, after) > most || size + before + after < 0) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `${at}: pads ${before} and ${after} at axis ${axis} of ${shapeToString(shape)}: expected ${least}…${most} in mode ${String(mode)}`,
      );
    }
    return [{ axis, size, before, after }];
  });
}

// dx = the part of dy that x became, plus what was copied from elsewhere in x, put back there
export const pad: Op = {
  type: "Pad",
  label: "pad",
  domain: "",
  arity: [1, 1],
  attributes: { mode: "string", pads: "intsInput", value: "floatInput", axes: "intsInput" },
  infer(inputs, attributes, at) {
    const { dtype, shape } = inputType(inputs, 0, at);
    expectDType(dtype, floats, at);
    oneOf(attributes.mode, modes, "mode", at);
    const result = [...shape];
    for (const { axis, size, before, after } of paddedAxes(shape, attributes, at)) result[axis] = size + before + after;
    return [{ dtype, shape: result }];
  },
  gradient({ inputs, attributes, dy }) {
    const { mode } = attributes;
    const axes = paddedAxes(inputs[0]!.shape, attributes, "gradient");
    return [axes.reduce((gradient, padding) => back(gradient, padding, String(mode ?? "constant")), dy[0]!)];
  },
};

/** The gradient by what one axis was before it was padded. */
function back(dy: Tensor, { axis, size, before, after }: Padding, mode: string): Tensor {
  const placed = (part: Tensor, start: number): Tensor => {
    const rest = size - start - Number(part.shape[axis]);
    return along(part, axis, start, rest);
  };
  const own = dy.slice(axis, Math.max(0, before), size + before + Math.min(0, after));
  if (mode === "constant") return placed(own, Math.max(0, -before));
  const parts: Tensor[] = [own];
  const end = before + size;
  if (before > 0) {
    const head = dy.slice(axis, 0, before);
    if (mode === "edge") parts.push(placed(head.sum(axis, true), 0));
    else if (mode === "reflect") parts.push(placed(reversed(head, axis), 1));
    else parts.push(placed(head, size - before));
  }
  if (after > 0) {
    const tail = dy.slice(axis, end, end + after);
    if (mode === "edge") parts.push(placed(tail.sum(axis, true), size - 1));
    else if (mode === "reflect") parts.push(placed(reversed(tail, axis), size - 1 - after));
    else parts.push(placed(tail, 0));
  }
  return parts.reduce((sum, part) => sum.add(part));
}

function reversed(tensor: Tensor, axis: number): Tensor {
  return tensor.slice(axis, -1, -Number(tensor.shape[axis]) - 1, -1);
}

/** Zeros added along one axis. */
function along(tensor: Tensor, axis: number, before: number, after: number): Tensor {
  if (before === 0 && after === 0) return tensor;
  const pads = [before, after].flatMap((count) => tensor.shape.map((_, i) => (i === axis ? count : 0)));
  return padded(tensor, pads, {});
}
