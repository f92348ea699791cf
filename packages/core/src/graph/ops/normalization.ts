import { TuttiError } from "../../errors/index.ts";
import type { Attributes } from "../node.ts";
import type { Op } from "../op.ts";
import { elementCount, normalizeAxis, type Shape, sameShape, shapeToString, staticShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import {
  expectDType,
  floats,
  inputType,
  integerAttribute,
  numberAttribute,
  refuseBatchAxis,
  sharedDType,
} from "../type-rules.ts";

export interface NormOptions {
  /** Multiplies what was normalised; 1 by default. */
  readonly scale?: Tensor | null;
  readonly bias?: Tensor | null;
  /** Added to the variance (the mean square), 1e-5 by default. */
  readonly epsilon?: number;
}

/** Normalises over the axes from `axis` on, then scale and bias of the shape of these axes. */
export function layerNorm(x: Tensor, axis: number, { scale, bias, epsilon = 1e-5 }: NormOptions): Tensor {
  const at = x.graph.at("layerNorm");
  const first = normalizeAxis(axis, x.rank, at);
  const given = scale ?? ones(x, normalizedSizes(x.shape, first, at));
  return x.graph.apply(layerNormalization, bias ? [x, given, bias] : [x, given], { axis: first, epsilon })[0]!;
}

/** Divides by the root of the mean square over the axes from `axis` on, then scale; there is no bias. */
export function rmsNorm(x: Tensor, axis: number, { scale, epsilon = 1e-5 }: Omit<NormOptions, "bias">): Tensor {
  const at = x.graph.at("rmsNorm");
  const first = normalizeAxis(axis, x.rank, at);
  const given = scale ?? ones(x, normalizedSizes(x.shape, first, at));
  return x.graph.apply(rmsNormalization, [x, given], { axis: first, epsilon })[0]!;
}

/** Ones of x's dtype; folded into a constant by the engine. */
export function ones(x: Tensor, shape: readonly number[]): Tensor {
  return x.graph.scalar(1, x.dtype).expand(shape);
}

/** Throws MIXES_SAMPLES when they count samples. */
function normalizedSizes(shape: Shape, axis: number, at: string): readonly number[] {
  for (let i = axis; i < shape.length; i++)
    refuseBatchAxis(shape, i, at, "normalises over", "normalise over the axes behind it");
  return staticShape(shape.slice(axis));
}

/** As the engine gets it. */
export function epsilonOf(attributes: Attributes): number {
  return Math.fround(numberAttribute(attributes, "epsilon", 1e-5));
}

export interface Standardised {
  /** (x - mean)/√(variance + ε) of each row, and 1/√(…) as a column. */
  readonly xhat: Tensor;
  readonly inverse: Tensor;
}

/** Each row of a matrix brought to mean 0 and variance 1. */
export function standardise(rows: Tensor, epsilon: number): Standardised {
  const scale = ones(rows, [Number(rows.shape[1])]);
  const [xhat, , inverse] = rows.graph.apply(layerNormalization, [rows, scale], { axis: 1, epsilon });
  return { xhat: xhat!, inverse: inverse! };
}

/** The gradient by the rows, from that by x̂: (dx̂ - mean dx̂ - x̂·mean(dx̂·x̂))/√(variance + ε). */
export function standardisedGradient(dxhat: Tensor, { xhat, inverse }: Standardised): Tensor {
  const along = xhat.mul(dxhat.mul(xhat).mean(1, true));
  return dxhat.sub(dxhat.mean(1, true)).sub(along).mul(inverse);
}

/** Where the normalised axes begin. Throws MIXES_SAMPLES when they count samples, SHAPE_MISMATCH for a scale of another shape. */
function normalizedFrom(
  shape: Shape,
  others: readonly (Shape | undefined)[],
  attributes: Attributes,
  at: string,
): number {
  const axis = normalizeAxis(integerAttribute(attributes, "axis", at, -1), shape.length, at);
  normalizedSizes(shape, axis, at);
  for (const other of others) {
    if (other !== undefined && !sameShape(other, shape.slice(axis))) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `${at}: expected a scale and bias ${shapeToString(shape.slice(axis))}, found ${shapeToString(other)}: ${shapeToString(shape)}`,
        { shapes: [shapeToString(shape), shapeToString(other)] },
      );
    }
  }
  return axis;
}

/** The tensor as a matrix, its axes from `axis` on in the columns. */
function asRows(tensor: Tensor, axis: number): Tensor {
  return tensor.reshape([elementCount(tensor.shape.slice(0, axis)), elementCount(tensor.shape.slice(axis))]);
}

// y = x̂·scale + bias, x̂ = (x - mean)/√(variance + ε) over the axes from `axis` on:
// dx̂ = dy·scale, dx = (dx̂ - mean dx̂ - x̂·mean(dx̂·x̂))/√(variance + ε), d scale = Σ dy·x̂, d bias = Σ dy
// The mean and 1/√(variance + ε) are outputs too. The engine's float64 kernel computes them in float32, so there is no float64.
export const layerNormalization: Op = {
  type: "LayerNormalization",
  label: "layerNorm",
  domain: "",
  arity: [2, 3],
  requiredOutputs: 1,
  attributes: { axis: "int", epsilon: "float" },
  infer(inputs, attributes, at) {
    const dtype = sharedDType(inputs, at);
    expectDType(dtype, ["float32"], at, "operand");
    const { shape } = inputType(inputs, 0, at);
    const axis = normalizedFrom(shape, [inputs[1]?.shape, inputs[2]?.shape], attributes, at);
    const statistics = { dtype, shape: shape.map((dim, i) => (i < axis ? dim : 1)) };
    return [{ dtype, shape }, statistics, statistics];
  },
  gradient({ inputs, attributes, dy, needs }) {
    const [x, scale, bias] = [inputs[0]!, inputs[1]!, inputs[2] ?? null];
    const axis = normalizeAxis(integerAttribute(attributes, "axis", "gradient", -1), x.rank, "gradient");
    const standardised = standardise(asRows(x, axis), epsilonOf(attributes));
    const gradient = dy[0] ? asRows(dy[0], axis) : null;
    const column = (tensor: Tensor | null | undefined): Tensor | null =>
      tensor?.reshape([elementCount(x.shape.slice(0, axis)), 1]) ?? null;
    const dx = (): Tensor | null => {
      const dxhat = gradient?.mul(scale.reshape([elementCount(scale.shape)])) ?? null;
      const through = dxhat && standardisedGradient(dxhat, standardised);
      return total([through, ...throughStatistics(column(dy[1]), column(dy[2]), standardised)]);
    };
    return [
      needs[0] ? (dx()?.reshape(x.shape) ?? null) : null,
      needs[1] && gradient ? gradient.mul(standardised.xhat).sum(0).reshape(scale.shape) : null,
      ...(bias === null ? [] : [needs[2] && gradient ? gradient.sum(0).reshape(bias.shape) : null]),
    ];
  },
};

/** What the mean and 1/√(variance + ε) = r pass on of their own gradients: d mean/n and -d r·r²·x̂/n. */
function throughStatistics(
  dmean: Tensor | null,
  dinverse: Tensor | null,
  { xhat, inverse }: Standardised,
): readonly (Tensor | null)[] {
  const count = Number(xhat.shape[1]);
  return [
    dmean?.div(count).expand(xhat.shape) ?? null,
    dinverse && xhat.mul(dinverse.mul(inverse.mul(inverse)).div(-count)),
  ];
}

function total(terms: readonly (Tensor | null)[]): Tensor | null {
  const present = terms.filter((term) => term !== null);
  return present.length === 0 ? null : present.reduce((sum, term) => sum.add(term));
}

// y = x/r·scale, r = √(mean x² + ε) over the axes from `axis` on:
// dx̂ = dy·scale, dx = (dx̂ - x̂·mean(dx̂·x̂))/r, d scale = Σ dy·x̂
export const rmsNormalization: Op = {
  type: "RMSNormalization",
  label: "rmsNorm",
  since: 23,
  domain: "",
  arity: [2, 2],
  attributes: { axis: "int", epsilon: "float" },
  infer(inputs, attributes, at) {
    const dtype = sharedDType(inputs, at);
    expectDType(dtype, floats, at, "operand");
    const { shape } = inputType(inputs, 0, at);
    normalizedFrom(shape, [inputs[1]?.shape], attributes, at);
    return [{ dtype, shape }];
  },
  lower([x, scale], attributes) {
    const axis = normalizeAxis(integerAttribute(attributes, "axis", "lower", -1), x!.rank, "lower");
    const axes = x!.shape.flatMap((_, i) => (i < axis ? [] : [i]));
    const root = x!.mul(x!).mean(axes, true).add(epsilonOf(attributes)).sqrt();
    return [x!.div(root).mul(scale!)];
  },
  gradient({ inputs, attributes, dy, needs }) {
    const [x, scale] = [inputs[0]!, inputs[1]!];
    const axis = normalizeAxis(integerAttribute(attributes, "axis", "gradient", -1), x.rank, "gradient");
    const [rows, gradient] = [asRows(x, axis), asRows(dy[0]!, axis)];
    const root = rows.mul(rows).mean(1, true).add(epsilonOf(attributes)).sqrt();
    const inverse = x.graph.scalar(1, x.dtype).div(root);
    const xhat = rows.mul(inverse);
    const dxhat = gradient.mul(scale.reshape([elementCount(scale.shape)]));
    const dx = (): Tensor => dxhat.sub(xhat.mul(dxhat.mul(xhat).mean(1, true))).mul(inverse);
    return [needs[0] ? dx().reshape(x.shape) : null, needs[1] ? gradient.mul(xhat).sum(0).reshape(scale.shape) : null];
  },
};

// y = x/n, n = Σ|x| or √(Σx²) along the axis; y = 0 where n = 0:
// dx = (dy - sign(x)·Σ dy·y)/n or (dy - y·Σ dy·y)/n; 0 where n = 0
export const lpNormalization: Op = {
  type: "LpNormalization",
  label: "lpNorm",
  domain: "",
  arity: [1, 1],
  attributes: { axis: "int", p: "int" },
  infer(inputs, attributes, at) {
    const type = inputType(inputs, 0, at);
    expectDType(type.dtype, floats, at);
    const axis = normalizeAxis(integerAttribute(attributes, "axis", at, -1), type.shape.length, at);
    refuseBatchAxis(type.shape, axis, at, "normalises over", "normalise over another axis");
    const p = integerAttribute(attributes, "p", at, 2);
    if (p !== 1 && p !== 2) throw new TuttiError("SHAPE_MISMATCH", `${at}: p is ${p}, expected 1 or 2`);
    return [type];
  },
  gradient({ inputs, outputs, attributes, dy }) {
    const [x, y, gradient] = [inputs[0]!, outputs[0]!, dy[0]!];
    const axis = integerAttribute(attributes, "axis", "gradient", -1);
    const absolute = integerAttribute(attributes, "p", "gradient", 2) === 1;
    const norm = absolute ? x.abs().sum(axis, true) : x.mul(x).sum(axis, true).sqrt();
    const along = gradient.mul(y).sum(axis, true);
    const dx = gradient.sub((absolute ? x.sign() : y).mul(along)).div(norm);
    return [norm.equal(0).where(x.graph.scalar(0, x.dtype), dx)];
  },
};
