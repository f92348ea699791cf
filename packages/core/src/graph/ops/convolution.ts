import { TuttiError } from "../../errors/index.ts";
import type { Attributes } from "../node.ts";
import type { Op } from "../op.ts";
import { isBatch, type Shape, shapeToString, staticShape, type TensorType } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { expectDType, inputType, integerAttribute, integersAttribute, sharedDType } from "../type-rules.ts";
import { dataGradient, weightGradient } from "./convolution-gradients.ts";
import { extent, placesOf, refuseSamples, spatialSizes, type Window, type WindowOptions, windowOf } from "./window.ts";

export interface ConvOptions extends WindowOptions {
  /** [out]. */
  readonly bias?: Tensor | null;
  readonly dilations?: readonly number[];
  readonly groups?: number;
}

export interface ConvTransposeOptions extends ConvOptions {
  /** Sizes added after each spatial axis of the result. */
  readonly outputPadding?: readonly number[];
}

function attributesOf({ strides, pads, dilations, groups }: ConvOptions): Attributes {
  return { strides, pads, dilations, group: groups };
}

/** x [samples, in, …sizes], weight [out, in/groups, …kernel] to [samples, out, …places]. */
export function convolve(x: Tensor, weight: Tensor, options: ConvOptions): Tensor {
  const { bias } = options;
  return x.graph.apply(conv, bias ? [x, weight, bias] : [x, weight], attributesOf(options))[0]!;
}

/** x [samples, in, …sizes], weight [in, out/groups, …kernel] to [samples, out, …]. */
export function convolveTransposed(x: Tensor, weight: Tensor, options: ConvTransposeOptions): Tensor {
  const { bias, outputPadding: added } = options;
  return x.graph.apply(convTranspose, bias ? [x, weight, bias] : [x, weight], {
    ...attributesOf(options),
    output_padding: added,
  })[0]!;
}

interface Operands {
  readonly dtype: TensorType["dtype"];
  readonly image: Shape;
  readonly sizes: readonly number[];
  readonly weight: readonly number[];
  readonly groups: number;
  readonly window: Window;
}

/** The types that both operators check. `channels` gives the image's and the result's number from weight and groups. */
function operands(
  inputs: readonly (TensorType | null)[],
  attributes: Attributes,
  at: string,
  channels: (weight: readonly number[], groups: number) => readonly [input: number, output: number],
): Operands & { readonly out: number } {
  const dtype = sharedDType(inputs, at);
  expectDType(dtype, ["float32"], at, "operand");
  const image = inputType(inputs, 0, at).shape;
  const sizes = spatialSizes(image, at);
  refuseSamples(inputs[1]?.shape, "weight", at);
  refuseSamples(inputs[2]?.shape, "bias", at);
  const weight = staticShape(inputType(inputs, 1, at).shape);
  const pair = `${shapeToString(image)} with weight ${shapeToString(weight)}`;
  const fail = (why: string): TuttiError =>
    new TuttiError("SHAPE_MISMATCH", `${at}: ${why}: ${pair}`, {
      shapes: [shapeToString(image), shapeToString(weight)],
    });
  if (weight.length !== image.length) throw fail(`expected a weight of rank ${image.length}, found ${weight.length}`);
  const groups = integerAttribute(attributes, "group", at, 1);
  const [input, out] = channels(weight, groups);
  if (image[1] !== input) {
    throw fail(
      `expected ${input} input channels${groups === 1 ? "" : ` in ${groups} groups`}, found ${shapeToString([image[1]!]).slice(1, -1)}`,
    );
  }
  if (groups < 1 || input % groups !== 0 || out % groups !== 0)
    throw fail(`${input} input and ${out} output channels do not divide into ${groups} groups`);
  const bias = inputs[2]?.shape;
  if (bias !== undefined && (bias.length !== 1 || bias[0] !== out))
    throw fail(`expected a bias [${out}], found ${shapeToString(bias)}`);
  const kernel = weight.slice(2);
  const named = integersAttribute(attributes, "kernel_shape", at);
  if (named !== undefined && named.join() !== kernel.join())
    throw fail(`kernel_shape [${named.join(",")}] is not the weight's`);
  return { dtype, image, sizes, weight, groups, window: windowOf(attributes, kernel, at), out };
}

const attributes = {
  kernel_shape: "ints",
  strides: "ints",
  pads: "ints",
  dilations: "ints",
  group: "int",
} as const;

// y[n,o,i] = b[o] + Σ_c Σ_u x[n,c,i·s+u·d-p]·w[o,c,u], c within o's group
// dx = dy convolved with w turned around (convolution-gradients.ts), dw[o,c,u] = Σ_n Σ_i dy[n,o,i]·x[n,c,i·s+u·d-p],
// db = Σ_n Σ_i dy
export const conv: Op = {
  type: "Conv",
  label: "conv",
  domain: "",
  arity: [2, 3],
  attributes,
  infer(inputs, values, at) {
    const { dtype, image, sizes, window, out } = operands(inputs, values, at, (weight, groups) => [
      weight[1]! * groups,
      weight[0]!,
    ]);
    return [{ dtype, shape: [image[0]!, out, ...placesOf(sizes, window, false, at)] }];
  },
  gradient({ inputs, attributes: values, dy, needs }) {
    const [x, w, gradient] = [inputs[0]!, inputs[1]!, dy[0]!];
    const groups = integerAttribute(values, "group", "gradient", 1);
    const window = windowOf(values, staticShape(w.shape.slice(2)), "gradient");
    return [
      needs[0] ? dataGradient(gradient, w, window, groups, staticShape(x.shape.slice(2))) : null,
      needs[1] ? weightGradient(x, gradient, window, groups) : null,
      ...(inputs.length > 2 ? [needs[2] ? channelSums(gradient) : null] : []),
    ];
  },
};

/** Sizes of the result; throws SHAPE_MISMATCH where nothing is left of it. */
function transposedSizes({ sizes, window }: Operands, added: readonly number[], at: string): readonly number[] {
  return sizes.map((size, axis) => {
    const stride = window.strides[axis]!;
    const extra = added[axis]!;
    if (extra < 0 || extra >= stride) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `${at}: output padding ${extra} with stride ${stride}: expected less than the stride`,
      );
    }
    const result = stride * (size - 1) + extra + extent(window, axis) - window.begin[axis]! - window.end[axis]!;
    if (result < 1) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `${at}: pads [${[...window.begin, ...window.end].join(",")}] leave nothing of axis ${axis + 2}`,
      );
    }
    return result;
  });
}

function outputPadding(values: Attributes, rank: number, at: string): readonly number[] {
  const added = integersAttribute(values, "output_padding", at) ?? Array.from({ length: rank }, () => 0);
  if (added.length !== rank)
    throw new TuttiError("SHAPE_MISMATCH", `${at}: output_padding is [${added.join(",")}], expected ${rank} integers`);
  return added;
}

// y[n,o,i·s+u·d-p] += x[n,c,i]·w[c,o,u]: the gradient of a convolution with the same weight. So
// dx = conv(dy, w), dw = the weight gradient of that convolution, db = Σ_n Σ_i dy
export const convTranspose: Op = {
  type: "ConvTranspose",
  label: "convTranspose",
  domain: "",
  arity: [2, 3],
  attributes: { ...attributes, output_padding: "ints" },
  infer(inputs, values, at) {
    const found = operands(inputs, values, at, (weight, groups) => [weight[0]!, weight[1]! * groups]);
    const sizes = transposedSizes(found, outputPadding(values, found.sizes.length, at), at);
    return [{ dtype: found.dtype, shape: [found.image[0]!, found.out, ...sizes] }];
  },
  gradient({ inputs, attributes: values, dy, needs }) {
    const [x, w, gradient] = [inputs[0]!, inputs[1]!, dy[0]!];
    const groups = integerAttribute(values, "group", "gradient", 1);
    const window = windowOf(values, staticShape(w.shape.slice(2)), "gradient");
    const added = outputPadding(values, window.kernel.length, "gradient");
    // What was added at the end is behind the last place of the window; as negative padding it would not be read.
    let image = gradient;
    const end = window.end.map((pad, axis) => {
      const rest = pad - added[axis]!;
      if (rest < 0) image = image.slice(axis + 2, 0, rest);
      return Math.max(0, rest);
    });
    const read = { ...window, end };
    return [
      needs[0]
        ? image.conv(w, {
            strides: window.strides,
            dilations: window.dilations,
            pads: [...window.begin, ...end],
            groups,
          })
        : null,
      needs[1] ? weightGradient(image, x, read, groups) : null,
      ...(inputs.length > 2 ? [needs[2] ? channelSums(gradient) : null] : []),
    ];
  },
};

/** Σ over samples and spatial axes. */
function channelSums(gradient: Tensor): Tensor {
  if (isBatch(gradient.shape[0])) throw new TuttiError("INTERNAL", "gradient of a convolution before N is known");
  return gradient.sum(gradient.shape.flatMap((_, axis) => (axis === 1 ? [] : [axis])));
}
