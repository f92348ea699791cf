import { TuttiError } from "../../errors/index.ts";
import type { Attributes } from "../node.ts";
import type { Op } from "../op.ts";
import { elementCount, sameShape, shapeToString, staticShape, type TensorType } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { expectDType, floats, inputType, integerAttribute, integersAttribute } from "../type-rules.ts";
import { scatterElements } from "./scatter.ts";
import { extent, placesOf, refuseSamples, spatialSizes, type Window, type WindowOptions, windowOf } from "./window.ts";

export interface MaxPoolOptions extends WindowOptions {
  readonly dilations?: readonly number[];
  /** Counts a last, incomplete window too. */
  readonly ceilMode?: boolean;
}

export interface AveragePoolOptions extends WindowOptions {
  readonly ceilMode?: boolean;
  /** Whether the padding counts as zeros (as by default, and in PyTorch) or not at all. */
  readonly countIncludePad?: boolean;
}

/** The largest entry of each window of `kernel`, over the spatial axes of [samples, channels, …sizes]. */
export function poolMax(x: Tensor, kernel: readonly number[], options: MaxPoolOptions): Tensor {
  const { strides = kernel, pads, dilations, ceilMode = false } = options;
  return x.graph.apply(maxPool, [x], {
    kernel_shape: kernel,
    strides,
    pads,
    dilations,
    ceil_mode: ceilMode ? 1 : 0,
  })[0]!;
}

/** The mean of each window of `kernel`, over the spatial axes of [samples, channels, …sizes]. */
export function poolAverage(x: Tensor, kernel: readonly number[], options: AveragePoolOptions): Tensor {
  const { strides = kernel, pads, ceilMode = false, countIncludePad = true } = options;
  return x.graph.apply(averagePool, [x], {
    kernel_shape: kernel,
    strides,
    pads,
    ceil_mode: ceilMode ? 1 : 0,
    count_include_pad: countIncludePad ? 1 : 0,
  })[0]!;
}

function poolWindow(attributes: Attributes, at: string): Window {
  const kernel = integersAttribute(attributes, "kernel_shape", at);
  if (kernel === undefined || kernel.length === 0 || kernel.some((size) => size < 1))
    throw new TuttiError("SHAPE_MISMATCH", `${at}: kernel_shape is [${kernel?.join(",") ?? ""}], expected sizes >= 1`);
  return windowOf(attributes, kernel, at);
}

function pooled(type: TensorType, attributes: Attributes, at: string): TensorType {
  const sizes = spatialSizes(type.shape, at);
  const window = poolWindow(attributes, at);
  if (window.kernel.length !== sizes.length)
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `${at}: kernel [${window.kernel.join(",")}] for ${sizes.length} spatial axes; give one size for each`,
    );
  const wide = window.kernel.findIndex((size, axis) => Math.max(window.begin[axis]!, window.end[axis]!) >= size);
  if (wide !== -1) {
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `${at}: padding ${Math.max(window.begin[wide]!, window.end[wide]!)} with a kernel of ${window.kernel[wide]}: a window could hold nothing but padding`,
    );
  }
  const ceil = integerAttribute(attributes, "ceil_mode", at, 0) === 1;
  return { dtype: type.dtype, shape: [...type.shape.slice(0, 2), ...placesOf(sizes, window, ceil, at)] };
}

// dx = zeros, to which each entry of dy is added where the largest entry of its window was: the first one at ties, which the
// operator's second output names. As of the engine's kernel, a NaN wins only as the first of its window.
export const maxPool: Op = {
  type: "MaxPool",
  label: "maxPool",
  domain: "",
  arity: [1, 1],
  requiredOutputs: 1,
  attributes: { kernel_shape: "ints", strides: "ints", pads: "ints", dilations: "ints", ceil_mode: "int" },
  infer(inputs, attributes, at) {
    const type = inputType(inputs, 0, at);
    expectDType(type.dtype, floats, at);
    const y = pooled(type, attributes, at);
    return [y, { dtype: "int64", shape: y.shape }];
  },
  gradient({ inputs, outputs, attributes, dy }) {
    const [x, places, gradient] = [inputs[0]!, outputs[1]!, dy[0]!];
    const window = poolWindow(attributes, "gradient");
    // Each entry is in one window at most: nothing to add up. The indices say it all; the window only has to imply a shape
    // that is no larger than x's.
    if (x.dtype === "float32" && window.strides.every((stride, axis) => stride >= extent(window, axis))) {
      const kernel = window.begin.map((pad) => pad + 1);
      const pads = [...window.begin, ...window.begin];
      const shaped = { kernel_shape: kernel, strides: window.strides, pads, output_shape: x.shape };
      return [x.graph.apply(maxUnpool, [gradient, places], shaped)[0]!];
    }
    const zeros = x.graph.scalar(0, x.dtype).expand([elementCount(x.shape)]);
    const added = x.graph.apply(scatterElements, [zeros, flat(places), flat(gradient)], { axis: 0, reduction: "add" });
    return [added[0]!.reshape(x.shape)];
  },
};

function flat(tensor: Tensor): Tensor {
  return tensor.reshape([elementCount(tensor.shape)]);
}

// y = zeros, in which each entry of x stands at its index (counted over all of y, no index twice): dx = dy taken at indices
export const maxUnpool: Op = {
  type: "MaxUnpool",
  label: "maxUnpool",
  domain: "",
  arity: [2, 2],
  attributes: { kernel_shape: "ints", strides: "ints", pads: "ints", output_shape: "intsInput" },
  infer(inputs, attributes, at) {
    const [x, indices] = [inputType(inputs, 0, at), inputType(inputs, 1, at)];
    expectDType(x.dtype, ["float32"], at);
    expectDType(indices.dtype, ["int64"], at, "index");
    // The indices count over all samples, so that they mean another entry in another shard.
    refuseSamples(x.shape, "input", at);
    const shape = integersAttribute(attributes, "output_shape", at);
    if (!sameShape(x.shape, indices.shape) || shape?.length !== x.shape.length) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `${at}: ${shapeToString(x.shape)} by indices ${shapeToString(indices.shape)} to [${shape?.join(",") ?? ""}]: expected equal shapes, and an output_shape of their rank`,
      );
    }
    return [{ dtype: x.dtype, shape }];
  },
  gradient: ({ inputs, dy }) => [flat(dy[0]!).gather(inputs[1]!), null],
};

/** Of how many entries each place takes the mean, along one axis. */
function counts(size: number, window: Window, axis: number, places: number, withPads: boolean): readonly number[] {
  const [before, kernel] = [window.begin[axis]!, window.kernel[axis]!];
  return Array.from({ length: places }, (_, place) => {
    const start = place * window.strides[axis]! - before;
    const end = Math.min(start + kernel, size + window.end[axis]!);
    return withPads ? end - start : Math.min(end, size) - Math.max(start, 0);
  });
}

// dx = dy/count, added to each entry of its window; count without the padding unless count_include_pad
export const averagePool: Op = {
  type: "AveragePool",
  label: "averagePool",
  domain: "",
  arity: [1, 1],
  attributes: { kernel_shape: "ints", strides: "ints", pads: "ints", ceil_mode: "int", count_include_pad: "int" },
  infer(inputs, attributes, at) {
    const type = inputType(inputs, 0, at);
    expectDType(type.dtype, ["float32"], at);
    if (integersAttribute(attributes, "dilations", at)?.some((dilation) => dilation !== 1))
      throw new TuttiError("SHAPE_MISMATCH", `${at}: dilations of an average pool are not supported`);
    return [pooled(type, attributes, at)];
  },
  gradient({ inputs, attributes, dy }) {
    const [x, gradient] = [inputs[0]!, dy[0]!];
    const window = poolWindow(attributes, "gradient");
    const withPads = integerAttribute(attributes, "count_include_pad", "gradient", 0) === 1;
    const sizes = staticShape(x.shape.slice(2));
    const perAxis = sizes.map((size, axis) => counts(size, window, axis, Number(gradient.shape[axis + 2]), withPads));
    return [spread(perCount(gradient, perAxis), window, sizes)];
  },
};

/** dy divided by the number of entries of each place. */
function perCount(dy: Tensor, perAxis: readonly (readonly number[])[]): Tensor {
  const products = perAxis.reduce<readonly number[]>(
    (outer, inner) => outer.flatMap((a) => inner.map((b) => a * b)),
    [1],
  );
  const first = products[0]!;
  if (products.every((count) => count === first)) return dy.div(first);
  return dy.div(
    dy.graph.constant(
      Float32Array.from(products),
      perAxis.map((list) => list.length),
      "float32",
    ),
  );
}

/** Each entry of dy added to all entries of its window: the adjoint of a sum over windows. */
function spread(dy: Tensor, { kernel, strides, begin }: Window, sizes: readonly number[]): Tensor {
  const places = staticShape(dy.shape.slice(2));
  const beyond = sizes.map((size, axis) => strides[axis]! * (places[axis]! - 1) + kernel[axis]! - begin[axis]! - size);
  if (begin.every((pad) => pad === 0) && beyond.every((rest) => rest === 0) && kernel.join() === strides.join())
    return dy.resize({ scales: kernel, mode: "nearest", coordinates: "asymmetric", nearest: "floor" });
  const pads = [...begin, ...beyond.map((rest) => Math.max(0, rest))];
  if (strides.every((stride) => stride === 1)) {
    // At stride 1 it is a sum over windows again.
    const margins = pads.map((pad, i) => kernel[i % kernel.length]! - 1 - pad);
    const count = kernel.reduce((product, size) => product * size, 1);
    return dy.averagePool(kernel, { strides: kernel.map(() => 1), pads: margins }).mul(count);
  }
  const ones = dy.graph.scalar(1, dy.dtype).expand([1, 1, ...kernel]);
  const single = dy.reshape([Number(dy.shape[0]) * Number(dy.shape[1]), 1, ...places]);
  const outputPadding = beyond.map((rest) => Math.max(0, -rest));
  return single.convTranspose(ones, { strides, pads, outputPadding }).reshape([...dy.shape.slice(0, 2), ...sizes]);
}

function overEach(inputs: readonly (TensorType | null)[], at: string): readonly TensorType[] {
  const { dtype, shape } = inputType(inputs, 0, at);
  expectDType(dtype, ["float32"], at);
  return [{ dtype, shape: [...shape.slice(0, 2), ...spatialSizes(shape, at).map(() => 1)] }];
}

// dx = dy/n, at each of the n entries of a channel
export const globalAveragePool: Op = {
  type: "GlobalAveragePool",
  label: "globalAveragePool",
  domain: "",
  arity: [1, 1],
  attributes: {},
  infer: (inputs, _attributes, at) => overEach(inputs, at),
  gradient({ inputs, dy }) {
    const { shape } = inputs[0]!;
    return [dy[0]!.div(elementCount(shape.slice(2))).expand(shape)];
  },
};

// dx = dy at the largest entry of a channel (the first one at ties), 0 elsewhere
export const globalMaxPool: Op = {
  type: "GlobalMaxPool",
  label: "globalMaxPool",
  domain: "",
  arity: [1, 1],
  attributes: {},
  infer: (inputs, _attributes, at) => overEach(inputs, at),
  gradient({ inputs, dy }) {
    const [x, gradient] = [inputs[0]!, dy[0]!];
    const count = elementCount(x.shape.slice(2));
    const rows = x.reshape([...x.shape.slice(0, 2), count]);
    const places = x.graph.constant(
      BigInt64Array.from({ length: count }, (_, i) => BigInt(i)),
      [count],
      "int64",
    );
    const chosen = places.equal(rows.argmax(2).unsqueeze(2));
    const spreadOut = gradient.reshape([...x.shape.slice(0, 2), 1]);
    return [chosen.where(spreadOut, x.graph.scalar(0, x.dtype)).reshape(x.shape)];
  },
};
