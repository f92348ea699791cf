import { TuttiError } from "../errors/index.ts";
import { shapeToString, type Tensor } from "../graph/index.ts";
import { type Module, module, type ParameterSpec } from "./module.ts";
import { requireSize } from "./sizes.ts";

export interface NormOptions {
  /** ε; 1e-5 by default. */
  readonly epsilon?: number;
  /** Adds weight and bias; true by default. */
  readonly affine?: boolean;
}

/**
 * Layer normalisation (Ba, Kiros and Hinton 2016) over the last axes, which have the given sizes, as torch.nn.LayerNorm:
 * (x − mean)/√(variance + ε)·weight + bias.
 */
export function layerNorm(sizes: number | readonly number[], options: NormOptions = {}): Module {
  const { epsilon = 1e-5, affine = true } = options;
  const shape = lastSizes("layerNorm", sizes, epsilon);
  return module({
    kind: "layerNorm",
    options: { sizes: shape, epsilon, affine },
    parameters: affine ? weightAndBias(shape) : none,
    forward(self, x: Tensor) {
      expectLast("layerNorm", x, shape);
      const scaled = affine ? { scale: self.parameter("weight"), bias: self.parameter("bias") } : {};
      return x.layerNorm(-shape.length, { epsilon, ...scaled });
    },
  });
}

/**
 * Root mean square normalisation (Zhang and Sennrich 2019) over the last axes: x/√(mean x² + ε)·weight. ε is 1e-5 by default
 * (PyTorch 2's default is the dtype's own, 1.2e-7).
 */
export function rmsNorm(sizes: number | readonly number[], options: NormOptions = {}): Module {
  const { epsilon = 1e-5, affine = true } = options;
  const shape = lastSizes("rmsNorm", sizes, epsilon);
  return module({
    kind: "rmsNorm",
    options: { sizes: shape, epsilon, affine },
    parameters: affine ? { weight: weightAndBias(shape).weight } : {},
    forward(self, x: Tensor) {
      expectLast("rmsNorm", x, shape);
      return x.rmsNorm(-shape.length, { epsilon, ...(affine && { scale: self.parameter("weight") }) });
    },
  });
}

/**
 * Group normalisation (Wu and He 2018) of [N, C, …], as torch.nn.GroupNorm: each sample's channels in `groups` equal groups,
 * normalised together with all their positions; weight and bias [C].
 */
export function groupNorm(groups: number, channels: number, options: NormOptions = {}): Module {
  requireSize("nn.groupNorm: groups", groups);
  requireSize("nn.groupNorm: channels", channels);
  const { epsilon = 1e-5, affine = true } = options;
  requireEpsilon("groupNorm", epsilon);
  if (channels % groups !== 0) {
    throw new TuttiError(
      "BAD_OPTION",
      `nn.groupNorm: groups: expected a divisor of ${channels} channels, found ${groups}`,
    );
  }
  return module({
    kind: "groupNorm",
    options: { groups, channels, epsilon, affine },
    parameters: affine ? weightAndBias([channels]) : none,
    forward(self, x: Tensor) {
      if (x.rank < 2 || x.shape[1] !== channels || x.dtype !== "float32") {
        throw new TuttiError(
          "SHAPE_MISMATCH",
          `${x.graph.at("groupNorm")}: expected float32[N,${channels},…], found ${x.dtype}${shapeToString(x.shape)}`,
        );
      }
      const scaled = affine ? { scale: self.parameter("weight"), bias: self.parameter("bias") } : {};
      if (x.rank > 2) return x.groupNorm(groups, { epsilon, ...scaled });
      return x
        .unsqueeze(2)
        .groupNorm(groups, { epsilon, ...scaled })
        .squeeze(2);
    },
  });
}

const none: Partial<Record<"weight" | "bias", ParameterSpec>> = {};

function weightAndBias(shape: readonly number[]): { readonly weight: ParameterSpec; readonly bias: ParameterSpec } {
  return {
    weight: { shape, init: { kind: "ones" }, trainable: true },
    bias: { shape, init: { kind: "zeros" }, trainable: true },
  };
}

function lastSizes(kind: string, sizes: number | readonly number[], epsilon: number): readonly number[] {
  const shape = typeof sizes === "number" ? [sizes] : sizes;
  if (shape.length === 0) throw new TuttiError("BAD_OPTION", `nn.${kind}: sizes: expected at least one`);
  for (const size of shape) requireSize(`nn.${kind}: size`, size);
  requireEpsilon(kind, epsilon);
  return shape;
}

function requireEpsilon(kind: string, epsilon: number): void {
  if (!(epsilon > 0))
    throw new TuttiError("BAD_OPTION", `nn.${kind}: epsilon: expected a positive number, found ${epsilon}`);
}

function expectLast(kind: string, x: Tensor, shape: readonly number[]): void {
  const last = x.shape.slice(-shape.length);
  if (x.rank > shape.length && shape.every((size, i) => last[i] === size) && x.dtype === "float32") return;
  throw new TuttiError(
    "SHAPE_MISMATCH",
    `${x.graph.at(kind)}: expected float32[…,${shape.join(",")}], found ${x.dtype}${shapeToString(x.shape)}`,
  );
}
