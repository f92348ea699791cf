import { TuttiError } from "../../errors/index.ts";
import type { Op } from "../op.ts";
import {
  batchAxis,
  broadcastShapes,
  type Dim,
  dtypes,
  elements,
  isBatch,
  isDType,
  normalizeAxis,
  type Shape,
  shapeToString,
  staticShape,
} from "../shape.ts";
import { expectDType, inputType, integerAttribute, integersAttribute, refuseBatchAxis } from "../type-rules.ts";
import { sumTo } from "./broadcast.ts";

// dx = dy
export const identity: Op = {
  type: "Identity",
  label: "identity",
  domain: "",
  arity: [1, 1],
  attributes: {},
  infer: (inputs, _attributes, at) => [inputType(inputs, 0, at)],
  gradient: ({ dy }) => [dy[0]!],
};

/** Written as Identity; the gradient ends here. Not in the table: nothing in a file tells it from Identity. */
export const stopGradient: Op = { ...identity, label: "stopGradient", gradient: "zero" };

// dx = dy in x's dtype, between floating dtypes; integers and booleans carry no gradient
export const cast: Op = {
  type: "Cast",
  label: "cast",
  domain: "",
  arity: [1, 1],
  attributes: { to: "dtype" },
  infer(inputs, attributes, at) {
    const { to } = attributes;
    if (!isDType(to))
      throw new TuttiError("SHAPE_MISMATCH", `${at}: no dtype ${String(to)}; expected ${dtypes.join(", ")}`);
    return [{ dtype: to, shape: inputType(inputs, 0, at).shape }];
  },
  gradient: ({ inputs, dy }) => [dy[0]!.cast(inputs[0]!.dtype)],
};

/**
 * The shape that `wanted` stands for, given the input's: one -1 is what is left, 0 copies (ONNX). The samples must stay
 * apart and in order: as many entries before the batch axis as there were, so that the same stride separates samples.
 * Throws SHAPE_MISMATCH, MIXES_SAMPLES.
 */
export function reshapedShape(from: Shape, wanted: Shape, at: string): Shape {
  const fail = (why: string, remedy = ""): TuttiError =>
    new TuttiError("SHAPE_MISMATCH", `${at}: ${shapeToString(from)} to ${shapeToString(wanted)}: ${why}${remedy}`, {
      shapes: [shapeToString(from), shapeToString(wanted)],
    });
  const copied = wanted.map((dim, axis) => {
    if (dim !== 0) return dim;
    const same = from[axis];
    if (same === undefined) throw fail(`0 copies axis ${axis}, which does not exist`);
    return same;
  });
  if (copied.some((dim) => !isBatch(dim) && (!Number.isInteger(dim) || dim < -1)))
    throw fail("sizes must be whole numbers, or one -1");
  const holes = copied.filter((dim) => dim === -1).length;
  if (holes > 1) throw fail("at most one -1");
  const total = elements(from, at);
  const known = elements(
    copied.filter((dim) => dim !== -1),
    at,
  );
  const shape = holes === 0 ? copied : copied.map((dim) => (dim === -1 ? quotient(total, known, fail) : dim));
  const result = elements(shape, at);
  if (isBatch(total) && !isBatch(result))
    throw fail("the number of samples is not known here", "; write -1 for the batch axis");
  if (
    isBatch(total) !== isBatch(result) ||
    (isBatch(total) && isBatch(result) ? total.timesN !== result.timesN : total !== result)
  ) {
    throw fail("numbers of elements differ");
  }
  const before = (of: Shape): number =>
    staticShape(of.slice(0, batchAxis(of))).reduce((product, dim) => product * dim, 1);
  if (isBatch(total) && before(from) !== before(shape)) {
    throw new TuttiError(
      "MIXES_SAMPLES",
      `${at}: ${shapeToString(from)} to ${shapeToString(shape)} puts entries of different samples together; transpose the batch axis to the front first`,
      { shapes: [shapeToString(from), shapeToString(shape)] },
    );
  }
  return shape;
}

function quotient(total: Dim, known: Dim, fail: (why: string) => TuttiError): Dim {
  if (isBatch(known) && !isBatch(total)) throw fail("the input has no batch axis");
  const [count, divisor] = [isBatch(total) ? total.timesN : total, isBatch(known) ? known.timesN : known];
  if (divisor === 0 || count % divisor !== 0) throw fail("-1 would not be a whole number");
  return isBatch(total) && !isBatch(known) ? { timesN: count / divisor } : count / divisor;
}

// dx = dy in x's shape
export const reshape: Op = {
  type: "Reshape",
  label: "reshape",
  domain: "",
  arity: [1, 1],
  attributes: { shape: "dimsInput" },
  infer(inputs, attributes, at) {
    const { dtype, shape } = inputType(inputs, 0, at);
    return [{ dtype, shape: reshapedShape(shape, dimsAttribute(attributes.shape, at), at) }];
  },
  gradient: ({ inputs, dy }) => [dy[0]!.reshape(inputs[0]!.shape)],
};

function dimsAttribute(value: unknown, at: string): Shape {
  if (!Array.isArray(value))
    throw new TuttiError("SHAPE_MISMATCH", `${at}: shape is ${String(value)}, expected a list of sizes`);
  return value.map((dim: unknown) => {
    if (typeof dim === "number") return dim;
    if (typeof dim === "object" && dim !== null && "timesN" in dim && typeof dim.timesN === "number")
      return { timesN: dim.timesN };
    throw new TuttiError("SHAPE_MISMATCH", `${at}: ${String(dim)} is no size`);
  });
}

// dx = dy, summed over the axes along which x was repeated
export const expand: Op = {
  type: "Expand",
  label: "expand",
  domain: "",
  arity: [1, 1],
  attributes: { shape: "dimsInput" },
  infer(inputs, attributes, at) {
    const { dtype, shape } = inputType(inputs, 0, at);
    return [{ dtype, shape: broadcastShapes([shape, dimsAttribute(attributes.shape, at)], at) }];
  },
  gradient: ({ inputs, dy }) => [sumTo(dy[0]!, inputs[0]!.shape)],
};

// dx = dy with the axes put back: the inverse permutation
export const transpose: Op = {
  type: "Transpose",
  label: "transpose",
  domain: "",
  arity: [1, 1],
  attributes: { perm: "ints" },
  infer(inputs, attributes, at) {
    const { dtype, shape } = inputType(inputs, 0, at);
    const perm = integersAttribute(attributes, "perm", at) ?? shape.map((_, axis) => shape.length - 1 - axis);
    if (perm.length !== shape.length || shape.some((_, axis) => !perm.includes(axis))) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `${at}: [${perm.join(",")}] does not name each axis of ${shapeToString(shape)} once`,
      );
    }
    return [{ dtype, shape: perm.map((axis) => shape[axis]!) }];
  },
  gradient({ inputs, attributes, dy }) {
    const rank = inputs[0]!.rank;
    const perm =
      integersAttribute(attributes, "perm", "gradient") ?? Array.from({ length: rank }, (_, axis) => rank - 1 - axis);
    return [dy[0]!.transpose(perm.map((_, axis) => perm.indexOf(axis)))];
  },
};

// dx = dy in x's shape
export const squeeze: Op = {
  type: "Squeeze",
  label: "squeeze",
  domain: "",
  arity: [1, 1],
  attributes: { axes: "intsInput" },
  infer(inputs, attributes, at) {
    const { dtype, shape } = inputType(inputs, 0, at);
    const named = integersAttribute(attributes, "axes", at)?.map((axis) => normalizeAxis(axis, shape.length, at));
    const axes = named ?? shape.flatMap((dim, axis) => (dim === 1 ? [axis] : []));
    const wrong = axes.find((axis) => shape[axis] !== 1);
    if (wrong !== undefined)
      throw new TuttiError("SHAPE_MISMATCH", `${at}: axis ${wrong} of ${shapeToString(shape)} is not of size 1`);
    return [{ dtype, shape: shape.filter((_, axis) => !axes.includes(axis)) }];
  },
  gradient: ({ inputs, dy }) => [dy[0]!.reshape(inputs[0]!.shape)],
};

// dx = dy in x's shape
export const unsqueeze: Op = {
  type: "Unsqueeze",
  label: "unsqueeze",
  domain: "",
  arity: [1, 1],
  attributes: { axes: "intsInput" },
  infer(inputs, attributes, at) {
    const { dtype, shape } = inputType(inputs, 0, at);
    const listed = integersAttribute(attributes, "axes", at) ?? [];
    const rank = shape.length + listed.length;
    const axes = new Set(listed.map((axis) => normalizeAxis(axis, rank, at)));
    if (axes.size !== listed.length)
      throw new TuttiError("SHAPE_MISMATCH", `${at}: axes [${listed.join(",")}] name an axis twice`);
    const rest = [...shape];
    return [{ dtype, shape: Array.from({ length: rank }, (_, axis) => (axes.has(axis) ? 1 : rest.shift()!)) }];
  },
  gradient: ({ inputs, dy }) => [dy[0]!.reshape(inputs[0]!.shape)],
};

// dx = dy summed over the copies
export const tile: Op = {
  type: "Tile",
  label: "tile",
  domain: "",
  arity: [1, 1],
  attributes: { repeats: "intsInput" },
  infer(inputs, attributes, at) {
    const { dtype, shape } = inputType(inputs, 0, at);
    const repeats = integersAttribute(attributes, "repeats", at) ?? [];
    if (repeats.length !== shape.length || repeats.some((count) => count < 0)) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `${at}: repeats [${repeats.join(",")}] for ${shapeToString(shape)}: expected a count >= 0 for each axis`,
      );
    }
    const sizes = shape.map((dim, axis) => {
      const count = repeats[axis]!;
      if (count === 1) return dim;
      refuseBatchAxis(shape, axis, at, "repeats", "repeat along another axis");
      return Number(dim) * count;
    });
    return [{ dtype, shape: sizes }];
  },
  gradient({ inputs, attributes, dy }) {
    const shape = staticShape(inputs[0]!.shape);
    const repeats = integersAttribute(attributes, "repeats", "gradient") ?? [];
    // Each repeated axis as two: which copy, and which entry of it.
    const apart: number[] = [];
    const copies: number[] = [];
    for (const [axis, dim] of shape.entries()) {
      if (repeats[axis] !== 1) copies.push(apart.push(repeats[axis]!) - 1);
      apart.push(dim);
    }
    return [copies.length === 0 ? dy[0]! : dy[0]!.reshape(apart).sum(copies)];
  },
};

// dx = dy where x was kept, 0 elsewhere
export const trilu: Op = {
  type: "Trilu",
  label: "trilu",
  domain: "",
  arity: [1, 1],
  attributes: { k: "intInput", upper: "int" },
  infer(inputs, attributes, at) {
    const type = inputType(inputs, 0, at);
    expectDType(type.dtype, ["float32", "float64", "int64", "bool"], at);
    if (type.shape.length < 2)
      throw new TuttiError("SHAPE_MISMATCH", `${at}: expected matrices, found ${shapeToString(type.shape)}`);
    for (const axis of [type.shape.length - 2, type.shape.length - 1])
      refuseBatchAxis(type.shape, axis, at, "takes a triangle of", "keep the batch axis in front");
    integerAttribute(attributes, "k", at, 0);
    return [type];
  },
  gradient: ({ attributes, dy }) => [dy[0]!.graph.apply(trilu, [dy[0]!], attributes)[0]!],
};

// Whole numbers that say nothing of the values.
export const shape: Op = {
  type: "Shape",
  label: "shape",
  domain: "",
  arity: [1, 1],
  attributes: { start: "int", end: "int" },
  infer(inputs, attributes, at) {
    const rank = inputType(inputs, 0, at).shape.length;
    const clamp = (value: number): number => Math.min(Math.max(value < 0 ? value + rank : value, 0), rank);
    const start = clamp(integerAttribute(attributes, "start", at, 0));
    const end = clamp(integerAttribute(attributes, "end", at, rank));
    return [{ dtype: "int64", shape: [Math.max(0, end - start)] }];
  },
  gradient: "zero",
};

export const size: Op = {
  type: "Size",
  label: "size",
  domain: "",
  arity: [1, 1],
  attributes: {},
  infer(inputs, _attributes, at) {
    inputType(inputs, 0, at);
    return [{ dtype: "int64", shape: [] }];
  },
  gradient: "zero",
};
