import { TuttiError } from "../errors/index.ts";
import type { Graph } from "./graph.ts";
import type { Node } from "./node.ts";
import { gemm } from "./ops/index.ts";
import { isFloat, sameShape, shapeToString, staticShape } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/**
 * Reverse-mode differentiation: the gradient of the sum of `loss` by each tensor of `wrt`, of the same shape and dtype,
 * or null where the loss does not depend on it. Appends to the loss's graph, whose sizes must be numbers. The nodes are
 * walked once, last first; contributions to one value are added in that order, so the result's bits depend on the graph
 * alone. A matrix that is multiplied several times (an unrolled recurrence) gets one product over all of them.
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
  const collected = new Map<number, Tensor[]>();
  if (active.has(loss.id)) collected.set(loss.id, [graph.scalar(1, loss.dtype).expand(staticShape(loss.shape))]);

  for (const node of nodes.reverse()) {
    const dy = node.outputs.map((id) => total(collected.get(id)));
    const needs = node.inputs.map((id) => id !== null && active.has(id));
    if (dy.every((gradient) => gradient === null) || !needs.includes(true)) continue;
    for (const [i, gradient] of graph.withScope(node.scope, () => rule(graph, node, dy, needs)).entries()) {
      const id = node.inputs[i];
      if (gradient === null || id === null || id === undefined || !active.has(id)) continue;
      expectType(graph.tensor(id), gradient, node);
      const contributions = collected.get(id);
      if (contributions === undefined) collected.set(id, [gradient]);
      else contributions.push(gradient);
    }
  }
  return wrt.map((tensor) => total(collected.get(tensor.id)));
}

/** The sum of all contributions to a value; those that are products Aᵀ·B become one of the joined matrices. */
function total(contributions: readonly Tensor[] | undefined): Tensor | null {
  if (contributions === undefined) return null;
  const products = contributions.flatMap((tensor) => productOf(tensor) ?? []);
  const joined = products.length < 2 ? [] : [product(products)];
  const others =
    joined.length === 0 ? contributions : contributions.filter((tensor) => productOf(tensor) === undefined);
  return [...joined, ...others].reduce((sum, tensor) => sum.add(tensor));
}

/** The factors of a matrix that is Aᵀ·B by a Gemm. */
function productOf(tensor: Tensor): { readonly a: Tensor; readonly b: Tensor } | undefined {
  const { source } = tensor.graph.value(tensor.id);
  if (source.kind !== "node" || source.node.op !== gemm || source.node.inputs.length !== 2) return undefined;
  const { transA, transB = 0, alpha = 1 } = source.node.attributes;
  const [a, b] = source.node.inputs;
  if (transA !== 1 || transB !== 0 || alpha !== 1 || typeof a !== "number" || typeof b !== "number") return undefined;
  return { a: tensor.graph.tensor(a), b: tensor.graph.tensor(b) };
}

function product([first, ...others]: readonly { readonly a: Tensor; readonly b: Tensor }[]): Tensor {
  const a = first!.a.concat(
    others.map((other) => other.a),
    0,
  );
  const b = first!.b.concat(
    others.map((other) => other.b),
    0,
  );
  return a.gemm(b, { transA: true });
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
      `${op.type}${where} has no gradient rule and lies between a trainable parameter and the loss; freeze the parameters before it, replace it, give it a gradient with customGradient, or put .stopGradient() in front of it`,
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
