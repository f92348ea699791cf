import { Graph, type GraphCopy, type TypedValues } from "./graph.ts";
import type { Attributes, Node } from "./node.ts";
import type { Op } from "./op.ts";
import { rewrite } from "./rewrite.ts";
import type { TensorType } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/**
 * The graph that computes `outputs` and nothing else, each distinct computation once: values that no output needs are
 * left out (inputs too), equal nodes and equal constants become one, and there are the shorter ways of rewrite.ts. No number
 * changes by a bit, since what remains computes the same from the same. (Transposes stay in front of products: the engine
 * takes them into the product, and on its own that would change bits.)
 * The map holds what became of the values that are still needed, by their ids in `graph`; others are missing.
 */
export function simplify(graph: Graph, outputs: readonly Tensor[]): GraphCopy {
  let result = pass(graph, outputs);
  // What a shortcut goes around may be needed by nobody any more, and what it joins may have become equal.
  for (let before = Number.POSITIVE_INFINITY; result.graph.values.length < before; ) {
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
  const apply = (
    { scope }: Node,
    op: Op,
    inputs: readonly (Tensor | null)[],
    attributes: Attributes,
  ): readonly Tensor[] => {
    const number = ops.get(op) ?? ops.size;
    ops.set(op, number);
    const key = `node ${number} ${JSON.stringify([inputs.map((input) => input?.id ?? null), sorted(attributes)])}`;
    return once(key, () => copy.withScope(scope, () => copy.apply(op, inputs, attributes)));
  };
  const constant = (type: TensorType, values: TypedValues): Tensor =>
    once(constantKey(type, values), () => [
      copy.tensor(copy.append({ type, source: { kind: "constant", values } })),
    ])[0]!;

  for (const [id, { type, source }] of graph.values.entries()) {
    if (!needed.has(id) || map[id] !== undefined) continue;
    if (source.kind === "input") {
      map[id] = copy.input(source.role, source.name, type);
    } else if (source.kind === "constant") {
      map[id] = constant(type, source.values);
    } else {
      const { node } = source;
      const inputs = node.inputs.map((input) => (input === null ? null : map[input]!));
      const short =
        node.outputs.length === 1
          ? rewrite({
              ...{ copy, node, inputs, type, constant },
              apply: (op, operands, attributes = {}) => apply(node, op, operands, attributes)[0]!,
            })
          : undefined;
      const made = short === undefined ? apply(node, node.op, inputs, node.attributes) : [short];
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
