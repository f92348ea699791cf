import { Graph, type GraphCopy } from "./graph.ts";
import type { Node } from "./node.ts";
import type { Tensor } from "./tensor.ts";

/**
 * The graph with every operator that came after version `opset` of ai.onnx, or is composed in all of them, put into older
 * ones, where it has a rule for that (`Op.lower`); undefined when there is none to put. Types and, but for rounding, numbers stay the same.
 */
export function lower(graph: Graph, opset: number): GraphCopy | undefined {
  const isNewer = ({ op }: Node): boolean =>
    op.lower !== undefined && (op.isComposed === true || (op.since ?? 0) > opset);
  if (!graph.nodes.some(isNewer)) return undefined;
  const copy = new Graph();
  const map: Tensor[] = [];
  for (const [id, { type, source }] of graph.values.entries()) {
    if (source.kind === "input") {
      map[id] = copy.input(source.role, source.name, type);
    } else if (source.kind === "constant") {
      map[id] = copy.tensor(copy.append({ type, source }));
    } else if (source.output === 0) {
      const { node } = source;
      const inputs = node.inputs.map((input) => (input === null ? null : map[input]!));
      const made = copy.withScope(node.scope, () =>
        isNewer(node) && node.op.lower !== undefined
          ? node.op.lower(inputs, node.attributes)
          : copy.apply(node.op, inputs, node.attributes),
      );
      for (const [i, output] of node.outputs.entries()) map[output] = made[i]!;
    }
  }
  return { graph: copy, map };
}
