import { TuttiError } from "../errors/index.ts";
import { broadcastShapes, type Dim, isBatch, isFloat, normalizeAxis, sameDim, staticShape } from "../graph/index.ts";
import { compare, extreme, product, sum } from "./dim-arithmetic.ts";
import { castItem, Known } from "./known.ts";
import type { NodeView } from "./node-view.ts";

type Fold = (inputs: readonly Known[], view: NodeView) => Known | undefined;

/**
 * Operators that compute shapes, evaluated while a model is traced: what they give is needed as numbers (the target of a
 * Reshape), so it cannot be left to the engine. Sizes may be k·N, which add up, are multiplied and divided by numbers.
 * An entry answers undefined where it cannot say; the operator then becomes a node as any other.
 */
export const folds: ReadonlyMap<string, Fold> = new Map<string, Fold>([
  ["Identity", ([x]) => x],
  [
    "Cast",
    ([x], view) =>
      Known.of(
        view.dtype("to"),
        x!.shape,
        x!.items.map((item) => castItem(item, view.dtype("to"))),
      ),
  ],
  ["Add", binary((a, b) => sum(a, b, 1))],
  ["Sub", binary((a, b) => sum(a, b, -1))],
  ["Mul", binary(product)],
  ["Div", divide],
  [
    "Mod",
    ([a, b], view) =>
      isFloat(a!.dtype) || view.number("fmod", 0) === 1
        ? undefined
        : onNumbers((x, y) => x - y * Math.floor(x / y))([a!, b!], view),
  ],
  ["Min", variadic((a, b) => extreme(a, b, Math.min))],
  ["Max", variadic((a, b) => extreme(a, b, Math.max))],
  ["Neg", unary((x) => product(x, -1))],
  ["Abs", unary((x) => (isBatch(x) ? x : Math.abs(x)))],
  ["Floor", unary((x) => (isBatch(x) ? x : Math.floor(x)))],
  ["Ceil", unary((x) => (isBatch(x) ? x : Math.ceil(x)))],
  ["Sqrt", unary((x) => (isBatch(x) ? undefined : Math.sqrt(x)))],
  ["Reciprocal", unary((x) => (isBatch(x) ? undefined : 1 / x))],
  ["Not", unary((x) => (x === 0 ? 1 : 0))],
  ["And", binary((a, b) => (a !== 0 && b !== 0 ? 1 : 0), "bool")],
  ["Or", binary((a, b) => (a !== 0 || b !== 0 ? 1 : 0), "bool")],
  ["Equal", binary((a, b) => compare(a, b, (sign) => sign === 0), "bool")],
  ["Less", binary((a, b) => compare(a, b, (sign) => sign < 0), "bool")],
  ["LessOrEqual", binary((a, b) => compare(a, b, (sign) => sign <= 0), "bool")],
  ["Greater", binary((a, b) => compare(a, b, (sign) => sign > 0), "bool")],
  ["GreaterOrEqual", binary((a, b) => compare(a, b, (sign) => sign >= 0), "bool")],
  ["Where", where],
  ["Gather", gather],
  ["Concat", concat],
  ["Slice", slice],
  ["Squeeze", ([x, axes], view) => x!.reshaped(squeezed(x!.shape, axes?.numbers(view.at), view.at))],
  ["Unsqueeze", ([x, axes], view) => x!.reshaped(unsqueezed(x!.shape, axes!.numbers(view.at), view.at))],
  ["Reshape", reshape],
  ["Transpose", transpose],
  ["Expand", ([x, shape], view) => expand(x!, shape!.items, view)],
  ["ReduceProd", reduceAll(product, 1)],
  ["ReduceSum", reduceAll((a, b) => sum(a, b, 1), 0)],
  ["Size", ([x]) => Known.of("int64", [], [x!.count])],
  ["Range", ([start, limit, delta], view) => range([start!, limit!, delta!], view)],
]);

/** Evaluates a node whose inputs are all known; undefined when it is not one of these operators. */
export function fold(view: NodeView): Known | undefined {
  const rule = view.domain === "" ? folds.get(view.type) : undefined;
  if (rule === undefined) return undefined;
  const inputs: Known[] = [];
  for (let i = 0; i < view.inputCount; i++) {
    const known = view.has(i) ? view.constantOnly(i) : undefined;
    if (known?.isFoldable !== true) return undefined;
    inputs.push(known);
  }
  return rule(inputs, view);
}

function unary(apply: (x: Dim) => Dim | undefined): Fold {
  return ([x]) => made(x!, x!.shape, x!.items.map(apply));
}

function made(
  like: { dtype: Known["dtype"] },
  shape: readonly number[],
  items: readonly (Dim | undefined)[],
): Known | undefined {
  const found = items.filter((item) => item !== undefined);
  return found.length === items.length ? Known.of(like.dtype, shape, found) : undefined;
}

function binary(apply: (a: Dim, b: Dim) => Dim | undefined, dtype?: Known["dtype"]): Fold {
  return ([a, b], view) => {
    const shape = staticShape(broadcastShapes([a!.shape, b!.shape], view.at));
    const [left, right] = [spread(a!, shape), spread(b!, shape)];
    return made(
      { dtype: dtype ?? a!.dtype },
      shape,
      left.map((item, i) => apply(item, right[i]!)),
    );
  };
}

function variadic(apply: (a: Dim, b: Dim) => Dim | undefined): Fold {
  const pair = binary(apply);
  return (inputs, view) =>
    inputs.slice(1).reduce<Known | undefined>((all, next) => all && pair([all, next], view), inputs[0]);
}

function onNumbers(apply: (a: number, b: number) => number): Fold {
  return binary((a, b) => (isBatch(a) || isBatch(b) ? undefined : apply(a, b)));
}

function divide([a, b]: readonly Known[], view: NodeView): Known | undefined {
  const whole = !isFloat(a!.dtype);
  return binary((x, y) => {
    if (isBatch(y)) return isBatch(x) && x.timesN % y.timesN === 0 ? x.timesN / y.timesN : undefined;
    if (isBatch(x)) return y !== 0 && x.timesN % y === 0 ? { timesN: x.timesN / y } : undefined;
    return whole ? (y === 0 ? undefined : Math.trunc(x / y)) : x / y;
  })([a!, b!], view);
}

/** The entries as they are repeated up to a shape. */
function spread(x: Known, shape: readonly number[]): readonly Dim[] {
  const { items } = x;
  const count = shape.reduce((total, size) => total * size, 1);
  const strides = stridesOf(x.shape).map((stride, axis) => (x.shape[axis] === 1 ? 0 : stride));
  const offset = shape.length - x.shape.length;
  return Array.from({ length: count }, (_, place) => {
    let index = 0;
    let rest = place;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const size = shape[axis]!;
      index += (rest % size) * (strides[axis - offset] ?? 0);
      rest = Math.floor(rest / size);
    }
    return items[index]!;
  });
}

function stridesOf(shape: readonly number[]): readonly number[] {
  return shape.map((_, axis) => shape.slice(axis + 1).reduce((total, size) => total * size, 1));
}

function where([condition, a, b]: readonly Known[], view: NodeView): Known | undefined {
  const shape = staticShape(broadcastShapes([condition!.shape, a!.shape, b!.shape], view.at));
  const [chosen, left, right] = [spread(condition!, shape), spread(a!, shape), spread(b!, shape)];
  return Known.of(
    a!.dtype,
    shape,
    chosen.map((item, i) => (item !== 0 ? left[i]! : right[i]!)),
  );
}

function gather([data, indices]: readonly Known[], view: NodeView): Known | undefined {
  const axis = normalizeAxis(view.number("axis", 0), data!.shape.length, view.at);
  const size = data!.shape[axis]!;
  const picks = indices!.numbers(view.at).map((index) => (index < 0 ? index + size : index));
  if (picks.some((index) => index < 0 || index >= size)) return undefined;
  return Known.of(
    data!.dtype,
    [...data!.shape.slice(0, axis), ...indices!.shape, ...data!.shape.slice(axis + 1)],
    alongAxis(data!, axis, picks),
  );
}

/** The entries of `data` at `picks` along an axis, row-major. */
function alongAxis({ items, shape }: Known, axis: number, picks: readonly number[]): readonly Dim[] {
  const inner = shape.slice(axis + 1).reduce((total, size) => total * size, 1);
  const outer = shape.slice(0, axis).reduce((total, size) => total * size, 1);
  const result: Dim[] = [];
  for (let block = 0; block < outer; block++) {
    for (const pick of picks) {
      const start = (block * shape[axis]! + pick) * inner;
      result.push(...items.slice(start, start + inner));
    }
  }
  return result;
}

function concat(inputs: readonly Known[], view: NodeView): Known | undefined {
  const [first] = inputs;
  const axis = normalizeAxis(view.number("axis", 0), first!.shape.length, view.at);
  const blocks = first!.shape.slice(0, axis).reduce((total, size) => total * size, 1);
  const items: Dim[] = [];
  for (let block = 0; block < blocks; block++) {
    for (const { items: own, count } of inputs) {
      const length = count / blocks;
      items.push(...own.slice(block * length, (block + 1) * length));
    }
  }
  const size = inputs.reduce((total, { shape }) => total + shape[axis]!, 0);
  return Known.of(first!.dtype, first!.shape.with(axis, size), items);
}

function slice(inputs: readonly Known[], view: NodeView): Known | undefined {
  const [data, starts, ends, axes, steps] = inputs;
  const from = starts!.numbers(view.at);
  const named = axes?.numbers(view.at) ?? from.map((_, i) => i);
  let result = data!;
  for (const [i, name] of named.entries()) {
    const axis = normalizeAxis(name, result.shape.length, view.at);
    const size = result.shape[axis]!;
    const step = steps?.numbers(view.at)[i] ?? 1;
    if (step === 0) return undefined;
    const clamp = (value: number, low: number, high: number): number =>
      Math.min(Math.max(value < 0 ? value + size : value, low), high);
    const start = step > 0 ? clamp(from[i]!, 0, size) : clamp(from[i]!, 0, size - 1);
    const end = step > 0 ? clamp(ends!.numbers(view.at)[i]!, 0, size) : clamp(ends!.numbers(view.at)[i]!, -1, size - 1);
    const count = Math.max(0, Math.ceil((end - start) / step));
    const picks = Array.from({ length: count }, (_, k) => start + k * step);
    result = Known.of(result.dtype, result.shape.with(axis, count), alongAxis(result, axis, picks));
  }
  return result;
}

function squeezed(shape: readonly number[], axes: readonly number[] | undefined, at: string): readonly number[] {
  const dropped = axes?.map((axis) => normalizeAxis(axis, shape.length, at));
  return shape.filter((size, axis) => (dropped === undefined ? size !== 1 : !dropped.includes(axis)));
}

function unsqueezed(shape: readonly number[], axes: readonly number[], at: string): readonly number[] {
  const rank = shape.length + axes.length;
  const added = new Set(axes.map((axis) => normalizeAxis(axis, rank, at)));
  const rest = [...shape];
  return Array.from({ length: rank }, (_, axis) => (added.has(axis) ? 1 : rest.shift()!));
}

function reshape([x, target]: readonly Known[], view: NodeView): Known | undefined {
  const wanted = target!
    .numbers(view.at)
    .map((size, axis) => (size === 0 && view.number("allowzero", 0) === 0 ? x!.shape[axis]! : size));
  const known = wanted.reduce((total, size) => (size === -1 ? total : total * size), 1);
  const shape = wanted.map((size) => (size === -1 ? x!.count / known : size));
  if (shape.some((size) => !Number.isInteger(size)))
    throw new TuttiError("SHAPE_MISMATCH", `${view.at}: [${x!.shape.join(",")}] to [${wanted.join(",")}]`);
  return x!.reshaped(shape);
}

function transpose([x]: readonly Known[], view: NodeView): Known | undefined {
  const rank = x!.shape.length;
  if (rank < 2) return x;
  const perm = view.ints("perm") ?? Array.from({ length: rank }, (_, axis) => rank - 1 - axis);
  const shape = perm.map((axis) => x!.shape[axis]!);
  const strides = stridesOf(x!.shape);
  const { items } = x!;
  const order = Array.from({ length: x!.count }, (_, place) => {
    let rest = place;
    let index = 0;
    for (let axis = rank - 1; axis >= 0; axis--) {
      index += (rest % shape[axis]!) * strides[perm[axis]!]!;
      rest = Math.floor(rest / shape[axis]!);
    }
    return items[index]!;
  });
  return Known.of(x!.dtype, shape, order);
}

function expand(x: Known, target: readonly Dim[], view: NodeView): Known | undefined {
  const shape = broadcastShapes([x.shape, target], view.at);
  return shape.some(isBatch) ? undefined : Known.of(x.dtype, staticShape(shape), spread(x, staticShape(shape)));
}

/** Of a vector, to one entry. */
function reduceAll(apply: (a: Dim, b: Dim) => Dim | undefined, start: number): Fold {
  return ([x], view) => {
    if (x!.shape.length > 1) return undefined;
    const total = x!.items.reduce<Dim | undefined>(
      (all, item) => (all === undefined ? undefined : apply(all, item)),
      start,
    );
    return made(x!, view.number("keepdims", 1) === 1 && x!.shape.length === 1 ? [1] : [], [total]);
  };
}

function range(bounds: readonly Known[], view: NodeView): Known | undefined {
  const [start, limit] = bounds.map((bound) => bound.items[0]!);
  if (sameDim(start!, limit!)) return Known.of(bounds[0]!.dtype, [0], []);
  const [from, to, step] = bounds.map((bound) => bound.numbers(view.at)[0]!) as [number, number, number];
  const count = Math.max(0, Math.ceil((to - from) / step));
  if (!(count <= 1_000_000)) throw new TuttiError("GRAPH_INVALID", `${view.at}: a range of ${count} entries`);
  return Known.of(
    bounds[0]!.dtype,
    [count],
    Array.from({ length: count }, (_, i) => from + i * step),
  );
}
