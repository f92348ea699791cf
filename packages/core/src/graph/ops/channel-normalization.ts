import { TuttiError } from "../../errors/index.ts";
import type { Attributes } from "../node.ts";
import type { Op } from "../op.ts";
import { elementCount, elements, type Shape, sameShape, shapeToString, staticShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { expectDType, floats, inputType, integerAttribute, sharedDType } from "../type-rules.ts";
import { epsilonOf, type NormOptions, ones, standardise } from "./normalization.ts";
import { refuseMovedSamples, refuseSamples, spatialSizes } from "./window.ts";

/** Throws unless these are images [samples, channels, …] with a scale and bias [channels]. */
function expectChannels(shape: Shape, others: readonly (Shape | undefined)[], at: string): void {
  for (const other of others) {
    refuseSamples(other, "scale or bias", at);
    if (other !== undefined && !sameShape(other, [shape[1] ?? 1])) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `${at}: expected one entry for each of ${shapeToString([shape[1] ?? 1]).slice(1, -1)} channels, found ${shapeToString(other)}: ${shapeToString(shape)}`,
        { shapes: [shapeToString(shape), shapeToString(other)] },
      );
    }
  }
}

/** [channels] in the shape that broadcasts along the axes behind the channels. */
function perChannel(tensor: Tensor, rank: number): Tensor {
  return rank === 2 ? tensor : tensor.reshape([tensor.shape[0]!, ...Array.from({ length: rank - 2 }, () => 1)]);
}

/** Σ over samples and spatial axes. */
function channelSums(tensor: Tensor): Tensor {
  return tensor.sum(tensor.shape.flatMap((_, axis) => (axis === 1 ? [] : [axis])));
}

/** x̂ over groups of channels: a row of the matrix for each sample and group. */
function groupRows(x: Tensor, groups: number): Tensor {
  const perGroup = elementCount(x.shape.slice(1)) / groups;
  return x.reshape([elements([x.shape[0]!, groups], "groupNorm"), perGroup]);
}

/** x·slope + offset, each [channels], in one pass. */
function affine(x: Tensor, slope: Tensor, offset: Tensor): Tensor {
  const sizes = staticShape(slope.shape);
  const zeros = x.graph.scalar(0, x.dtype).expand(sizes);
  return batchNorm(x, zeros, ones(x, sizes), { scale: slope, bias: offset, epsilon: 0 });
}

// y = x̂·scale + bias, x̂ = (x - mean)/√(variance + ε) = (x - mean)·r over a group of channels and all spatial axes, scale and
// bias for each channel. With σ = Σ dy and τ = Σ dy·x̂ over the spatial axes, for each sample and channel, and m entries a group:
// dx = r·(scale·dy - x̂·Σ scale·τ/m - Σ scale·σ/m), sums over the channels of the group; d scale = Σ τ, d bias = Σ σ over samples
function channelGroups(
  type: string,
  label: string,
  since: number | undefined,
  groupsOf: (attributes: Attributes, channels: number, at: string) => number,
): Op {
  const grouped = (x: Tensor, attributes: Attributes): number => groupsOf(attributes, Number(x.shape[1]), "gradient");
  return {
    type,
    label,
    ...(since !== undefined && { since }),
    domain: "",
    arity: [3, 3],
    attributes: { ...(since !== undefined && { num_groups: "int" }), epsilon: "float" },
    infer(inputs, attributes, at) {
      const dtype = sharedDType(inputs, at);
      expectDType(dtype, ["float32"], at, "operand");
      const { shape } = inputType(inputs, 0, at);
      spatialSizes(shape, at);
      expectChannels(shape, [inputs[1]?.shape, inputs[2]?.shape], at);
      groupsOf(attributes, staticShape(shape.slice(1, 2))[0]!, at);
      return [{ dtype, shape }];
    },
    // The engine would take it apart in its own way; so the gradient has the same x̂.
    ...(since !== undefined && {
      isComposed: true,
      lower: ([x, scale, bias]: readonly (Tensor | null)[], attributes: Attributes) => {
        const { xhat } = standardise(groupRows(x!, grouped(x!, attributes)), epsilonOf(attributes));
        return [affine(xhat.reshape(x!.shape), scale!, bias!)];
      },
    }),
    gradient({ inputs, attributes, dy, needs }) {
      const [x, scale, gradient] = [inputs[0]!, inputs[1]!, dy[0]!];
      const [samples, channels, ...sizes] = staticShape(x.shape) as [number, number, ...number[]];
      const [groups, places] = [grouped(x, attributes), elementCount(sizes)];
      const grid = [samples, groups, channels / groups];
      const { xhat, inverse } = standardise(groupRows(x, groups), epsilonOf(attributes));
      const perRow = (tensor: Tensor): Tensor => tensor.reshape([samples * channels, places]).sum(1);
      const [plain, along] = [perRow(gradient), perRow(gradient.mul(xhat.reshape(x.shape)))];
      const dx = (): Tensor => {
        const share = scale.div((channels / groups) * places).reshape([1, ...grid.slice(1)]);
        const deviation = inverse.reshape([samples, groups, 1]);
        const ofGroup = (sums: Tensor): Tensor =>
          sums
            .reshape(grid)
            .mul(share)
            .sum(2, true)
            .mul(deviation)
            .neg()
            .expand(grid)
            .reshape([samples * channels]);
        const slope = scale.reshape([1, ...grid.slice(1)]).mul(deviation);
        const through = affine(xhat.reshape([1, samples * channels, places]), ofGroup(along), ofGroup(plain));
        const direct = gradient.reshape(through.shape).mul(slope.reshape([samples * channels, 1]));
        return direct.add(through).reshape(x.shape);
      };
      const overSamples = (sums: Tensor): Tensor => sums.reshape([samples, channels]).sum(0);
      return [needs[0] ? dx() : null, needs[1] ? overSamples(along) : null, needs[2] ? overSamples(plain) : null];
    },
  };
}

export const groupNormalization = channelGroups("GroupNormalization", "groupNorm", 21, (attributes, channels, at) =>
  expectGroups(integerAttribute(attributes, "num_groups", at), channels, at),
);

export const instanceNormalization = channelGroups(
  "InstanceNormalization",
  "instanceNorm",
  undefined,
  (_, channels) => channels,
);

/** Normalises over groups of channels and all spatial axes of [samples, channels, …], then scale and bias [channels]. */
export function groupNorm(x: Tensor, groups: number, { scale, bias, epsilon = 1e-5 }: NormOptions): Tensor {
  const sizes = staticShape(spatialChannels(x));
  const given = [scale ?? ones(x, sizes), bias ?? x.graph.scalar(0, x.dtype).expand(sizes)];
  return x.graph.apply(groupNormalization, [x, ...given], { num_groups: groups, epsilon })[0]!;
}

/** [channels] of images. */
function spatialChannels(x: Tensor): Shape {
  spatialSizes(x.shape, x.graph.at("groupNorm"));
  return x.shape.slice(1, 2);
}

function expectGroups(groups: number, channels: number, at: string): number {
  if (Number.isInteger(groups) && groups >= 1 && channels % groups === 0) return groups;
  throw new TuttiError("SHAPE_MISMATCH", `${at}: ${channels} channels do not divide into ${groups} groups`);
}

/** Normalises by given statistics [channels], as in evaluation; then scale and bias [channels]. */
export function batchNorm(x: Tensor, mean: Tensor, variance: Tensor, options: NormOptions): Tensor {
  const { scale, bias, epsilon = 1e-5 } = options;
  const sizes = mean.shape.map(Number);
  const zeros = (): Tensor => x.graph.scalar(0, x.dtype).expand(sizes);
  const inputs = [x, scale ?? ones(x, sizes), bias ?? zeros(), mean, variance];
  return x.graph.apply(batchNormalization, inputs, { epsilon })[0]!;
}

// y = (x - mean)·scale/√(variance + ε) + bias with given statistics, that is in evaluation:
// dx = dy·scale/√(variance + ε), d scale = Σ dy·(x - mean)/√(variance + ε), d bias = Σ dy,
// d mean = -Σ dx, d variance = -½·scale·d scale/(variance + ε), sums over all but the channels
export const batchNormalization: Op = {
  type: "BatchNormalization",
  label: "batchNorm",
  domain: "",
  arity: [5, 5],
  attributes: { epsilon: "float", momentum: "float", training_mode: "int" },
  infer(inputs, attributes, at) {
    const dtype = sharedDType(inputs, at);
    expectDType(dtype, floats, at, "operand");
    const { shape } = inputType(inputs, 0, at);
    if (shape.length < 2)
      throw new TuttiError("SHAPE_MISMATCH", `${at}: expected [samples, channels, …], found ${shapeToString(shape)}`);
    refuseMovedSamples(shape, at);
    expectChannels(
      shape,
      inputs.slice(1).map((type) => type?.shape),
      at,
    );
    if (integerAttribute(attributes, "training_mode", at, 0) !== 0) {
      throw new TuttiError(
        "MIXES_SAMPLES",
        `${at}: training_mode takes the statistics of all samples; use nn.batchNorm, which accounts for them`,
      );
    }
    return [{ dtype, shape }];
  },
  gradient({ inputs, attributes, dy, needs }) {
    const [x, scale, , mean, variance] = inputs as readonly Tensor[];
    const gradient = dy[0]!;
    const shifted = variance!.add(epsilonOf(attributes));
    const inverse = x!.graph.scalar(1, x!.dtype).div(shifted.sqrt());
    const factor = perChannel(scale!.mul(inverse), x!.rank);
    const dbias = channelSums(gradient);
    const dscale = channelSums(gradient.mul(x!.sub(perChannel(mean!, x!.rank)))).mul(inverse);
    return [
      needs[0] ? gradient.mul(factor) : null,
      needs[1] ? dscale : null,
      needs[2] ? dbias : null,
      needs[3] ? dbias.mul(scale!.mul(inverse)).neg() : null,
      needs[4] ? dscale.mul(scale!).div(shifted).mul(-0.5) : null,
    ];
  },
};
