import { Graph, type GraphCopy, type TypedValues } from "./graph.ts";
import type { Attributes, Node } from "./node.ts";
import type { Op } from "./op.ts";
import { identity, reshape, transpose } from "./ops/index.ts";
import { sameShape, type TensorType } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/**
 * The graph that computes `outputs` and nothing else, each distinct computation once: values that no output needs are
 * left out (inputs too), equal nodes and equal constants become one, and Identity, Reshape and Transpose that undo each
 * other disappear. No number changes by a bit, since what remains computes the same from the same.
 * The map holds what became of the values that are still needed, by their ids in `graph`; others are missing.
 */
export function simplify(graph: Graph, outputs: readonly Tensor[]): GraphCopy {
  let result = pass(graph, outputs);
  // What a shortcut goes around may be needed by nobody any more, and what it joins may have become equal.
  for (let before = graph.values.length; result.graph.values.length < before; ) {
    before = result.graph.values.length;
    const { map } = result;
    const next = pass(
      result.graph,
      outputs.map((output) => map[output.id]!),
    );
    const joined: Tensor[] = [];
    for (const [id, middle] of map.entries()) {
      const end = middle === undefined ? undefined : next.map[middle.id];
      if (end !== undefined) joined[id] = end;
    }
    result = { graph: next.graph, map: joined };
  }
  return result;
}

function pass(graph: Graph, outputs: readonly Tensor[]): GraphCopy {
  const needed = reachable(graph, outputs);
  const copy = new Graph();
  const map: Tensor[] = [];
  const known = new Map<string, readonly Tensor[]>();
  const ops = new Map<Op, number>();

  const once = (key: string, make: () => readonly Tensor[]): readonly Tensor[] => {
    const made = known.get(key) ?? make();
    known.set(key, made);
    return made;
  };
  const apply = (node: Node, inputs: readonly (Tensor | null)[], attributes: Attributes): readonly Tensor[] => {
    const number = ops.get(node.op) ?? ops.size;
    ops.set(node.op, number);
    const key = `node ${number} ${JSON.stringify([inputs.map((input) => input?.id ?? null), sorted(attributes)])}`;
    return once(key, () => copy.withScope(node.scope, () => copy.apply(node.op, inputs, attributes)));
  };

  for (const [id, { type, source }] of graph.values.entries()) {
    if (!needed.has(id) || map[id] !== undefined) continue;
    if (source.kind === "input") {
      map[id] = copy.input(source.role, source.name, type);
    } else if (source.kind === "constant") {
      map[id] = once(constantKey(type, source.values), () => [copy.tensor(copy.append({ type, source }))])[0]!;
    } else {
      const { node } = source;
      const inputs = node.inputs.map((input) => (input === null ? null : map[input]!));
      const short = shortcut(copy, node, inputs[0] ?? null, type);
      const made =
        short === undefined
          ? apply(node, inputs, node.attributes)
          : short.attributes === null
            ? [short.input]
            : apply(node, [short.input], short.attributes);
      for (const [i, output] of node.outputs.entries()) map[output] = made[i]!;
    }
  }
  return { graph: copy, map };
}

function reachable(graph: Graph, outputs: readonly Tensor[]): ReadonlySet<number> {
  const needed = new Set<number>();
  const open = outputs.map((tensor) => tensor.id);
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (needed.has(id)) continue;
    needed.add(id);
    const { source } = graph.value(id);
    if (source.kind === "node") open.push(...source.node.inputs.filter((input) => input !== null));
  }
  return needed;
}

/** The node applied to an earlier value instead; no attributes: that value itself. */
interface Shortcut {
  readonly input: Tensor;
  readonly attributes: Attributes | null;
}

/** How to get the value of a node that only moves data from further back; undefined when there is no such way. */
function shortcut(copy: Graph, node: Node, input: Tensor | null, type: TensorType): Shortcut | undefined {
  if (input === null) return undefined;
  if (node.op === identity) return { input, attributes: null };
  if (node.op !== reshape && node.op !== transpose) return undefined;
  const { source } = copy.value(input.id);
  const before = source.kind === "node" && source.node.op === node.op ? source.node : undefined;
  const origin = before === undefined ? input : copy.tensor(before.inputs[0]!);
  if (node.op === reshape) {
    // Row-major order is kept by each, so only the first input and the last shape matter.
    if (sameShape(origin.shape, type.shape)) return { input: origin, attributes: null };
    return before && { input: origin, attributes: { shape: type.shape } };
  }
  const first = permutation(before, origin.rank);
  const perm = permutation(node, origin.rank).map((axis) => first[axis]!);
  if (perm.every((axis, i) => axis === i)) return { input: origin, attributes: null };
  return before && { input: origin, attributes: { perm } };
}

function permutation(node: Node | undefined, rank: number): readonly number[] {
  const axes = Array.from({ length: rank }, (_, axis) => axis);
  if (node === undefined) return axes;
  const { perm } = node.attributes;
  return typeof perm === "object" ? perm.map(Number) : axes.reverse();
}

function sorted(attributes: Attributes): readonly (readonly [string, unknown])[] {
  return Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Equal for constants of equal type and bits (so that 0 and -0 stay two). */
function constantKey(type: TensorType, values: TypedValues): string {
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return `constant ${type.dtype} ${JSON.stringify(type.shape)} ${bytes.toString("base64")}`;
}
