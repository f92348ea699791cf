import { createHash } from "node:crypto";
import { TuttiError } from "../errors/index.ts";
import type { ValueStream } from "../random/index.ts";
import { fillOrthogonal } from "./orthogonal.ts";

/** How a parameter's first values are made; plain data. */
export type Init =
  | { readonly kind: "zeros" }
  | { readonly kind: "ones" }
  | { readonly kind: "constant"; readonly value: number }
  | { readonly kind: "uniform"; readonly low: number; readonly high: number }
  | { readonly kind: "normal"; readonly mean: number; readonly std: number; readonly zeroRow?: number }
  | {
      readonly kind: "truncatedNormal";
      readonly mean: number;
      readonly std: number;
      readonly low: number;
      readonly high: number;
    }
  /** Of variance gain²/fan, the fan taken from the parameter's shape as PyTorch does: shape[1] or shape[0], times the kernel. */
  | { readonly kind: "scaled"; readonly distribution: "uniform" | "normal"; readonly fan: Fan; readonly gain: number }
  | { readonly kind: "orthogonal"; readonly gain: number }
  /** Given ones, row-major, as many as the parameter has; not to be changed. */
  | { readonly kind: "values"; readonly data: Float32Array };

/** What a record of the run says of an init: itself, but for given values their SHA-256 (little-endian float32). */
export function describeInit(init: Init): Init | { readonly kind: "values"; readonly sha256: string } {
  if (init.kind !== "values") return init;
  const { buffer, byteOffset, byteLength } = init.data;
  const sha256 = createHash("sha256")
    .update(new Uint8Array(buffer, byteOffset, byteLength))
    .digest("hex");
  return { kind: "values", sha256 };
}

export type Fan = "in" | "out" | "average";

export interface KaimingOptions {
  /** "in" (default) keeps the variance of activations, "out" that of gradients. */
  readonly fan?: "in" | "out";
  /** √2 by default, for ReLU. */
  readonly gain?: number;
}

/** All zero. */
export function zeros(): Init {
  return { kind: "zeros" };
}

/** All one. */
export function ones(): Init {
  return { kind: "ones" };
}

/** All the same number. */
export function constant(value: number): Init {
  return { kind: "constant", value };
}

/** Uniform in [low, high). */
export function uniform(low = 0, high = 1): Init {
  return { kind: "uniform", low, high };
}

/** Normal, of this mean and standard deviation. */
export function normal(mean = 0, std = 1): Init {
  return { kind: "normal", mean, std };
}

/** Normal, but only values in [low, high]. Throws BAD_OPTION if hardly any are. */
export function truncatedNormal(mean = 0, std = 1, low = -2, high = 2): Init {
  if (!(std > 0 && low < high && low < mean + 4 * std && high > mean - 4 * std)) {
    throw new TuttiError(
      "BAD_OPTION",
      `init.truncatedNormal: expected low < high within 4 std of the mean, found ${low} … ${high}`,
    );
  }
  return { kind: "truncatedNormal", mean, std, low, high };
}

/** Glorot and Bengio (2010): U(±gain·√(6/(in + out))). */
export function xavierUniform(gain = 1): Init {
  return { kind: "scaled", distribution: "uniform", fan: "average", gain };
}

/** Glorot and Bengio (2010): N(0, gain²·2/(in + out)). */
export function xavierNormal(gain = 1): Init {
  return { kind: "scaled", distribution: "normal", fan: "average", gain };
}

/** He et al. (2015): U(±gain·√(3/fan)). */
export function kaimingUniform({ fan = "in", gain = Math.SQRT2 }: KaimingOptions = {}): Init {
  return { kind: "scaled", distribution: "uniform", fan, gain };
}

/** He et al. (2015): N(0, gain²/fan). */
export function kaimingNormal({ fan = "in", gain = Math.SQRT2 }: KaimingOptions = {}): Init {
  return { kind: "scaled", distribution: "normal", fan, gain };
}

/** Saxe et al. (2013): orthonormal rows or columns, whichever are fewer, times gain; later axes count as columns. */
export function orthogonal(gain = 1): Init {
  return { kind: "orthogonal", gain };
}

/**
 * Schemes for first values, by PyTorch's formulas; modules take them as `init: { weight: nn.init.… }`.
 *
 * @namespace
 */
export const init = {
  zeros,
  ones,
  constant,
  uniform,
  normal,
  truncatedNormal,
  xavierUniform,
  xavierNormal,
  kaimingUniform,
  kaimingNormal,
  orthogonal,
} as const;

/** U(±1/√fanIn): what PyTorch's Linear and Conv do by default, as kaiming_uniform_(a = √5) for the weight. */
export function fanInUniform(fanIn: number): Init {
  const bound = 1 / Math.sqrt(fanIn);
  return { kind: "uniform", low: -bound, high: bound };
}

/** Fills `out` (float32) with first values; `stream` is the parameter's own, `shape` its shape. */
export function fillInitial(out: Float32Array, init: Init, stream: ValueStream, shape: readonly number[]): void {
  switch (init.kind) {
    case "zeros":
      out.fill(0);
      break;
    case "ones":
      out.fill(1);
      break;
    case "constant":
      out.fill(init.value);
      break;
    case "uniform":
      stream.fillUniform(out, init.low, init.high);
      break;
    case "normal":
      stream.fillNormal(out, init.mean, init.std);
      if (init.zeroRow !== undefined) {
        const width = out.length / shape[0]!;
        out.fill(0, init.zeroRow * width, (init.zeroRow + 1) * width);
      }
      break;
    case "truncatedNormal":
      fillTruncated(out, init, stream);
      break;
    case "scaled": {
      const std = init.gain / Math.sqrt(fanOf(shape, init.fan));
      if (init.distribution === "normal") stream.fillNormal(out, 0, std);
      else stream.fillUniform(out, -Math.sqrt(3) * std, Math.sqrt(3) * std);
      break;
    }
    case "orthogonal":
      fillOrthogonal(out, shape, init.gain, stream);
      break;
    case "values":
      if (init.data.length !== out.length) {
        throw new TuttiError("BAD_OPTION", `init: ${init.data.length} values for a parameter [${shape.join(",")}]`);
      }
      out.set(init.data);
      break;
  }
}

/** What falls outside is drawn again from the values that follow. */
function fillTruncated(out: Float32Array, init: Init & { kind: "truncatedNormal" }, stream: ValueStream): void {
  const { mean, std, low, high } = init;
  const drawn = new Float32Array(4096);
  let filled = 0;
  for (let next = 0; filled < out.length; next += drawn.length) {
    stream.fillNormal(drawn, mean, std, next);
    for (const value of drawn) if (value >= low && value <= high && filled < out.length) out[filled++] = value;
  }
}

function fanOf(shape: readonly number[], fan: Fan): number {
  const [rows, columns] = shape;
  if (rows === undefined || columns === undefined) {
    throw new TuttiError(
      "BAD_OPTION",
      `init: this scheme needs a parameter of at least 2 axes, found [${shape.join(",")}]`,
    );
  }
  const kernel = shape.slice(2).reduce((product, size) => product * size, 1);
  if (fan === "average") return ((rows + columns) * kernel) / 2;
  return (fan === "in" ? columns : rows) * kernel;
}
