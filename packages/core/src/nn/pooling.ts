import { TuttiError } from "../errors/index.ts";
import { isBatch, shapeToString, type Tensor } from "../graph/index.ts";
import { type Module, module } from "./module.ts";
import { perAxis } from "./sizes.ts";

type Sizes = number | readonly number[];

export interface PoolOptions {
  /** The kernel by default, so that windows lie side by side. */
  readonly stride?: Sizes;
  readonly padding?: Sizes;
  /** Counts a last, incomplete window too; false by default. */
  readonly ceilMode?: boolean;
}

export interface MaxPoolOptions extends PoolOptions {
  readonly dilation?: Sizes;
}

export interface AveragePoolOptions extends PoolOptions {
  /** Whether padding counts as zeros; true by default, as in PyTorch. */
  readonly countIncludePad?: boolean;
}

/** Largest value of each window of [N, C, L]; the gradient goes to the first at ties, as torch.nn.MaxPool1d. */
export function maxPool1d(kernel: Sizes, options: MaxPoolOptions = {}): Module {
  return maxPool("maxPool1d", 1, kernel, options);
}

/** Largest value of each window of [N, C, H, W], as torch.nn.MaxPool2d. */
export function maxPool2d(kernel: Sizes, options: MaxPoolOptions = {}): Module {
  return maxPool("maxPool2d", 2, kernel, options);
}

/** Mean of each window of [N, C, L], as torch.nn.AvgPool1d. */
export function avgPool1d(kernel: Sizes, options: AveragePoolOptions = {}): Module {
  return averagePool("avgPool1d", 1, kernel, options);
}

/** Mean of each window of [N, C, H, W], as torch.nn.AvgPool2d. */
export function avgPool2d(kernel: Sizes, options: AveragePoolOptions = {}): Module {
  return averagePool("avgPool2d", 2, kernel, options);
}

/** [N, C, L] → [N, C, size]: means of about equal parts, which may overlap, as torch.nn.AdaptiveAvgPool1d. */
export function adaptiveAvgPool1d(size: number): Module {
  return adaptive("adaptiveAvgPool1d", 1, size);
}

/** [N, C, H, W] → [N, C, …size]: means of about equal parts, which may overlap, as torch.nn.AdaptiveAvgPool2d. */
export function adaptiveAvgPool2d(size: Sizes): Module {
  return adaptive("adaptiveAvgPool2d", 2, size);
}

function maxPool(kind: string, axes: number, kernel: Sizes, options: MaxPoolOptions): Module {
  const { sizes, strides, pads, ceilMode } = windowOf(kind, axes, kernel, options);
  const dilations = perAxis(`nn.${kind}: dilation`, options.dilation ?? 1, axes, 1);
  return module({
    kind,
    options: { kernel: sizes, strides, pads, ceilMode, dilations },
    forward: (_self, x: Tensor) => x.maxPool(sizes, { strides, pads, ceilMode, dilations }),
  });
}

function averagePool(kind: string, axes: number, kernel: Sizes, options: AveragePoolOptions): Module {
  const { sizes, strides, pads, ceilMode } = windowOf(kind, axes, kernel, options);
  const { countIncludePad = true } = options;
  return module({
    kind,
    options: { kernel: sizes, strides, pads, ceilMode, countIncludePad },
    forward: (_self, x: Tensor) => x.averagePool(sizes, { strides, pads, ceilMode, countIncludePad }),
  });
}

function windowOf(
  kind: string,
  axes: number,
  kernel: Sizes,
  { stride = kernel, padding = 0, ceilMode = false }: PoolOptions,
) {
  const sizes = perAxis(`nn.${kind}: kernel`, kernel, axes, 1);
  const around = perAxis(`nn.${kind}: padding`, padding, axes, 0);
  const wide = around.findIndex((pad, axis) => 2 * pad > sizes[axis]!);
  if (wide >= 0) {
    throw new TuttiError(
      "BAD_OPTION",
      `nn.${kind}: padding: expected at most half of the kernel [${sizes.join(",")}], found [${around.join(",")}]`,
    );
  }
  const strides = perAxis(`nn.${kind}: stride`, stride, axes, 1);
  return { sizes, strides, pads: [...around, ...around], ceilMode };
}

/** Part i of an axis of n entries cut into m is ⌊i·n/m⌋ … ⌈(i+1)·n/m⌉−1. */
function adaptive(kind: string, axes: number, size: Sizes): Module {
  const target = perAxis(`nn.${kind}: size`, size, axes, 1);
  return module({
    kind,
    options: { size: target },
    forward(_self, x: Tensor) {
      const sizes = x.shape.slice(2).map((dim) => (isBatch(dim) ? 0 : dim));
      if (x.rank !== axes + 2 || sizes.includes(0) || x.dtype !== "float32") {
        throw new TuttiError(
          "SHAPE_MISMATCH",
          `${x.graph.at(kind)}: expected float32[N,C,${axes === 1 ? "L" : "H,W"}], found ${x.dtype}${shapeToString(x.shape)}`,
        );
      }
      const spatial = sizes.map((_, axis) => axis + 2);
      if (target.every((count) => count === 1)) return x.mean(spatial, true);
      if (sizes.every((length, axis) => length % target[axis]! === 0)) {
        const kernel = sizes.map((length, axis) => length / target[axis]!);
        return x.averagePool(kernel, { strides: kernel });
      }
      return sizes.reduce((y, length, axis) => averaged(y, axis + 2, length, target[axis]!), x);
    },
  });
}

/** Means of parts along one axis, by a matrix that holds the shares. */
function averaged(x: Tensor, axis: number, length: number, count: number): Tensor {
  if (length === count) return x;
  const shares = new Float32Array(length * count);
  for (let part = 0; part < count; part++) {
    const [begin, end] = [Math.floor((part * length) / count), Math.ceil(((part + 1) * length) / count)];
    for (let i = begin; i < end; i++) shares[i * count + part] = 1 / (end - begin);
  }
  const matrix = x.graph.constant(shares, [length, count], "float32");
  if (axis === x.rank - 1) return x.matmul(matrix);
  const last = x.shape.map((_, i) => (i === axis ? x.rank - 1 : i === x.rank - 1 ? axis : i));
  return x.transpose(last).matmul(matrix).transpose(last);
}
