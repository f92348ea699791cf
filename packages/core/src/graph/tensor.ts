import { TuttiError } from "../errors/index.ts";
import type { Graph } from "./graph.ts";
import { LayerMethods } from "./layer-methods.ts";
import type { Attributes } from "./node.ts";
import * as ops from "./ops/index.ts";
import { type Dim, type DType, normalizeAxis, type Shape, sameShape, type TensorType } from "./shape.ts";

/** A tensor or a plain number, which becomes a constant of the other operand's dtype. */
export type Operand = Tensor | number;

export interface GemmOptions {
  readonly addend?: Tensor | null;
  readonly transA?: boolean;
  readonly transB?: boolean;
  readonly alpha?: number;
  readonly beta?: number;
}

/**
 * A symbolic tensor: a value of a graph, without numbers. Methods append operators to the graph; all arithmetic
 * broadcasts as ONNX (NumPy) does. The first axis of a column counts samples.
 */
export class Tensor extends LayerMethods {
  readonly graph: Graph;
  readonly id: number;
  readonly dtype: DType;
  readonly shape: Shape;
  /** Weight that the mean over samples gives each entry, set by losses that have one (class weights, ignoreIndex). */
  readonly lossWeight: Tensor | undefined;

  constructor(graph: Graph, id: number, type: TensorType, lossWeight?: Tensor) {
    super();
    this.graph = graph;
    this.id = id;
    this.dtype = type.dtype;
    this.shape = type.shape;
    this.lossWeight = lossWeight;
  }

  get rank(): number {
    return this.shape.length;
  }

  /** The same value carrying a loss weight, broadcastable to it. */
  withLossWeight(weight: Tensor | undefined): Tensor {
    return new Tensor(this.graph, this.id, this, weight);
  }

  add(other: Operand): Tensor {
    return this.#elementwise(ops.add, other);
  }

  sub(other: Operand): Tensor {
    return this.#elementwise(ops.sub, other);
  }

  mul(other: Operand): Tensor {
    return this.#elementwise(ops.mul, other);
  }

  div(other: Operand): Tensor {
    return this.#elementwise(ops.div, other);
  }

  pow(exponent: Operand): Tensor {
    return this.#elementwise(ops.pow, exponent);
  }

  neg(): Tensor {
    return this.#unary(ops.neg);
  }

  exp(): Tensor {
    return this.#unary(ops.exp);
  }

  log(): Tensor {
    return this.#unary(ops.log);
  }

  sqrt(): Tensor {
    return this.#unary(ops.sqrt);
  }

  abs(): Tensor {
    return this.#unary(ops.abs);
  }

  /** -1, 0 or 1. */
  sign(): Tensor {
    return this.#unary(ops.sign);
  }

  relu(): Tensor {
    return this.#unary(ops.relu);
  }

  sigmoid(): Tensor {
    return this.#unary(ops.sigmoid);
  }

  tanh(): Tensor {
    return this.#unary(ops.tanh);
  }

  /** 1/x. */
  reciprocal(): Tensor {
    return this.#unary(ops.reciprocal);
  }

  sin(): Tensor {
    return this.#unary(ops.sin);
  }

  cos(): Tensor {
    return this.#unary(ops.cos);
  }

  tan(): Tensor {
    return this.#unary(ops.tan);
  }

  atan(): Tensor {
    return this.#unary(ops.atan);
  }

  /** The error function. */
  erf(): Tensor {
    return this.#unary(ops.erf);
  }

  floor(): Tensor {
    return this.#unary(ops.floor);
  }

  ceil(): Tensor {
    return this.#unary(ops.ceil);
  }

  /** To the nearest whole number, halves to the even one. */
  round(): Tensor {
    return this.#unary(ops.round);
  }

  /** x > 0 ? x : slope·x. */
  leakyRelu(slope = 0.01): Tensor {
    return this.#unary(ops.leakyRelu, { alpha: slope });
  }

  /** x > 0 ? x : slope·x with a slope that is learned and broadcasts. */
  prelu(slope: Tensor): Tensor {
    return this.#elementwise(ops.prelu, slope);
  }

  /** x > 0 ? x : alpha·(eˣ - 1). */
  elu(alpha = 1): Tensor {
    return this.#unary(ops.elu, { alpha });
  }

  /** x > 0 ? x : alpha·(exp(x/alpha) - 1). */
  celu(alpha = 1): Tensor {
    return this.#unary(ops.celu, { alpha });
  }

  selu(): Tensor {
    return this.#unary(ops.selu);
  }

  /** log(1 + eˣ). */
  softplus(): Tensor {
    return this.#unary(ops.softplus);
  }

  /** x/(1 + |x|). */
  softsign(): Tensor {
    return this.#unary(ops.softsign);
  }

  /** alpha·x + beta within [0, 1]; by default x/6 + 1/2, as PyTorch's. */
  hardSigmoid(alpha = 1 / 6, beta = 0.5): Tensor {
    return this.#unary(ops.hardSigmoid, { alpha, beta });
  }

  /** x·hardSigmoid(x). */
  hardSwish(): Tensor {
    return this.#unary(ops.hardSwish);
  }

  /** x·Φ(x), Φ the normal distribution's, or its approximation by tanh. */
  gelu(approximate: "none" | "tanh" = "none"): Tensor {
    return this.#unary(ops.gelu, { approximate });
  }

  /** x·tanh(softplus x). */
  mish(): Tensor {
    return this.#unary(ops.mish);
  }

  /** The larger of each pair of entries; the gradient is shared at ties. */
  maximum(other: Operand): Tensor {
    return this.#elementwise(ops.maximum, other);
  }

  /** The smaller of each pair of entries; the gradient is shared at ties. */
  minimum(other: Operand): Tensor {
    return this.#elementwise(ops.minimum, other);
  }

  /** Within [low, high], either of which may be left out as null; the gradient passes where the bounds do not act, and at them. */
  clip(low: Operand | null, high: Operand | null = null): Tensor {
    const bounds = [low, high].map((bound) => (bound === null ? null : this.#operand(bound)));
    return this.graph.apply(ops.clip, [this, ...bounds])[0]!.withLossWeight(this.lossWeight);
  }

  /** bool. */
  isNaN(): Tensor {
    return this.#unary(ops.notANumber);
  }

  /** bool: infinite, of either sign. */
  isInf(): Tensor {
    return this.#unary(ops.infinite);
  }

  equal(other: Operand): Tensor {
    return this.#elementwise(ops.equal, other);
  }

  greater(other: Operand): Tensor {
    return this.#elementwise(ops.greater, other);
  }

  less(other: Operand): Tensor {
    return this.#elementwise(ops.less, other);
  }

  greaterOrEqual(other: Operand): Tensor {
    return this.#elementwise(ops.greaterOrEqual, other);
  }

  lessOrEqual(other: Operand): Tensor {
    return this.#elementwise(ops.lessOrEqual, other);
  }

  and(other: Tensor): Tensor {
    return this.#elementwise(ops.and, other);
  }

  or(other: Tensor): Tensor {
    return this.#elementwise(ops.or, other);
  }

  not(): Tensor {
    return this.#unary(ops.not);
  }

  /** The same value, through which no gradient passes. */
  stopGradient(): Tensor {
    return this.#unary(ops.stopGradient);
  }

  /** `this` (bool) ? a : b, elementwise with broadcasting. */
  where(a: Tensor, b: Tensor): Tensor {
    return this.graph.apply(ops.where, [this, a, b])[0]!;
  }

  /** Matrix product over the last two axes, leading axes broadcast (ONNX MatMul, numpy.matmul). */
  matmul(other: Tensor): Tensor {
    return this.graph.apply(ops.matMul, [this, other])[0]!;
  }

  /** α·op(this)·op(other) + β·addend of matrices, the addend broadcast (ONNX Gemm): a linear layer in one node. */
  gemm(other: Tensor, options: GemmOptions = {}): Tensor {
    const { addend = null, transA = false, transB = false, alpha = 1, beta = 1 } = options;
    return this.graph.apply(ops.gemm, addend === null ? [this, other] : [this, other, addend], {
      alpha,
      beta: addend === null ? undefined : beta,
      transA: transA ? 1 : 0,
      transB: transB ? 1 : 0,
    })[0]!;
  }

  /** Sums of products by an equation like "bij,jk->bik" (ONNX Einsum, numpy.einsum); this is its first operand. */
  einsum(equation: string, others: readonly Tensor[] = []): Tensor {
    return this.graph.apply(ops.einsum, [this, ...others], { equation })[0]!;
  }

  cast(dtype: DType): Tensor {
    return dtype === this.dtype ? this : this.graph.apply(ops.cast, [this], { to: dtype })[0]!;
  }

  /** One dim may be -1: what is left. A batch axis is kept by writing -1 for it, or the dim itself. */
  reshape(shape: readonly Dim[]): Tensor {
    const full = this.graph.shapeOf(ops.reshape, [this], { shape });
    return sameShape(full, this.shape) ? this : this.graph.apply(ops.reshape, [this], { shape: full })[0]!;
  }

  /** Repeats axes of size 1, and new leading axes, up to `shape`. */
  expand(shape: readonly Dim[]): Tensor {
    return sameShape(shape, this.shape) ? this : this.graph.apply(ops.expand, [this], { shape })[0]!;
  }

  /** Copies one after the other, a count for each axis. */
  tile(repeats: readonly number[]): Tensor {
    return this.graph.apply(ops.tile, [this], { repeats })[0]!;
  }

  /** Matrices with 0 below the diagonal that is `k` above the main one. */
  triu(k = 0): Tensor {
    return this.graph.apply(ops.trilu, [this], { k, upper: 1 })[0]!;
  }

  /** Matrices with 0 above the diagonal that is `k` above the main one. */
  tril(k = 0): Tensor {
    return this.graph.apply(ops.trilu, [this], { k, upper: 0 })[0]!;
  }

  /** Adds an axis of size 1. */
  unsqueeze(axis: number): Tensor {
    return this.graph.apply(ops.unsqueeze, [this], { axes: [axis] })[0]!;
  }

  /** Drops an axis of size 1. */
  squeeze(axis: number): Tensor {
    return this.graph.apply(ops.squeeze, [this], { axes: [axis] })[0]!;
  }

  /** Entries [start, end) along an axis; negative ones count from the end; all that follow by default. */
  slice(axis: number, start: number, end: number = Number.MAX_SAFE_INTEGER, step = 1): Tensor {
    return this.graph.apply(ops.slice, [this], { starts: [start], ends: [end], axes: [axis], steps: [step] })[0]!;
  }

  /** Joins the axes from `start` on into one (PyTorch's flatten); keeps the axes before it. */
  flatten(start = 1): Tensor {
    const axis = start === this.rank ? start : normalizeAxis(start, this.rank, this.graph.at("flatten"));
    if (axis === this.rank - 1) return this;
    return this.reshape([...this.shape.slice(0, axis), -1]);
  }

  /** Parts of the given sizes along an axis, or so many of equal size. */
  split(sizes: number | readonly number[], axis = 0): readonly Tensor[] {
    const parts = typeof sizes === "number" ? { num_outputs: sizes } : { split: sizes };
    return this.graph.apply(ops.split, [this], { axis, ...parts });
  }

  /** This and `others` one after the other along `axis`; the other axes must be the same. */
  concat(others: readonly Tensor[], axis: number): Tensor {
    return this.graph.apply(ops.concat, [this, ...others], { axis })[0]!;
  }

  /** Reorders the axes; without an argument reverses them. */
  transpose(permutation?: readonly number[]): Tensor {
    const perm = permutation ?? this.shape.map((_, i) => this.rank - 1 - i);
    return this.graph.apply(ops.transpose, [this], {
      perm: perm.map((axis) => normalizeAxis(axis, this.rank, this.graph.at("transpose"))),
    })[0]!;
  }

  sum(axes?: number | readonly number[], keepDims = false): Tensor {
    return this.#reduce(ops.reduceSum, axes, keepDims);
  }

  mean(axes?: number | readonly number[], keepDims = false): Tensor {
    return this.#reduce(ops.reduceMean, axes, keepDims);
  }

  max(axes?: number | readonly number[], keepDims = false): Tensor {
    return this.#reduce(ops.reduceMax, axes, keepDims);
  }

  min(axes?: number | readonly number[], keepDims = false): Tensor {
    return this.#reduce(ops.reduceMin, axes, keepDims);
  }

  prod(axes?: number | readonly number[], keepDims = false): Tensor {
    return this.#reduce(ops.reduceProd, axes, keepDims);
  }

  /** Sum of absolute values. */
  l1(axes?: number | readonly number[], keepDims = false): Tensor {
    return this.#reduce(ops.reduceL1, axes, keepDims);
  }

  /** Euclidean length; its gradient at 0 is 0. */
  l2(axes?: number | readonly number[], keepDims = false): Tensor {
    return this.#reduce(ops.reduceL2, axes, keepDims);
  }

  sumSquare(axes?: number | readonly number[], keepDims = false): Tensor {
    return this.#reduce(ops.reduceSumSquare, axes, keepDims);
  }

  /** log Σ eˣ, without overflow. */
  logSumExp(axes?: number | readonly number[], keepDims = false): Tensor {
    return this.#reduce(ops.reduceLogSumExp, axes, keepDims);
  }

  /** Running sums along an axis. */
  cumsum(axis: number): Tensor {
    return this.graph.apply(ops.cumSum, [this], { axis })[0]!;
  }

  /** The k largest along an axis, in descending order, and their indices (int64). */
  topK(k: number, axis = -1): { readonly values: Tensor; readonly indices: Tensor } {
    const [values, indices] = this.graph.apply(ops.topK, [this], { axis, k: [k] });
    return { values: values!, indices: indices! };
  }

  /** Index of the largest entry along an axis (int64); the first one at ties. */
  argmax(axis = -1): Tensor {
    return this.#search(ops.argMax, axis);
  }

  /** Index of the smallest entry along an axis (int64); the first one at ties. */
  argmin(axis = -1): Tensor {
    return this.#search(ops.argMin, axis);
  }

  softmax(axis = -1): Tensor {
    return this.graph.apply(ops.softmax, [this], {
      axis: normalizeAxis(axis, this.rank, this.graph.at("softmax")),
    })[0]!;
  }

  logSoftmax(axis = -1): Tensor {
    return this.graph.apply(ops.logSoftmax, [this], {
      axis: normalizeAxis(axis, this.rank, this.graph.at("logSoftmax")),
    })[0]!;
  }

  /** Entries of `this` along `axis` by integer index (ONNX Gather): the axis is replaced by the shape of `indices`. */
  gather(indices: Tensor, axis = 0): Tensor {
    return this.graph.apply(ops.gather, [this, indices], {
      axis: normalizeAxis(axis, this.rank, this.graph.at("gather")),
    })[0]!;
  }

  /** One entry of `this` along `axis` for each index, the other axes running along (ONNX GatherElements, torch.gather). */
  gatherElements(indices: Tensor, axis = -1): Tensor {
    const normal = normalizeAxis(axis, this.rank, this.graph.at("gatherElements"));
    return this.graph.apply(ops.gatherElements, [this, indices], { axis: normal })[0]!;
  }

  /** Entries or slices of `this` by the index tuples [..., k] on the last axis of `indices` (ONNX GatherND). */
  gatherND(indices: Tensor): Tensor {
    return this.graph.apply(ops.gatherND, [this, indices])[0]!;
  }

  /** Integer labels to rows of 0 and 1 with a new last axis of `depth`. Labels outside [0, depth) give zeros. */
  oneHot(depth: number, dtype: DType = "float32"): Tensor {
    // The operator lets negative labels count from the end; there is no label `depth`.
    const labels = this.less(0).where(this.graph.scalar(depth, this.dtype), this);
    const direct = dtype === "int64" ? "int64" : "float32";
    return this.graph.apply(ops.oneHot, [labels], { axis: -1, depth, dtype: direct })[0]!.cast(dtype);
  }

  #operand(other: Operand): Tensor {
    return typeof other === "number" ? this.graph.scalar(other, this.dtype) : other;
  }

  #elementwise(op: Parameters<Graph["apply"]>[0], other: Operand): Tensor {
    const right = this.#operand(other);
    const weight = this.lossWeight ?? right.lossWeight;
    if (right.lossWeight !== undefined && weight?.id !== right.lossWeight.id) {
      throw new TuttiError(
        "BAD_RUN_FILE",
        `${this.graph.at(op.label ?? op.type)}: two losses with different weights; return an explicit \`weight\` and combine them with .withLossWeight(undefined)`,
      );
    }
    return this.graph.apply(op, [this, right])[0]!.withLossWeight(weight);
  }

  #unary(op: Parameters<Graph["apply"]>[0], attributes: Attributes = {}): Tensor {
    return this.graph.apply(op, [this], attributes)[0]!.withLossWeight(this.lossWeight);
  }

  #search(op: Parameters<Graph["apply"]>[0], axis: number): Tensor {
    const at = this.graph.at(op.label ?? op.type);
    return this.graph.apply(op, [this], { axis: normalizeAxis(axis, this.rank, at), keepdims: 0 })[0]!;
  }

  #reduce(op: Parameters<Graph["apply"]>[0], axes: number | readonly number[] | undefined, keepDims: boolean): Tensor {
    const at = this.graph.at(op.label ?? op.type);
    const list = axes === undefined ? this.shape.map((_, i) => i) : typeof axes === "number" ? [axes] : axes;
    const normal = list.map((axis) => normalizeAxis(axis, this.rank, at)).sort((a, b) => a - b);
    if (normal.length === 0) return this;
    return this.graph.apply(op, [this], { axes: normal, keepdims: keepDims ? 1 : 0 })[0]!;
  }
}
