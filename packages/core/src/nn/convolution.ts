import { TuttiError } from "../errors/index.ts";
import { shapeToString, type Tensor } from "../graph/index.ts";
import { fanInUniform, type Init } from "./init.ts";
import { type Module, module, type ParameterSpec } from "./module.ts";
import { perAxis, requireSize } from "./sizes.ts";

type Sizes = number | readonly number[];

export interface ConvolutionOptions {
  readonly stride?: Sizes;
  /** Zeros around each spatial axis; "same" keeps the sizes (stride 1). 0 by default. */
  readonly padding?: Sizes | "same";
  readonly dilation?: Sizes;
  readonly groups?: number;
  /** Adds a bias [out]; true by default. */
  readonly bias?: boolean;
  /** First values; both U(±1/√(in/groups · kernel)) by default, as in PyTorch. */
  readonly init?: { readonly weight?: Init; readonly bias?: Init };
}

export interface TransposedConvolutionOptions extends Omit<ConvolutionOptions, "padding"> {
  /** Taken off around each spatial axis of the result; 0 by default. */
  readonly padding?: Sizes;
  /** Added at the end of each spatial axis of the result; 0 by default. */
  readonly outputPadding?: Sizes;
}

/** Convolution of float32 [N, in, L], as torch.nn.Conv1d: weight [out, in/groups, kernel], bias [out]. Throws BAD_OPTION. */
export function conv1d(
  inChannels: number,
  outChannels: number,
  kernel: Sizes,
  options: ConvolutionOptions = {},
): Module {
  return convolution("conv1d", 1, inChannels, outChannels, kernel, options);
}

/** Convolution of float32 [N, in, H, W], as torch.nn.Conv2d: weight [out, in/groups, kH, kW], bias [out]. Throws BAD_OPTION. */
export function conv2d(
  inChannels: number,
  outChannels: number,
  kernel: Sizes,
  options: ConvolutionOptions = {},
): Module {
  return convolution("conv2d", 2, inChannels, outChannels, kernel, options);
}

/**
 * The adjoint of a convolution, of float32 [N, in, H, W], as torch.nn.ConvTranspose2d: weight [in, out/groups, kH, kW], bias
 * [out]. Throws BAD_OPTION.
 */
export function convTranspose2d(
  inChannels: number,
  outChannels: number,
  kernel: Sizes,
  options: TransposedConvolutionOptions = {},
): Module {
  const kind = "convTranspose2d";
  const { sizes, strides, dilations, groups, bias } = common(kind, 2, inChannels, outChannels, kernel, options);
  const padding = perAxis(`nn.${kind}: padding`, options.padding ?? 0, 2, 0);
  const outputPadding = perAxis(`nn.${kind}: outputPadding`, options.outputPadding ?? 0, 2, 0);
  const shape = [inChannels, outChannels / groups, ...sizes];
  return module({
    kind,
    options: {
      in: inChannels,
      out: outChannels,
      kernel: sizes,
      strides,
      padding,
      outputPadding,
      dilations,
      groups,
      bias,
    },
    parameters: parametersOf(shape, outChannels, options),
    forward(self, x: Tensor) {
      expectImages(kind, x, inChannels, 2);
      const pads = [...padding, ...padding];
      const window = { strides, dilations, pads, groups, outputPadding };
      return x.convTranspose(self.parameter("weight"), { ...window, bias: bias ? self.parameter("bias") : null });
    },
  });
}

function convolution(
  kind: string,
  axes: number,
  inChannels: number,
  outChannels: number,
  kernel: Sizes,
  options: ConvolutionOptions,
): Module {
  const { sizes, strides, dilations, groups, bias } = common(kind, axes, inChannels, outChannels, kernel, options);
  const pads = padsOf(kind, options.padding ?? 0, sizes, strides, dilations);
  return module({
    kind,
    options: { in: inChannels, out: outChannels, kernel: sizes, strides, pads, dilations, groups, bias },
    parameters: parametersOf([outChannels, inChannels / groups, ...sizes], outChannels, options),
    forward(self, x: Tensor) {
      expectImages(kind, x, inChannels, axes);
      const window = { strides, dilations, pads, groups };
      return x.conv(self.parameter("weight"), { ...window, bias: bias ? self.parameter("bias") : null });
    },
  });
}

function common(
  kind: string,
  axes: number,
  inChannels: number,
  outChannels: number,
  kernel: Sizes,
  { stride = 1, dilation = 1, groups = 1, bias = true }: Omit<ConvolutionOptions, "padding">,
) {
  requireSize(`nn.${kind}: in`, inChannels);
  requireSize(`nn.${kind}: out`, outChannels);
  requireSize(`nn.${kind}: groups`, groups);
  if (inChannels % groups !== 0 || outChannels % groups !== 0) {
    throw new TuttiError(
      "BAD_OPTION",
      `nn.${kind}: groups: expected a divisor of ${inChannels} and ${outChannels} channels, found ${groups}`,
    );
  }
  return {
    sizes: perAxis(`nn.${kind}: kernel`, kernel, axes, 1),
    strides: perAxis(`nn.${kind}: stride`, stride, axes, 1),
    dilations: perAxis(`nn.${kind}: dilation`, dilation, axes, 1),
    groups,
    bias,
  };
}

/** Before each axis, then after each. Where "same" has an odd number to add, the larger half comes last, as in PyTorch. */
function padsOf(
  kind: string,
  padding: Sizes | "same",
  kernel: readonly number[],
  strides: readonly number[],
  dilations: readonly number[],
): readonly number[] {
  if (padding !== "same") {
    const list = perAxis(`nn.${kind}: padding`, padding, kernel.length, 0);
    return [...list, ...list];
  }
  if (strides.some((stride) => stride !== 1)) {
    throw new TuttiError("BAD_OPTION", `nn.${kind}: padding "same" needs stride 1, found [${strides.join(",")}]`);
  }
  const total = kernel.map((size, axis) => dilations[axis]! * (size - 1));
  const before = total.map((sum) => Math.floor(sum / 2));
  return [...before, ...total.map((sum, axis) => sum - before[axis]!)];
}

/** PyTorch takes the fan-in from axes 1 and on of the weight, also where axis 0 counts the inputs. */
function parametersOf(
  shape: readonly number[],
  out: number,
  { bias = true, init = {} }: Pick<ConvolutionOptions, "bias" | "init">,
): Readonly<Record<string, ParameterSpec>> {
  const initial = fanInUniform(shape.slice(1).reduce((product, size) => product * size, 1));
  return {
    weight: { shape, init: init.weight ?? initial, trainable: true },
    ...(bias && { bias: { shape: [out], init: init.bias ?? initial, trainable: true } }),
  };
}

function expectImages(kind: string, x: Tensor, channels: number, axes: number): void {
  if (x.rank === axes + 2 && x.shape[1] === channels && x.dtype === "float32") return;
  const sizes = axes === 1 ? "L" : "H,W";
  throw new TuttiError(
    "SHAPE_MISMATCH",
    `${x.graph.at(kind)}: expected float32[N,${channels},${sizes}], found ${x.dtype}${shapeToString(x.shape)}${x.rank === axes + 1 && channels === 1 ? "; add the channels with .unsqueeze(1)" : ""}`,
  );
}
