import { TuttiError } from "../../errors/index.ts";
import type { Op } from "../op.ts";
import {
  dtypes,
  elementCount,
  isBatch,
  isDType,
  normalizeAxis,
  type Shape,
  sameDim,
  sameShape,
  shapeToString,
  staticShape,
} from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import {
  expectDType,
  floats,
  indexTypes,
  inputType,
  integerAttribute,
  refuseBatchAxis,
  sharedDType,
} from "../type-rules.ts";

/**
 * Zeros with axis `axis` of size `size`, to which the entries of `updates` along that axis are added at `indices` (rank 1
 * or more, standing in the place of that axis in `updates`; negative ones count from the end, repeated ones add up).
 */
export function scatterAlong(updates: Tensor, indices: Tensor, axis: number, size: number): Tensor {
  const { graph } = updates;
  const shape = staticShape(updates.shape);
  const count = elementCount(indices.shape);
  const inner = shape.slice(axis + indices.rank);
  const outer = shape.slice(0, axis);
  const flat = updates.reshape([...outer, count, ...inner]);
  // ScatterND adds whole rows along the first axis: bring the indexed axis there, and back.
  const toFront = [axis, ...flat.shape.map((_, i) => i).filter((i) => i !== axis)];
  const rows = axis === 0 ? flat : flat.transpose(toFront);
  const zeros = graph.scalar(0, updates.dtype).expand([size, ...outer, ...inner]);
  const places = indices.cast("int64").reshape([count, 1]);
  const summed = graph.apply(scatterND, [zeros, places, rows], { reduction: "add" })[0]!;
  return axis === 0 ? summed : summed.transpose(toFront.map((_, i) => toFront.indexOf(i)));
}

// dx = zeros, to which each entry of dy is added where it was taken from
export const gather: Op = {
  type: "Gather",
  label: "gather",
  domain: "",
  arity: [2, 2],
  attributes: { axis: "int" },
  infer(inputs, attributes, at) {
    const [data, indices] = [inputType(inputs, 0, at), inputType(inputs, 1, at)];
    expectDType(indices.dtype, indexTypes, at, "index");
    const axis = normalizeAxis(integerAttribute(attributes, "axis", at, 0), data.shape.length, at);
    refuseBatchAxis(data.shape, axis, at, "picks along", "pick along another axis");
    const shape = [...data.shape.slice(0, axis), ...indices.shape, ...data.shape.slice(axis + 1)];
    if (shape.filter(isBatch).length > 1) {
      throw new TuttiError(
        "MIXES_SAMPLES",
        `${at}: picks for every sample from every sample: ${shapeToString(data.shape)} by ${shapeToString(indices.shape)}; use gatherElements`,
        { shapes: [shapeToString(data.shape), shapeToString(indices.shape)] },
      );
    }
    return [{ dtype: data.dtype, shape }];
  },
  gradient({ inputs, attributes, dy }) {
    const [data, indices, gradient] = [inputs[0]!, inputs[1]!, dy[0]!];
    const axis = normalizeAxis(integerAttribute(attributes, "axis", "gradient", 0), data.rank, "gradient");
    const list = indices.rank === 0 ? indices.reshape([1]) : indices;
    const updates = indices.rank === 0 ? gradient.unsqueeze(axis) : gradient;
    return [scatterAlong(updates, list, axis, staticShape(data.shape)[axis]!), null];
  },
};

/** Refuses operands of GatherElements and ScatterElements that differ in rank, or in more than the axis. */
function expectAligned(data: Shape, indices: Shape, axis: number, at: string): void {
  refuseBatchAxis(data, axis, at, "picks along", "pick along another axis");
  const fits =
    data.length === indices.length &&
    data.every(
      (dim, i) =>
        i === axis || sameDim(dim, indices[i]!) || (!isBatch(dim) && !isBatch(indices[i]!) && indices[i]! <= dim),
    );
  if (!fits || isBatch(indices[axis])) {
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `${at}: indices ${shapeToString(indices)} do not fit ${shapeToString(data)} along axis ${axis}`,
      {
        shapes: [shapeToString(data), shapeToString(indices)],
      },
    );
  }
}

// dx = zeros, to which each entry of dy is added where it was taken from
export const gatherElements: Op = {
  type: "GatherElements",
  label: "gatherElements",
  domain: "",
  arity: [2, 2],
  attributes: { axis: "int" },
  infer(inputs, attributes, at) {
    const [data, indices] = [inputType(inputs, 0, at), inputType(inputs, 1, at)];
    expectDType(indices.dtype, indexTypes, at, "index");
    const axis = normalizeAxis(integerAttribute(attributes, "axis", at, 0), data.shape.length, at);
    expectAligned(data.shape, indices.shape, axis, at);
    return [{ dtype: data.dtype, shape: indices.shape }];
  },
  gradient({ inputs, attributes, dy }) {
    const [data, indices, gradient] = [inputs[0]!, inputs[1]!, dy[0]!];
    const zeros = gradient.graph.scalar(0, gradient.dtype).expand(data.shape);
    const axis = integerAttribute(attributes, "axis", "gradient", 0);
    return [gradient.graph.apply(scatterElements, [zeros, indices, gradient], { axis, reduction: "add" })[0]!, null];
  },
};

function expectAdding(reduction: unknown, at: string): void {
  if (reduction !== "add")
    throw new TuttiError("SHAPE_MISMATCH", `${at}: reduction ${String(reduction ?? "none")}, expected "add"`);
}

// y = data with updates added at indices: d data = dy, d updates = dy taken at indices
export const scatterElements: Op = {
  type: "ScatterElements",
  label: "scatterElements",
  domain: "",
  arity: [3, 3],
  attributes: { axis: "int", reduction: "string" },
  infer(inputs, attributes, at) {
    const [data, indices, updates] = [inputType(inputs, 0, at), inputType(inputs, 1, at), inputType(inputs, 2, at)];
    const dtype = sharedDType([data, updates], at);
    expectDType(dtype, floats, at);
    expectDType(indices.dtype, indexTypes, at, "index");
    expectAdding(attributes.reduction, at);
    expectAligned(
      data.shape,
      indices.shape,
      normalizeAxis(integerAttribute(attributes, "axis", at, 0), data.shape.length, at),
      at,
    );
    if (!sameShape(indices.shape, updates.shape)) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `${at}: indices ${shapeToString(indices.shape)} and updates ${shapeToString(updates.shape)} differ`,
      );
    }
    return [data];
  },
  gradient({ inputs, attributes, dy, needs }) {
    const axis = integerAttribute(attributes, "axis", "gradient", 0);
    return [dy[0]!, null, needs[2] ? dy[0]!.gatherElements(inputs[1]!, axis) : null];
  },
};

// y = data with the rows of updates added at indices [count, 1]: d data = dy, d updates = the rows of dy at indices
export const scatterND: Op = {
  type: "ScatterND",
  label: "scatterND",
  domain: "",
  arity: [3, 3],
  attributes: { reduction: "string" },
  infer(inputs, attributes, at) {
    const [data, indices, updates] = [inputType(inputs, 0, at), inputType(inputs, 1, at), inputType(inputs, 2, at)];
    const dtype = sharedDType([data, updates], at);
    expectDType(dtype, floats, at);
    expectDType(indices.dtype, ["int64"], at, "index");
    expectAdding(attributes.reduction, at);
    refuseBatchAxis(data.shape, 0, at, "adds along", "add along another axis");
    if (isBatch(updates.shape[0])) refuseBatchAxis(updates.shape, 0, at, "adds up", "keep samples apart");
    const expected = [indices.shape[0] ?? 0, ...data.shape.slice(1)];
    if (indices.shape.length !== 2 || indices.shape[1] !== 1 || !sameShape(updates.shape, expected)) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `${at}: indices ${shapeToString(indices.shape)} and updates ${shapeToString(updates.shape)} for ${shapeToString(data.shape)}: expected [count,1] and [count,…rest]`,
      );
    }
    return [data];
  },
  gradient({ inputs, dy, needs }) {
    const places = inputs[1]!;
    return [dy[0]!, null, needs[2] ? dy[0]!.gather(places.reshape([places.shape[0]!])) : null];
  },
};

// Of integers: no gradient.
export const oneHot: Op = {
  type: "OneHot",
  label: "oneHot",
  domain: "",
  arity: [1, 1],
  attributes: { axis: "int", depth: "intInput", dtype: "zeroOneInput" },
  infer(inputs, attributes, at) {
    const { dtype: indexType, shape } = inputType(inputs, 0, at);
    expectDType(indexType, indexTypes, at, "label");
    const depth = integerAttribute(attributes, "depth", at);
    if (depth < 1) throw new TuttiError("SHAPE_MISMATCH", `${at}: depth ${depth}, expected at least 1`);
    const dtype = attributes.dtype ?? "float32";
    if (!isDType(dtype))
      throw new TuttiError("SHAPE_MISMATCH", `${at}: no dtype ${String(dtype)}; expected ${dtypes.join(", ")}`);
    expectDType(dtype, ["float32", "int64"], at, "result");
    const axis = normalizeAxis(integerAttribute(attributes, "axis", at, -1), shape.length + 1, at);
    return [{ dtype, shape: [...shape.slice(0, axis), depth, ...shape.slice(axis)] }];
  },
  gradient: "zero",
};
