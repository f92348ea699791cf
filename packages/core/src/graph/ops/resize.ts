import { TuttiError } from "../../errors/index.ts";
import type { Attributes } from "../node.ts";
import type { Op } from "../op.ts";
import { type Dim, elementCount, normalizeAxis, type Shape, shapeToString, staticShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { expectDType, inputType, integersAttribute, oneOf, refuseBatchAxis } from "../type-rules.ts";

const modes = ["nearest", "linear", "cubic"] as const;
const coordinates = [
  "half_pixel",
  "pytorch_half_pixel",
  "asymmetric",
  "align_corners",
  "half_pixel_symmetric",
] as const;
const roundings = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"] as const;

export interface ResizeOptions {
  /** Factors or new sizes of the last axes; one of both. */
  readonly scales?: readonly number[];
  readonly sizes?: readonly number[];
  readonly mode: (typeof modes)[number];
  /** How a place in the result is mapped back (ONNX coordinate_transformation_mode); "half_pixel" by default. */
  readonly coordinates?: (typeof coordinates)[number];
  /** How "nearest" rounds (ONNX nearest_mode); "round_prefer_floor" by default. */
  readonly nearest?: (typeof roundings)[number];
}

/** Interpolates along the last axes. */
export function resizeLast(x: Tensor, options: ResizeOptions): Tensor {
  const { scales, sizes, mode, coordinates: by, nearest } = options;
  const count = (scales ?? sizes ?? []).length;
  return x.graph.apply(resize, [x], {
    mode,
    coordinate_transformation_mode: by,
    nearest_mode: nearest,
    axes: Array.from({ length: count }, (_, i) => x.rank - count + i),
    scales,
    sizes,
  })[0]!;
}

interface Resized {
  readonly axis: number;
  readonly size: number;
  readonly result: number;
  readonly scale: number | undefined;
}

/** What becomes of each axis that changes. */
function resizedAxes(shape: Shape, attributes: Attributes, at: string): readonly Resized[] {
  const axes = integersAttribute(attributes, "axes", at) ?? shape.map((_, axis) => axis);
  const scales = numbersAttribute(attributes.scales);
  const sizes = integersAttribute(attributes, "sizes", at);
  const list = scales ?? sizes;
  if ((scales === undefined) === (sizes === undefined) || list?.length !== axes.length) {
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `${at}: expected scales or sizes, not both, for ${axes.length} axes of ${shapeToString(shape)}; found scales [${scales?.join(",") ?? ""}], sizes [${sizes?.join(",") ?? ""}]`,
    );
  }
  return list.flatMap((value, i) => {
    const axis = normalizeAxis(axes[i]!, shape.length, at);
    if (scales !== undefined && value === 1) return [];
    refuseBatchAxis(shape, axis, at, "changes", "resize other axes, named by `axes`");
    const size = staticShape([shape[axis]!])[0]!;
    // The engine multiplies in float32.
    const result = scales === undefined ? value : Math.floor(Math.fround(Math.fround(value) * size));
    if (!(value > 0) || result < 1)
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `${at}: ${value} leaves nothing of axis ${axis} of ${shapeToString(shape)}`,
      );
    if (scales === undefined && result === size) return [];
    return [{ axis, size, result, scale: scales === undefined ? undefined : value }];
  });
}

function numbersAttribute(value: Attributes[string]): readonly number[] | undefined {
  return typeof value === "object" ? value.map(Number) : undefined;
}

// Each axis by itself is y = A·x with a matrix A of known numbers, so dx = Aᵀ·dy, axis by axis
export const resize: Op = {
  type: "Resize",
  label: "resize",
  domain: "",
  arity: [1, 1],
  attributes: {
    mode: "string",
    coordinate_transformation_mode: "string",
    nearest_mode: "string",
    cubic_coeff_a: "float",
    exclude_outside: "int",
    antialias: "int",
    axes: "ints",
    roi: "floatsInput",
    scales: "floatsInput",
    sizes: "intsInput",
  },
  infer(inputs, attributes, at) {
    const { dtype, shape } = inputType(inputs, 0, at);
    expectDType(dtype, ["float32"], at);
    oneOf(attributes.mode, modes, "mode", at);
    oneOf(attributes.coordinate_transformation_mode, coordinates, "coordinate_transformation_mode", at);
    oneOf(attributes.nearest_mode, roundings, "nearest_mode", at);
    oneOf(attributes.keep_aspect_ratio_policy, ["stretch"], "keep_aspect_ratio_policy", at);
    const result: Dim[] = [...shape];
    for (const { axis, result: size } of resizedAxes(shape, attributes, at)) result[axis] = size;
    return [{ dtype, shape: result }];
  },
  gradient({ inputs, attributes, dy }) {
    const axes = resizedAxes(inputs[0]!.shape, attributes, "gradient");
    const blocks = blockSums(dy[0]!, axes, attributes);
    return [blocks ?? axes.reduce((gradient, axis) => alongAxis(gradient, axis, attributes), dy[0]!)];
  },
};

/** Where every entry was copied a whole number of times, the gradient is a sum over blocks; undefined elsewhere. */
function blockSums(dy: Tensor, axes: readonly Resized[], attributes: Attributes): Tensor | undefined {
  const by = attributes.coordinate_transformation_mode ?? "half_pixel";
  const rounding = attributes.nearest_mode ?? "round_prefer_floor";
  const copies =
    (attributes.mode ?? "nearest") === "nearest" &&
    ((by === "asymmetric" && rounding === "floor") || (by === "half_pixel" && String(rounding).startsWith("round")));
  const first = Math.min(...axes.map(({ axis }) => axis));
  const factors = dy.shape.slice(first).map((_, i) => {
    const found = axes.find(({ axis }) => axis === first + i);
    return found === undefined ? 1 : found.result / found.size;
  });
  const whole = axes.every(
    ({ size, result, scale }) => result % size === 0 && (scale ?? result / size) === result / size,
  );
  if (!copies || !whole || axes.length === 0 || dy.rank < 3 || first < 2) return undefined;
  const kernel = [...dy.shape.slice(2, first).map(() => 1), ...factors];
  return dy.averagePool(kernel, { strides: kernel }).mul(elementCount(kernel));
}

/** Aᵀ·dy along one axis; A is what the operator makes of the unit vectors, so that it is the engine's to the last bit. */
function alongAxis(dy: Tensor, { axis, size, result, scale }: Resized, attributes: Attributes): Tensor {
  const { graph } = dy;
  const units = graph.constant(
    Float32Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0)),
    [1, 1, size, size],
    "float32",
  );
  const matrix = graph
    .apply(resize, [units], {
      ...attributes,
      axes: undefined,
      ...(scale === undefined ? { sizes: [1, 1, size, result] } : { scales: [1, 1, 1, scale] }),
    })[0]!
    .reshape([size, result]);
  if (axis === dy.rank - 1) return dy.matmul(matrix.transpose());
  if (axis === dy.rank - 2) return matrix.matmul(dy);
  const toEnd = dy.shape.map((_, i) => (i === axis ? dy.rank - 1 : i === dy.rank - 1 ? axis : i));
  return dy.transpose(toEnd).matmul(matrix.transpose()).transpose(toEnd);
}
