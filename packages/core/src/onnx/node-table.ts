import type { AttributeKind, Attributes, AttributeValue, OnnxAttribute, Op, Tensor } from "../graph/index.ts";
import { unsupported } from "./errors.ts";
import { isTensor, type NodeView, type Value } from "./node-view.ts";

/** Attributes that the operator table leaves out, with the value at which leaving them out is right; null: at any value. */
const withoutEffect: Readonly<Record<string, OnnxAttribute | null>> = {
  allowzero: 0,
  auto_pad: "NOTSET",
  axis_w: null,
  ceil_mode: 0,
  consumed_inputs: null,
  count_include_pad: 0,
  is_test: 1,
  layout: 0,
  noop_with_empty_axes: 0,
  saturate: null,
  select_last_index: 0,
  spatial: 1,
  stash_type: 1,
  storage_order: 0,
  training_mode: 0,
};

/** Names of the attributes of an operator that are written as inputs, in their order; they follow the tensors. */
export function inputAttributes(op: Op): readonly (readonly [string, AttributeKind])[] {
  return Object.entries(op.attributes).filter(([, kind]) => kind.endsWith("Input"));
}

/** True for an input that must be known while a model is traced: it becomes an attribute. */
export function isConstantInput(op: Op, index: number): boolean {
  return inputAttributes(op).length > 0 && index >= op.arity[1];
}

/**
 * Applies an operator of the table to a node as it stands in a model of opset 23. Throws ONNX_UNSUPPORTED for attributes,
 * inputs that the table's operator does not have; GRAPH_INVALID; what the shape rule throws.
 *
 * @param given attributes that replace those of the node.
 */
export function applyTable(view: NodeView, op: Op, given: Attributes = {}): readonly Value[] {
  const constants = inputAttributes(op);
  const tensors = constants.length === 0 ? view.inputCount : Math.min(op.arity[1], view.inputCount);
  const inputs: (Tensor | null)[] = [];
  for (let i = 0; i < tensors; i++) inputs.push(view.optionalTensor(i));
  while (inputs.length > op.arity[0] && inputs.at(-1) === null) inputs.pop();
  const attributes: Record<string, AttributeValue> = {};
  for (const [name, value] of Object.entries(view.node.attributes)) {
    const kind = op.attributes[name];
    if (kind === undefined || kind.endsWith("Input")) expectNoEffect(view, name, value);
    else attributes[name] = attributeValue(view, name, kind, value);
  }
  for (const [i, [name, kind]] of constants.entries()) {
    const index = op.arity[1] + i;
    if (view.has(index)) attributes[name] = inputValue(view, index, name, kind);
  }
  refuseMore(view, op, constants.length);
  return view.graph.apply(op, inputs, { ...attributes, ...given });
}

function refuseMore(view: NodeView, op: Op, constants: number): void {
  for (let i = op.arity[1] + constants; i < view.inputCount; i++) {
    if (view.has(i))
      throw unsupported(view.node, `has an input ${i} ("${view.node.inputs[i]}"), which is not supported`, remedy);
  }
}

const remedy =
  "export the model without it, or cut the model before this node with tensor(name) or replaceHead(name, module)";

function expectNoEffect(view: NodeView, name: string, value: OnnxAttribute): void {
  const right = withoutEffect[name];
  if (right === null || (right !== undefined && JSON.stringify(right) === JSON.stringify(value))) return;
  const shown = isPlain(value) ? JSON.stringify(value) : "a tensor";
  throw unsupported(view.node, `has ${name} = ${shown}, which is not supported`, remedy);
}

function isPlain(value: OnnxAttribute): boolean {
  return !isTensor(value);
}

function attributeValue(view: NodeView, name: string, kind: AttributeKind, value: OnnxAttribute): AttributeValue {
  if (kind === "dtype") return view.dtype(name);
  if (isTensor(value)) throw unsupported(view.node, `has a tensor as its attribute ${name}`, remedy);
  return value;
}

function inputValue(view: NodeView, index: number, name: string, kind: AttributeKind): AttributeValue {
  const known = view.known(index, name);
  switch (kind) {
    case "dimsInput":
      return known.items;
    case "intInput":
    case "floatInput":
      return known.numbers(view.at)[0] ?? 0;
    case "zeroOneInput":
      return known.dtype;
    default:
      return known.numbers(view.at);
  }
}
