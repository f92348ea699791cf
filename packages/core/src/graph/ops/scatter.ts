import { TuttiError } from "../../errors/index.ts";
import type { Attributes } from "../node.ts";
import type { GradientContext, Op } from "../op.ts";
import {
  elementCount,
  isBatch,
  normalizeAxis,
  type Shape,
  sameDim,
  sameShape,
  shapeToString,
  staticShape,
} from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import {
  arithmetic,
  expectDType,
  indexTypes,
  inputType,
  integerAttribute,
  refuseBatchAxis,
  sharedDType,
} from "../type-rules.ts";
import { zeroLike } from "./elementwise-rules.ts";

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

/** Refuses operands of GatherElements and ScatterElements that differ in rank, or in more than the axis. */
export function expectAligned(data: Shape, indices: Shape, axis: number, at: string): void {
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

/** The length of an index tuple. Throws SHAPE_MISMATCH, MIXES_SAMPLES when the tuples do not fit the data. */
export function indexDepth(data: Shape, indices: Shape, shared: number, at: string): number {
  const depth = indices.at(-1);
  const fits =
    typeof depth === "number" &&
    shared < indices.length &&
    shared + depth <= data.length &&
    data.slice(0, shared).every((dim, axis) => sameDim(dim, indices[axis]!));
  if (!fits) {
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `${at}: index tuples ${shapeToString(indices)} do not fit ${shapeToString(data)}`,
      { shapes: [shapeToString(data), shapeToString(indices)] },
    );
  }
  for (let axis = shared; axis < shared + depth; axis++)
    refuseBatchAxis(data, axis, at, "picks along", "pick along another axis");
  return depth;
}

const reductions = ["none", "add", "mul", "max", "min"] as const;
type Reduction = (typeof reductions)[number];

function reductionOf(attributes: Attributes, at: string): Reduction {
  const found = reductions.find((name) => name === (attributes.reduction ?? "none"));
  if (found === undefined) {
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `${at}: reduction ${String(attributes.reduction)}, expected ${reductions.join(", ")}`,
    );
  }
  return found;
}

/** Reading and writing at the places that a scatter's indices name. */
interface Places {
  take(from: Tensor): Tensor;
  put(base: Tensor, updates: Tensor, reduction: Reduction): Tensor;
  /** For each entry of the updates whether it is the one that stays where several are written to one place. */
  stays(): Tensor;
}

/*
 * y = data, with the updates u at their places. By reduction, o(i) being the other entries of u written to i's place:
 * none: ddata = dy, 0 where written; du = dy there, 0 for entries that were written over
 * add:  ddata = dy; du = dy there
 * mul:  ddata = dy·Π u; du_i = dy·data·Π o(i), a zero among them counted and not divided by
 * max, min: evenly among all that equal the result, data included (PyTorch's scatter_reduce with amax)
 */
function scatterGradient(
  { inputs, outputs, attributes, dy, needs }: GradientContext,
  places: Places,
): readonly (Tensor | null)[] {
  const [data, updates, y, gradient] = [inputs[0]!, inputs[2]!, outputs[0]!, dy[0]!];
  const { take, put } = places;
  const filled = (value: number, like: Tensor): Tensor => like.graph.scalar(value, like.dtype).expand(like.shape);
  const reduction = reductionOf(attributes, "gradient");
  if (reduction === "none") {
    return [
      needs[0] ? put(gradient, filled(0, updates), "none") : null,
      null,
      needs[2] ? places.stays().where(take(gradient), zeroLike(gradient)) : null,
    ];
  }
  if (reduction === "add") return [gradient, null, needs[2] ? take(gradient) : null];
  if (reduction === "mul") {
    const others = (): Tensor => {
      const isZero = updates.equal(0);
      const factors = isZero.where(updates.graph.scalar(1, updates.dtype), updates);
      const ownZero = isZero.cast(updates.dtype);
      const product = take(put(filled(1, data), factors, "mul"));
      const zeros = take(put(filled(0, data), ownZero, "add"));
      return zeros.equal(ownZero).where(product.div(factors), zeroLike(updates));
    };
    return [
      needs[0] ? gradient.mul(put(filled(1, data), updates, "mul")) : null,
      null,
      needs[2] ? take(gradient.mul(data)).mul(others()) : null,
    ];
  }
  const [dataWins, updateWins] = [data.equal(y), updates.equal(take(y))];
  const winners = put(dataWins.cast(y.dtype), updateWins.cast(y.dtype), "add");
  const share = gradient.div(winners);
  return [
    needs[0] ? dataWins.where(share, zeroLike(share)) : null,
    null,
    needs[2] ? updateWins.where(take(share), zeroLike(share)) : null,
  ];
}

/** 0, 1, 2, … in a shape. */
function numbered(tensor: Tensor, shape: readonly number[]): Tensor {
  const values = BigInt64Array.from({ length: elementCount(shape) }, (_, i) => BigInt(i));
  return tensor.graph.constant(values, shape, "int64");
}

function expectNumbers(inputs: Parameters<Op["infer"]>[0], attributes: Attributes, at: string): void {
  const dtype = sharedDType([inputType(inputs, 0, at), inputType(inputs, 2, at)], at);
  expectDType(dtype, arithmetic, at);
  reductionOf(attributes, at);
}

export const scatterElements: Op = {
  type: "ScatterElements",
  label: "scatterElements",
  domain: "",
  arity: [3, 3],
  attributes: { axis: "int", reduction: "string" },
  infer(inputs, attributes, at) {
    expectNumbers(inputs, attributes, at);
    const [data, indices, updates] = [inputType(inputs, 0, at), inputType(inputs, 1, at), inputType(inputs, 2, at)];
    expectDType(indices.dtype, indexTypes, at, "index");
    const axis = normalizeAxis(integerAttribute(attributes, "axis", at, 0), data.shape.length, at);
    expectAligned(data.shape, indices.shape, axis, at);
    if (!sameShape(indices.shape, updates.shape)) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `${at}: indices ${shapeToString(indices.shape)} and updates ${shapeToString(updates.shape)} differ`,
      );
    }
    return [data];
  },
  gradient(context) {
    const indices = context.inputs[1]!;
    const axis = integerAttribute(context.attributes, "axis", "gradient", 0);
    const take = (from: Tensor): Tensor => from.gatherElements(indices, axis);
    const put: Places["put"] = (base, updates, reduction) =>
      base.graph.apply(scatterElements, [base, indices, updates], { axis, reduction })[0]!;
    const stays = (): Tensor => {
      const own = numbered(indices, staticShape(indices.shape));
      const base = indices.graph.scalar(0, "int64").expand(context.inputs[0]!.shape);
      return take(put(base, own, "none")).equal(own);
    };
    return scatterGradient(context, { take, put, stays });
  },
};

export const scatterND: Op = {
  type: "ScatterND",
  label: "scatterND",
  domain: "",
  arity: [3, 3],
  attributes: { reduction: "string" },
  infer(inputs, attributes, at) {
    expectNumbers(inputs, attributes, at);
    const [data, indices, updates] = [inputType(inputs, 0, at), inputType(inputs, 1, at), inputType(inputs, 2, at)];
    expectDType(indices.dtype, ["int64"], at, "index");
    const depth = indexDepth(data.shape, indices.shape, 0, at);
    const tuples = indices.shape.slice(0, -1);
    for (const [axis, dim] of tuples.entries())
      if (isBatch(dim)) refuseBatchAxis(indices.shape, axis, at, "writes into one table along", "keep samples apart");
    const expected = [...tuples, ...data.shape.slice(depth)];
    if (!sameShape(updates.shape, expected)) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `${at}: indices ${shapeToString(indices.shape)} into ${shapeToString(data.shape)} take updates ${shapeToString(expected)}, found ${shapeToString(updates.shape)}`,
      );
    }
    return [data];
  },
  gradient(context) {
    const [data, indices, updates] = [context.inputs[0]!, context.inputs[1]!, context.inputs[2]!];
    const take = (from: Tensor): Tensor => from.gatherND(indices);
    const put: Places["put"] = (base, values, reduction) =>
      base.graph.apply(scatterND, [base, indices, values], { reduction })[0]!;
    const stays = (): Tensor => {
      const shape = staticShape(indices.shape);
      const own = numbered(indices, shape.slice(0, -1));
      const base = indices.graph.scalar(0, "int64").expand(data.shape.slice(0, shape.at(-1)!));
      const found = take(put(base, own, "none")).equal(own);
      const whole = [...shape.slice(0, -1), ...Array.from({ length: updates.rank - shape.length + 1 }, () => 1)];
      return found.reshape(whole);
    };
    return scatterGradient(context, { take, put, stays });
  },
};
