import { TuttiError } from "../../errors/index.ts";
import type { Attributes } from "../node.ts";
import type { Op } from "../op.ts";
import { normalizeAxis, type Shape, sameShape, shapeToString, staticShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { inputType, integerAttribute, integersAttribute, refuseBatchAxis, sharedDType } from "../type-rules.ts";
import { pad } from "./padding.ts";
import { scatterAlong } from "./scatter.ts";

// dx_i = the part of dy that x_i became
export const concat: Op = {
  type: "Concat",
  label: "concat",
  domain: "",
  arity: [1, Number.MAX_SAFE_INTEGER],
  attributes: { axis: "int" },
  infer(inputs, attributes, at) {
    const dtype = sharedDType(inputs, at);
    const shapes = inputs.map((_, i) => inputType(inputs, i, at).shape);
    const first = shapes[0]!;
    const axis = normalizeAxis(integerAttribute(attributes, "axis", at), first.length, at);
    let size = 0;
    for (const shape of shapes) {
      refuseBatchAxis(shape, axis, at, "joins along", "join along another axis");
      const rest = (of: Shape): Shape => of.filter((_, i) => i !== axis);
      if (shape.length !== first.length || !sameShape(rest(shape), rest(first))) {
        throw new TuttiError(
          "SHAPE_MISMATCH",
          `${at}: shapes differ outside of axis ${axis}: ${shapes.map(shapeToString).join(", ")}`,
        );
      }
      size += Number(shape[axis]);
    }
    return [{ dtype, shape: first.map((dim, i) => (i === axis ? size : dim)) }];
  },
  gradient({ inputs, attributes, dy, needs }) {
    const gradient = dy[0]!;
    const axis = normalizeAxis(integerAttribute(attributes, "axis", "gradient"), gradient.rank, "gradient");
    let start = 0;
    return inputs.map((input, i) => {
      const from = start;
      start += staticShape(input!.shape)[axis]!;
      return needs[i] ? gradient.slice(axis, from, start) : null;
    });
  },
};

// dx = the gradients of the parts side by side, zeros for parts that the loss does not depend on
export const split: Op = {
  type: "Split",
  label: "split",
  domain: "",
  arity: [1, 1],
  attributes: { axis: "int", num_outputs: "int", split: "intsInput" },
  infer(inputs, attributes, at) {
    const { dtype, shape } = inputType(inputs, 0, at);
    const axis = normalizeAxis(integerAttribute(attributes, "axis", at, 0), shape.length, at);
    refuseBatchAxis(shape, axis, at, "takes parts of", "split another axis");
    const sizes = splitSizes(Number(shape[axis]), attributes, at);
    return sizes.map((size) => ({ dtype, shape: shape.map((dim, i) => (i === axis ? size : dim)) }));
  },
  gradient({ inputs, outputs, attributes, dy }) {
    const x = inputs[0]!;
    const axis = normalizeAxis(integerAttribute(attributes, "axis", "gradient", 0), x.rank, "gradient");
    const [first, ...rest] = outputs.map(
      (output, i) => dy[i] ?? x.graph.scalar(0, x.dtype).expand(staticShape(output.shape)),
    );
    return [first!.concat(rest, axis)];
  },
};

/** The sizes of the parts: as told, or of equal size, the last one with what is left. */
function splitSizes(size: number, attributes: Attributes, at: string): readonly number[] {
  const told = integersAttribute(attributes, "split", at);
  if (told !== undefined) {
    if (attributes.num_outputs !== undefined)
      throw new TuttiError("SHAPE_MISMATCH", `${at}: both split and num_outputs are given, expected one of them`);
    const total = told.reduce((sum, part) => sum + part, 0);
    if (told.length === 0 || told.some((part) => part < 0) || total !== size)
      throw new TuttiError("SHAPE_MISMATCH", `${at}: parts [${told.join(",")}] of an axis of size ${size}`);
    return told;
  }
  const count = integerAttribute(attributes, "num_outputs", at);
  const part = Math.ceil(size / count);
  const last = size - part * (count - 1);
  if (count < 1 || last < 0)
    throw new TuttiError("SHAPE_MISMATCH", `${at}: an axis of size ${size} does not make ${count} parts`);
  return Array.from({ length: count }, (_, i) => (i === count - 1 ? last : part));
}

interface Range {
  readonly axis: number;
  readonly start: number;
  readonly step: number;
  readonly count: number;
}

/** What a Slice takes of each axis it names, by ONNX's clamping rules. */
function ranges(shape: Shape, attributes: Attributes, at: string): readonly Range[] {
  const starts = integersAttribute(attributes, "starts", at) ?? [];
  const ends = integersAttribute(attributes, "ends", at) ?? [];
  const axes = integersAttribute(attributes, "axes", at) ?? starts.map((_, i) => i);
  const steps = integersAttribute(attributes, "steps", at) ?? starts.map(() => 1);
  if (ends.length !== starts.length || axes.length !== starts.length || steps.length !== starts.length) {
    throw new TuttiError("SHAPE_MISMATCH", `${at}: starts, ends, axes and steps differ in length`);
  }
  return starts.map((rawStart, i) => {
    const axis = normalizeAxis(axes[i]!, shape.length, at);
    refuseBatchAxis(shape, axis, at, "takes a part of", "slice another axis");
    const size = staticShape([shape[axis]!])[0]!;
    const step = steps[i]!;
    if (step === 0) throw new TuttiError("SHAPE_MISMATCH", `${at}: step 0 along axis ${axis}`);
    const clamp = (value: number, low: number, high: number): number =>
      Math.min(Math.max(value < 0 ? value + size : value, low), high);
    const start = step > 0 ? clamp(rawStart, 0, size) : clamp(rawStart, 0, size - 1);
    const end = step > 0 ? clamp(ends[i]!, 0, size) : clamp(ends[i]!, -1, size - 1);
    return { axis, start, step, count: Math.max(0, Math.ceil((end - start) / step)) };
  });
}

// dx = dy where x was taken, 0 elsewhere
export const slice: Op = {
  type: "Slice",
  label: "slice",
  domain: "",
  arity: [1, 1],
  attributes: { starts: "intsInput", ends: "intsInput", axes: "intsInput", steps: "intsInput" },
  infer(inputs, attributes, at) {
    const { dtype, shape } = inputType(inputs, 0, at);
    const counts = new Map(ranges(shape, attributes, at).map(({ axis, count }) => [axis, count]));
    return [{ dtype, shape: shape.map((dim, axis) => counts.get(axis) ?? dim) }];
  },
  gradient({ inputs, attributes, dy }) {
    const shape = staticShape(inputs[0]!.shape);
    let gradient: Tensor = dy[0]!;
    const before = shape.map(() => 0);
    const after = shape.map(() => 0);
    for (const { axis, start, step, count } of ranges(shape, attributes, "gradient")) {
      if (step === 1) {
        before[axis] = start;
        after[axis] = shape[axis]! - start - count;
      } else {
        const taken = BigInt64Array.from({ length: count }, (_, i) => BigInt(start + i * step));
        gradient = scatterAlong(gradient, gradient.graph.constant(taken, [count], "int64"), axis, shape[axis]!);
      }
    }
    const pads = [...before, ...after];
    return [
      pads.every((pad) => pad === 0) ? gradient : gradient.graph.apply(pad, [gradient], { mode: "constant", pads })[0]!,
    ];
  },
};
