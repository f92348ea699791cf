import { TuttiError } from "../../errors/index.ts";
import type { Op } from "../op.ts";
import { dtypes, elementCount, isBatch, isDType, normalizeAxis, shapeToString, staticShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { expectDType, indexTypes, inputType, integerAttribute, refuseBatchAxis } from "../type-rules.ts";
import { zeroLike } from "./elementwise-rules.ts";
import { expectAligned, indexDepth, scatterAlong, scatterElements, scatterND } from "./scatter.ts";

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
    const zeros = zeroLike(gradient).expand(data.shape);
    const axis = integerAttribute(attributes, "axis", "gradient", 0);
    return [gradient.graph.apply(scatterElements, [zeros, indices, gradient], { axis, reduction: "add" })[0]!, null];
  },
};

// y = data[indices[…, :]]: dx = zeros, to which each entry of dy is added where it was taken from
export const gatherND: Op = {
  type: "GatherND",
  label: "gatherND",
  domain: "",
  arity: [2, 2],
  attributes: { batch_dims: "int" },
  infer(inputs, attributes, at) {
    const [data, indices] = [inputType(inputs, 0, at), inputType(inputs, 1, at)];
    expectDType(indices.dtype, ["int64"], at, "index");
    const shared = integerAttribute(attributes, "batch_dims", at, 0);
    const depth = indexDepth(data.shape, indices.shape, shared, at);
    const shape = [...indices.shape.slice(0, -1), ...data.shape.slice(shared + depth)];
    if (shape.filter(isBatch).length > 1) {
      throw new TuttiError(
        "MIXES_SAMPLES",
        `${at}: picks for every sample from every sample: ${shapeToString(data.shape)} by ${shapeToString(indices.shape)}; give both the batch axis at the same place, within batch_dims`,
        { shapes: [shapeToString(data.shape), shapeToString(indices.shape)] },
      );
    }
    return [{ dtype: data.dtype, shape }];
  },
  gradient({ inputs, attributes, dy }) {
    const [data, indices, gradient] = [inputs[0]!, inputs[1]!, dy[0]!];
    const shared = integerAttribute(attributes, "batch_dims", "gradient", 0);
    const places = shared === 0 ? indices : withLeadingIndices(indices, shared);
    const zeros = zeroLike(gradient).expand(data.shape);
    return [gradient.graph.apply(scatterND, [zeros, places, gradient], { reduction: "add" })[0]!, null];
  },
};

/** The same places without shared leading axes: each index tuple led by where it stands along them. */
function withLeadingIndices(indices: Tensor, shared: number): Tensor {
  const shape = staticShape(indices.shape);
  const tuples = elementCount(shape.slice(0, -1));
  const leading = shape.slice(0, shared);
  const perLead = tuples / elementCount(leading);
  const values = new BigInt64Array(tuples * shared);
  for (let tuple = 0; tuple < tuples; tuple++) {
    let place = Math.floor(tuple / perLead);
    for (let axis = shared - 1; axis >= 0; axis--) {
      values[tuple * shared + axis] = BigInt(place % leading[axis]!);
      place = Math.floor(place / leading[axis]!);
    }
  }
  const lead = indices.graph.constant(values, [...shape.slice(0, -1), shared], "int64");
  return lead.concat([indices], shape.length - 1);
}

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
    const { dtype } = attributes;
    if (!isDType(dtype))
      throw new TuttiError("SHAPE_MISMATCH", `${at}: no dtype ${String(dtype)}; expected ${dtypes.join(", ")}`);
    expectDType(dtype, ["float32", "int64"], at, "result");
    const axis = normalizeAxis(integerAttribute(attributes, "axis", at, -1), shape.length + 1, at);
    return [{ dtype, shape: [...shape.slice(0, axis), depth, ...shape.slice(axis)] }];
  },
  gradient: "zero",
};
