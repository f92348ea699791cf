import type { Graph, TypedValues } from "./graph.ts";
import type { Attributes, Node } from "./node.ts";
import type { Op } from "./op.ts";
import {
  add,
  and,
  div,
  equal,
  expand,
  greater,
  greaterOrEqual,
  identity,
  less,
  lessOrEqual,
  maximum,
  maxPool,
  maxUnpool,
  minimum,
  mul,
  neg,
  or,
  reshape,
  squeeze,
  sub,
  transpose,
  unsqueeze,
  where,
  xor,
} from "./ops/index.ts";
import { type Shape, sameDim, sameShape, type TensorType } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/** A node that is being copied, its inputs in the copy, and how to make others there. */
export interface Site {
  readonly copy: Graph;
  readonly node: Node;
  readonly inputs: readonly (Tensor | null)[];
  /** Type of the only output. */
  readonly type: TensorType;
  apply(op: Op, inputs: readonly (Tensor | null)[], attributes?: Attributes): Tensor;
  constant(type: TensorType, values: TypedValues): Tensor;
}

/** The value of a node with one output by a shorter way that has the same bits; undefined when none is known. */
export function rewrite(site: Site): Tensor | undefined {
  const { node, inputs } = site;
  const [input] = inputs;
  if (input === null || input === undefined) return undefined;
  if (node.op === identity) return input;
  if (node.op === reshape || node.op === squeeze || node.op === unsqueeze) return moved(site, input, reshaped);
  if (node.op === transpose) return moved(site, input, transposed);
  if (node.op === where) {
    const made = maskedBeforeUnpooling(site);
    if (made !== undefined) return made;
  }
  if (entrywise.has(node.op)) return unchanged(site) ?? folded(site) ?? unexpanded(site);
  return undefined;
}

function moved(site: Site, input: Tensor, rule: typeof reshaped): Tensor | undefined {
  const source = origin(site.copy, input, expand);
  // One number everywhere: only the last shape matters.
  const isNumber =
    source !== undefined && source.rank <= site.type.shape.length && source.shape.every((dim) => dim === 1);
  return isNumber ? expanded(site, source) : rule(site, input);
}

/** Row-major order is kept by each reshape, so only the first input and the last shape matter. */
function reshaped({ copy, node, type, apply }: Site, input: Tensor): Tensor | undefined {
  const source = origin(copy, input, reshape) ?? input;
  if (sameShape(source.shape, type.shape)) return source;
  if (source === input || node.op !== reshape) return undefined;
  return apply(reshape, [source], { ...node.attributes, shape: type.shape });
}

function transposed({ copy, node, apply }: Site, input: Tensor): Tensor | undefined {
  const source = origin(copy, input, transpose) ?? input;
  const made = copy.value(input.id).source;
  const first = permutation(source === input || made.kind !== "node" ? undefined : made.node, source.rank);
  const perm = permutation(node, source.rank).map((axis) => first[axis]!);
  if (perm.every((axis, i) => axis === i)) return source;
  return source === input ? undefined : apply(transpose, [source], { perm });
}

function permutation(node: Node | undefined, rank: number): readonly number[] {
  const axes = Array.from({ length: rank }, (_, axis) => axis);
  if (node === undefined) return axes;
  const { perm } = node.attributes;
  return typeof perm === "object" ? perm.map(Number) : axes.reverse();
}

/**
 * r ≤ 0 ? 0 : unpool(g, places of r's maxima), as the gradient of max pooling a ReLU has it, is
 * unpool(max ≤ 0 ? 0 : g, places): what is not a maximum is 0 either way, and there are fewer maxima to look at.
 */
function maskedBeforeUnpooling({ copy, inputs, apply }: Site): Tensor | undefined {
  const [condition, zero, unpooled] = inputs as readonly [Tensor, Tensor, Tensor];
  if (!Object.is(uniform(copy, zero), 0) || zero.rank !== 0) return undefined;
  const comparison = maker(copy, condition, lessOrEqual);
  const unpooling = maker(copy, unpooled, maxUnpool);
  if (comparison === undefined || unpooling === undefined) return undefined;
  const [gradient, places] = unpooling.inputs.map((id) => copy.tensor(id!)) as [Tensor, Tensor];
  const [rectified, limit] = comparison.inputs.map((id) => copy.tensor(id!)) as [Tensor, Tensor];
  const pooling = maker(copy, places, maxPool);
  if (pooling?.inputs[0] !== rectified.id || limit.rank !== 0 || !Object.is(uniform(copy, limit), 0)) return undefined;
  const isBelow = apply(lessOrEqual, [copy.tensor(pooling.outputs[0]!), limit]);
  return apply(maxUnpool, [apply(where, [isBelow, zero, gradient]), places], unpooling.attributes);
}

/** The node that made the tensor, if it is one of `op`. */
function maker(copy: Graph, tensor: Tensor, op: Op): Node | undefined {
  const { source } = copy.value(tensor.id);
  return source.kind === "node" && source.node.op === op ? source.node : undefined;
}

/** What `op` was applied to where it made the tensor. */
function origin(copy: Graph, tensor: Tensor, op: Op): Tensor | undefined {
  const made = maker(copy, tensor, op);
  return made === undefined ? undefined : copy.tensor(made.inputs[0]!);
}

/** Operators of entries that give the same bits whether an operand is broadcast or repeated (Pow does not). */
const entrywise: ReadonlySet<Op> = new Set([
  ...[add, sub, mul, div, neg, maximum, minimum, where],
  ...[equal, greater, greaterOrEqual, less, lessOrEqual, and, or, xor],
]);

/** x·1, x/1, x - 0: exact for every x, signed zeros and NaN too (x + 0 is not for x = -0). */
function unchanged({ copy, node, inputs, type }: Site): Tensor | undefined {
  const [a, b] = inputs as readonly [Tensor, Tensor | null | undefined];
  if (b === null || b === undefined) return undefined;
  const same = (kept: Tensor, other: Tensor, neutral: number): Tensor | undefined =>
    sameShape(kept.shape, type.shape) && Object.is(uniform(copy, other), neutral) ? kept : undefined;
  if (node.op === mul) return same(a, b, 1) ?? same(b, a, 1);
  if (node.op === div) return same(a, b, 1);
  return node.op === sub ? same(a, b, 0) : undefined;
}

/** The float that all entries of a tensor are, when that is known. */
function uniform(copy: Graph, tensor: Tensor): number | undefined {
  const { source } = copy.value((origin(copy, tensor, expand) ?? tensor).id);
  if (source.kind !== "constant" || source.values.length !== 1) return undefined;
  const [value] = source.values;
  return typeof value === "number" && (tensor.dtype === "float32" || tensor.dtype === "float64") ? value : undefined;
}

const arithmetic: ReadonlyMap<Op, (a: number, b: number) => number> = new Map([
  [add, (a, b) => a + b],
  [sub, (a, b) => a - b],
  [mul, (a, b) => a * b],
  [div, (a, b) => a / b],
]);

/** Arithmetic of two constants: float64 rounded to float32 is what the engine's float32 arithmetic gives (53 >= 2·24 + 2 bits). */
function folded({ copy, node, inputs, type, constant }: Site): Tensor | undefined {
  if (type.dtype !== "float32" || type.shape.length > 0) return undefined;
  const [a, b] = inputs.map((input) => (input === null ? undefined : uniform(copy, input)));
  const compute = arithmetic.get(node.op);
  const value = a === undefined ? undefined : node.op === neg ? -a : b === undefined ? undefined : compute?.(a, b);
  return value === undefined || Number.isNaN(value) ? undefined : constant(type, Float32Array.of(value));
}

/** Broadcasts instead of repeating: the engine does that on the way. What then lacks repetitions gets them afterwards. */
function unexpanded(site: Site): Tensor | undefined {
  const { copy, node, inputs, type, apply } = site;
  const sources = inputs.map((input) => (input === null ? undefined : origin(copy, input, expand)));
  if (sources.every((source) => source === undefined)) return undefined;
  const operands = inputs.map((input, i) => sources[i] ?? input);
  const numbers = operands.every((operand) => operand?.rank === 0);
  const short = numbers ? folded({ ...site, inputs: operands, type: { dtype: type.dtype, shape: [] } }) : undefined;
  const result = short ?? apply(node.op, operands, node.attributes);
  return reaches(operands, type.shape) ? result : expanded(site, result);
}

/** A tensor in the shape of the node's output. */
function expanded({ node, type, apply }: Site, tensor: Tensor): Tensor {
  return apply(expand, [tensor], { shape: type.shape, perShard: node.attributes.perShard });
}

/** Whether operands still broadcast to a shape. */
function reaches(operands: readonly (Tensor | null)[], shape: Shape): boolean {
  return shape.every((dim, axis) =>
    operands.some((operand) => {
      const own = operand?.shape[axis - (shape.length - operand.rank)];
      return own !== undefined && sameDim(own, dim);
    }),
  );
}
