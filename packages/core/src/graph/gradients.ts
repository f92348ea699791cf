import { TuttiError } from "../errors/index.ts";
import type { Graph } from "./graph.ts";
import type { Node } from "./node.ts";
import { isFloat, sameShape, shapeToString, staticShape } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/**
 * Reverse-mode differentiation: the gradient of the sum of `loss` by each tensor of `wrt`, of the same shape and dtype,
 * or null where the loss does not depend on it. Appends to the loss's graph, whose sizes must be numbers. The nodes are
 * walked once, last first; contributions to one value are added in that order, so the result's bits depend on the graph
 * alone.
 *
 * Throws NO_GRADIENT when an operator without a gradient rule lies between a tensor of `wrt` and the loss.
 */
export function gradients(loss: Tensor, wrt: readonly Tensor[]): readonly (Tensor | null)[] {
  const { graph } = loss;
  if (!isFloat(loss.dtype)) {
    throw new TuttiError(
      "NO_GRADIENT",
      `the loss is ${loss.dtype}${shapeToString(loss.shape)}, expected float32 or float64`,
    );
  }
  const nodes = [...graph.nodes]; // those of the forward pass: rules append
  const active = dependents(graph, nodes, wrt);
  const collected = new Map<number, Tensor>();
  if (active.has(loss.id)) collected.set(loss.id, graph.scalar(1, loss.dtype).expand(staticShape(loss.shape)));

  for (const node of nodes.reverse()) {
    const dy = node.outputs.map((id) => collected.get(id) ?? null);
    const needs = node.inputs.map((id) => id !== null && active.has(id));
    if (dy.every((gradient) => gradient === null) || !needs.includes(true)) continue;
    for (const [i, gradient] of graph.withScope(node.scope, () => rule(graph, node, dy, needs)).entries()) {
      const id = node.inputs[i];
      if (gradient === null || id === null || id === undefined || !active.has(id)) continue;
      expectType(graph.tensor(id), gradient, node);
      const before = collected.get(id);
      collected.set(id, before === undefined ? gradient : before.add(gradient));
    }
  }
  return wrt.map((tensor) => collected.get(tensor.id) ?? null);
}

/** Values that depend on one of `wrt` through operators that pass a gradient on; only floats carry one. */
function dependents(graph: Graph, nodes: readonly Node[], wrt: readonly Tensor[]): ReadonlySet<number> {
  const active = new Set(wrt.filter((tensor) => isFloat(tensor.dtype)).map((tensor) => tensor.id));
  for (const node of nodes) {
    if (node.op.gradient === "zero" || !node.inputs.some((id) => id !== null && active.has(id))) continue;
    for (const id of node.outputs) if (isFloat(graph.value(id).type.dtype)) active.add(id);
  }
  return active;
}

function rule(
  graph: Graph,
  node: Node,
  dy: readonly (Tensor | null)[],
  needs: readonly boolean[],
): readonly (Tensor | null)[] {
  const { op, scope } = node;
  if (op.gradient === "zero") return [];
  if (op.gradient === "none") {
    const where = scope === "" ? "" : ` at ${scope}`;
    throw new TuttiError(
      "NO_GRADIENT",
      `${op.type}${where} has no gradient rule and lies between a trainable parameter and the loss; freeze the parameters before it, replace it, or put .stopGradient() in front of it`,
      { operator: op.type, scope, outputs: node.outputs },
    );
  }
  return op.gradient({
    inputs: node.inputs.map((id) => (id === null ? null : graph.tensor(id))),
    outputs: node.outputs.map((id) => graph.tensor(id)),
    attributes: node.attributes,
    dy,
    needs,
  });
}

function expectType(value: Tensor, gradient: Tensor, node: Node): void {
  if (value.dtype === gradient.dtype && sameShape(value.shape, gradient.shape)) return;
  throw new TuttiError(
    "INTERNAL",
    `the gradient rule of ${node.op.type} gives ${gradient.dtype}${shapeToString(gradient.shape)} for ${value.dtype}${shapeToString(value.shape)}`,
  );
}
