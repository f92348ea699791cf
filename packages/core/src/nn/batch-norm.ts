import { TuttiError } from "../errors/index.ts";
import { isBatch, shapeToString, type Tensor } from "../graph/index.ts";
import { type Module, type ModuleSelf, module, type ParameterSpec } from "./module.ts";
import { requireSize } from "./sizes.ts";

export interface BatchNormOptions {
  /** ε; 1e-5 by default. */
  readonly epsilon?: number;
  /** Share of the new statistics; 0.1 by default. null: the plain average over all steps. */
  readonly momentum?: number | null;
  /** Adds weight and bias; true by default. */
  readonly affine?: boolean;
}

/**
 * Batch normalisation (Ioffe and Szegedy 2015) over axis 1 of [N, C] or [N, C, L], as torch.nn.BatchNorm1d. Training
 * normalises by the statistics of the *shard*, so the result depends on `shards`; the running statistics, which evaluation
 * uses, are pooled over the whole batch and unbiased. Parameters weight, bias [C]; buffers running_mean, running_var [C].
 * A shard that leaves a channel fewer than 2 values is an error before the first step.
 */
export function batchNorm1d(features: number, options: BatchNormOptions = {}): Module {
  return batchNorm("batchNorm1d", [2, 3], features, options);
}

/** The same over axis 1 of [N, C, H, W], as torch.nn.BatchNorm2d. */
export function batchNorm2d(features: number, options: BatchNormOptions = {}): Module {
  return batchNorm("batchNorm2d", [4], features, options);
}

function batchNorm(kind: string, ranks: readonly number[], features: number, options: BatchNormOptions): Module {
  requireSize(`nn.${kind}: features`, features);
  const { epsilon = 1e-5, momentum = 0.1, affine = true } = options;
  if (!(epsilon > 0) || !(momentum === null || (momentum >= 0 && momentum <= 1))) {
    throw new TuttiError(
      "BAD_OPTION",
      `nn.${kind}: expected epsilon > 0 and momentum from 0 to 1, or null, found ${epsilon} and ${momentum}`,
    );
  }
  const parameters: Record<string, ParameterSpec> = affine
    ? {
        weight: { shape: [features], init: { kind: "ones" }, trainable: true },
        bias: { shape: [features], init: { kind: "zeros" }, trainable: true },
      }
    : {};
  return module({
    kind,
    options: { features, epsilon, momentum, affine },
    parameters,
    buffers: {
      running_mean: { shape: [features], init: { kind: "zeros" } },
      running_var: { shape: [features], init: { kind: "ones" } },
    },
    forward(self, x: Tensor) {
      if (!ranks.includes(x.rank) || x.shape[1] !== features || !isBatch(x.shape[0]) || x.dtype !== "float32") {
        const rest = ranks.map((rank) => ["", "", `[N,${features}]`, `[N,${features},L]`, `[N,${features},H,W]`][rank]);
        throw new TuttiError(
          "SHAPE_MISMATCH",
          `${x.graph.at(kind)}: expected float32${rest.join(" or ")}, found ${x.dtype}${shapeToString(x.shape)}`,
        );
      }
      const weight = affine ? self.parameter("weight") : null;
      const bias = affine ? self.parameter("bias") : null;
      if (!self.training) {
        const [mean, variance] = [self.buffer("running_mean"), self.buffer("running_var")];
        return x.batchNorm(mean, variance, { epsilon, scale: weight, bias });
      }
      const { centred, variance } = shardStatistics(self, x, momentum);
      const inverse = x.graph.scalar(1, "float32").div(variance.add(epsilon).sqrt());
      const along = (tensor: Tensor): Tensor => tensor.reshape([features, ...x.shape.slice(2).map(() => 1)]);
      const y = centred.mul(along(weight === null ? inverse : inverse.mul(weight)));
      return bias === null ? y : y.add(along(bias));
    },
  });
}

/** x without its mean over the shard, and the biased variance [C], which the buffers are to follow. */
function shardStatistics(
  self: ModuleSelf<unknown, unknown>,
  x: Tensor,
  momentum: number | null,
): { centred: Tensor; variance: Tensor } {
  const axes = x.shape.map((_, axis) => axis).filter((axis) => axis !== 1);
  const valuesPerSample = axes.reduce((product, axis) => {
    const dim = x.shape[axis]!;
    return product * (isBatch(dim) ? dim.timesN : dim);
  }, 1);
  const { mean, centred, variance } = x.graph.withPerShard(() => {
    const mean = x.mean(axes);
    const centred = x.sub(mean.reshape([mean.shape[0]!, ...x.shape.slice(2).map(() => 1)]));
    return { mean, centred, variance: centred.mul(centred).mean(axes) };
  });
  const buffers = { mean: "running_mean", variance: "running_var" };
  self.trackStatistics({ buffers, mean, variance, valuesPerSample, momentum });
  return { centred, variance };
}
