import * as ops from "./ops/index.ts";
import type { Tensor } from "./tensor.ts";

/**
 * The methods of Tensor that layers are made of: convolution, pooling, normalisation and resampling. Images are
 * [samples, channels, …sizes]; lists of strides, dilations and sizes have an entry for each spatial axis, pads one before
 * each of them and then one after each. All throw SHAPE_MISMATCH and MIXES_SAMPLES.
 */
export abstract class LayerMethods {
  /** [samples, in, …] with a weight [out, in/groups, …kernel] to [samples, out, …]. float32 only, as the engine. */
  conv(this: Tensor, weight: Tensor, options: ops.ConvOptions = {}): Tensor {
    return ops.convolve(this, weight, options);
  }

  /** The adjoint of `conv`: [samples, in, …] with a weight [in, out/groups, …kernel] to [samples, out, …]. float32 only. */
  convTranspose(this: Tensor, weight: Tensor, options: ops.ConvTransposeOptions = {}): Tensor {
    return ops.convolveTransposed(this, weight, options);
  }

  /** The largest entry of each window; side by side by default (the kernel as the stride). */
  maxPool(this: Tensor, kernel: readonly number[], options: ops.MaxPoolOptions = {}): Tensor {
    return ops.poolMax(this, kernel, options);
  }

  /** The mean of each window; side by side by default (the kernel as the stride). float32 only, as the engine. */
  averagePool(this: Tensor, kernel: readonly number[], options: ops.AveragePoolOptions = {}): Tensor {
    return ops.poolAverage(this, kernel, options);
  }

  /** (x - mean)/√(variance + epsilon) over the axes from `axis` on, then scale and bias of the shape of these axes. */
  layerNorm(this: Tensor, axis = -1, options: ops.NormOptions = {}): Tensor {
    return ops.layerNorm(this, axis, options);
  }

  /** x/√(mean of squares + epsilon) over the axes from `axis` on, then scale of the shape of these axes. */
  rmsNorm(this: Tensor, axis = -1, options: Omit<ops.NormOptions, "bias"> = {}): Tensor {
    return ops.rmsNorm(this, axis, options);
  }

  /** Layer normalisation of each group of channels with all their sizes, then scale and bias [channels]. */
  groupNorm(this: Tensor, groups: number, options: ops.NormOptions = {}): Tensor {
    return ops.groupNorm(this, groups, options);
  }

  /** (x - mean)/√(variance + epsilon) by given statistics [channels], then scale and bias [channels]. */
  batchNorm(this: Tensor, mean: Tensor, variance: Tensor, options: ops.NormOptions = {}): Tensor {
    return ops.batchNorm(this, mean, variance, options);
  }

  /** Interpolates along the last axes, one scale or size for each. float32 only. */
  resize(this: Tensor, options: ops.ResizeOptions): Tensor {
    return ops.resizeLast(this, options);
  }

  /** Adds entries before each axis and then after each; with "constant" a negative count takes entries away. */
  pad(this: Tensor, pads: readonly number[], options: ops.PadOptions = {}): Tensor {
    return ops.padded(this, pads, options);
  }

  /** [samples, block²·channels, h, w] to [samples, channels, block·h, block·w]; "CRD" is PyTorch's pixel shuffle. */
  depthToSpace(this: Tensor, block: number, mode: "DCR" | "CRD" = "DCR"): Tensor {
    return this.graph.apply(ops.depthToSpace, [this], { blocksize: block, mode })[0]!;
  }

  /** [samples, channels, block·h, block·w] to [samples, block²·channels, h, w]. */
  spaceToDepth(this: Tensor, block: number): Tensor {
    return this.graph.apply(ops.spaceToDepth, [this], { blocksize: block })[0]!;
  }
}
