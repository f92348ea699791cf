import { TuttiError } from "../errors/index.ts";
import { Graph, type TypedValues } from "./graph.ts";
import type { AttributeValue } from "./node.ts";
import type { AttributeKind, Op } from "./op.ts";
import { operatorKey, operators } from "./ops/index.ts";
import { dtypeOfCode, type OnnxAttribute, type OnnxNode, type OnnxTensor, readOnnx } from "./read-onnx.ts";
import type { Tensor } from "./tensor.ts";

/** A graph and its outputs by name, in their order. */
export interface ParsedGraph {
  readonly graph: Graph;
  readonly outputs: Readonly<Record<string, Tensor>>;
}

/**
 * What `writeOnnx` wrote, as a graph again: the bytes of a program, whose sizes are numbers. All inputs count as columns;
 * scopes are those that names of nodes tell.
 *
 * @throws TuttiError GRAPH_INVALID for bytes that it did not write, or in which a size is free; what shape rules throw.
 */
export function parseGraph(bytes: Uint8Array): ParsedGraph {
  const model = readOnnx(bytes);
  const graph = new Graph();
  const values = new Map<string, Tensor>();
  for (const { name, dtype, shape } of model.inputs) {
    const sizes = (shape ?? [null]).map((size) => {
      if (typeof size !== "number") throw invalid(`input "${name}" has a free size`);
      return size;
    });
    values.set(name, graph.input("column", name, { dtype, shape: sizes }));
  }
  const initializers = new Map(model.initializers.map((tensor) => [tensor.name, tensor]));
  const constant = (name: string): OnnxTensor => {
    const found = initializers.get(name);
    if (found === undefined) throw invalid(`"${name}" is not a constant`);
    return found;
  };
  const tensor = (name: string): Tensor => {
    const known = values.get(name);
    if (known !== undefined) return known;
    const { values: numbers, shape, dtype } = constant(name);
    const made = graph.constant(numbers, shape, dtype);
    values.set(name, made);
    return made;
  };
  for (const node of model.nodes) {
    const op = operators.get(operatorKey(node.domain, node.type));
    if (op === undefined) throw invalid(`there is no operator ${operatorKey(node.domain, node.type)}`);
    const fed = tensorInputs(op, node);
    const inputs = node.inputs.slice(0, fed).map((name) => (name === "" ? null : tensor(name)));
    const scope = node.name.slice(0, Math.max(0, node.name.lastIndexOf("/")));
    const outputs = graph.withScope(scope, () => graph.apply(op, inputs, attributesOf(op, node, fed, constant)));
    for (const [i, name] of node.outputs.entries()) if (name !== "") values.set(name, outputs[i]!);
  }
  return { graph, outputs: Object.fromEntries(model.outputs.map(({ name }) => [name, tensor(name)])) };
}

/** How many inputs are tensors: constants that are attributes of ours follow them. */
function tensorInputs(op: Op, { inputs }: OnnxNode): number {
  const hasConstants = Object.values(op.attributes).some((kind) => kind.endsWith("Input"));
  return hasConstants ? Math.min(op.arity[1], inputs.length) : inputs.length;
}

function attributesOf(
  op: Op,
  node: OnnxNode,
  fed: number,
  constant: (name: string) => OnnxTensor,
): Record<string, AttributeValue> {
  const found: Record<string, AttributeValue> = {};
  let next = fed;
  for (const [name, kind] of Object.entries(op.attributes)) {
    if (kind.endsWith("Input")) {
      const input = node.inputs[next++] ?? "";
      if (input !== "") found[name] = fromInput(kind, constant(input));
    } else {
      const value = node.attributes[name];
      if (value !== undefined) found[name] = fromAttribute(node, kind, value);
    }
  }
  return found;
}

function fromInput(kind: AttributeKind, { values, dtype }: OnnxTensor): AttributeValue {
  if (kind === "zeroOneInput") return dtype;
  const numbers = numbersOf(values);
  return kind === "intInput" || kind === "floatInput" ? numbers[0]! : numbers;
}

function numbersOf(values: TypedValues): readonly number[] {
  return Array.from(values as ArrayLike<number | bigint>, Number);
}

function fromAttribute(node: OnnxNode, kind: AttributeKind, value: OnnxAttribute): AttributeValue {
  if (typeof value === "object" && "dtype" in value) throw invalid(`${node.type} holds a tensor`);
  if (kind !== "dtype") return value;
  const dtype = dtypeOfCode(Number(value));
  if (dtype === undefined) throw invalid(`${node.type} names an unknown dtype`);
  return dtype;
}

function invalid(why: string): TuttiError {
  return new TuttiError("GRAPH_INVALID", `the graph of a program: ${why}`);
}
