import { TuttiError } from "../errors/index.ts";
import type { OnnxAttribute, OnnxNode, OnnxTensor } from "../graph/index.ts";
import { unsupported } from "./errors.ts";

/** Versions of ai.onnx that are imported; of 6 … 8 what current exporters' ancestors wrote. */
export const oldestOpset = 6;
export const newestOpset = 23;

/** Operators that were the same before. */
const unchanged: ReadonlySet<string> = new Set([
  "GlobalAveragePool",
  "GlobalMaxPool",
  "Identity",
  "Not",
  "Softplus",
  "Softsign",
  "Transpose",
]);

/** What an upgrade may add: constants and names of values in between. */
export interface UpgradeContext {
  /** A name that no value of the model has. */
  fresh(hint: string): string;
}

/** A node of version v − 1 in terms of version v: usually one node, the constants it now takes as inputs before it. */
type Upgrade = (node: OnnxNode, context: UpgradeContext) => readonly OnnxNode[];

/**
 * By operator, the versions of ai.onnx in which what a file says changed its meaning or place; versions that only allow
 * more have no entry. Source: ONNX's Changelog.md.
 */
const upgrades: Readonly<Record<string, Readonly<Record<number, Upgrade>>>> = {
  Add: { 7: withoutAxis },
  And: { 7: withoutAxis },
  Div: { 7: withoutAxis },
  Equal: { 7: withoutAxis },
  Gemm: { 7: withoutAxis },
  Greater: { 7: withoutAxis },
  Less: { 7: withoutAxis },
  Mul: { 7: withoutAxis },
  Or: { 7: withoutAxis },
  PRelu: { 7: slopePerChannel },
  Pow: { 7: withoutAxis },
  Sub: { 7: withoutAxis },
  Xor: { 7: withoutAxis },
  BatchNormalization: { 14: firstOutputs(1) },
  Clip: { 11: toInputs({ min: "float", max: "float" }) },
  Dropout: { 12: toInputs({ ratio: "float" }) },
  GroupNormalization: { 21: perChannel },
  Hardmax: { 13: flattened },
  LogSoftmax: { 13: flattened },
  Pad: { 11: toInputs({ pads: "ints", value: "float" }) },
  ReduceL1: { 18: toInputs({ axes: "ints" }) },
  ReduceL2: { 18: toInputs({ axes: "ints" }) },
  ReduceLogSum: { 18: toInputs({ axes: "ints" }) },
  ReduceLogSumExp: { 18: toInputs({ axes: "ints" }) },
  ReduceMax: { 18: toInputs({ axes: "ints" }) },
  ReduceMean: { 18: toInputs({ axes: "ints" }) },
  ReduceMin: { 18: toInputs({ axes: "ints" }) },
  ReduceProd: { 18: toInputs({ axes: "ints" }) },
  ReduceSum: { 13: toInputs({ axes: "ints" }) },
  ReduceSumSquare: { 18: toInputs({ axes: "ints" }) },
  Resize: { 11: resizeOf10 },
  Scatter: { 11: renamed("ScatterElements") },
  Slice: { 10: toInputs({ starts: "ints", ends: "ints", axes: "ints" }) },
  Softmax: { 13: flattened },
  Split: { 13: toInputs({ split: "ints" }), 18: countedOutputs },
  Squeeze: { 13: toInputs({ axes: "ints" }) },
  TopK: { 10: toInputs({ k: "ints" }) },
  Unsqueeze: { 13: toInputs({ axes: "ints" }) },
  Upsample: { 9: toInputs({ scales: "floats" }), 10: renamed("Resize") },
};

/**
 * The nodes of a model as version 23 of ai.onnx would say them, step by step. Other domains are left alone.
 * Throws ONNX_UNSUPPORTED for versions outside 6 … 23.
 */
export function upgradeNodes(nodes: readonly OnnxNode[], opset: number, taken: Iterable<string>): readonly OnnxNode[] {
  const isOld = opset < oldestOpset && !nodes.every(({ type }) => unchanged.has(type));
  if (isOld || opset > newestOpset) {
    throw new TuttiError(
      "ONNX_UNSUPPORTED",
      `the model uses version ${opset} of ai.onnx, expected ${oldestOpset} … ${newestOpset}; convert it with onnx.version_converter or export it again`,
    );
  }
  const names = new Set(taken);
  const context: UpgradeContext = {
    fresh(hint) {
      let name = hint;
      for (let i = 2; names.has(name); i++) name = `${hint}_${i}`;
      names.add(name);
      return name;
    },
  };
  let current = nodes;
  for (let version = opset + 1; version <= newestOpset; version++) {
    current = current.flatMap((node) => {
      const upgrade = node.domain === "" ? upgrades[node.type]?.[version] : undefined;
      return upgrade === undefined ? [node] : upgrade(node, context);
    });
  }
  return current;
}

function constantNode(name: string, tensor: Omit<OnnxTensor, "name">): OnnxNode {
  return {
    name,
    domain: "",
    type: "Constant",
    inputs: [],
    outputs: [name],
    attributes: { value: { name, ...tensor } },
  };
}

function intsNode(name: string, values: readonly number[]): OnnxNode {
  return constantNode(name, { dtype: "int64", shape: [values.length], values: BigInt64Array.from(values, BigInt) });
}

/** Attributes that became inputs, appended in their order. */
function toInputs(kinds: Readonly<Record<string, "ints" | "float" | "floats">>): Upgrade {
  return (node, { fresh }) => {
    const attributes = { ...node.attributes };
    const inputs = [...node.inputs];
    const constants: OnnxNode[] = [];
    for (const [attribute, kind] of Object.entries(kinds)) {
      const value = attributes[attribute];
      delete attributes[attribute];
      if (value === undefined) {
        inputs.push("");
        continue;
      }
      const name = fresh(`${node.outputs[0]}/${attribute}`);
      const list = numbersOf(node, attribute, value);
      constants.push(
        kind === "ints"
          ? intsNode(name, list)
          : constantNode(name, {
              dtype: "float32",
              shape: kind === "float" ? [] : [list.length],
              values: Float32Array.from(list),
            }),
      );
      inputs.push(name);
    }
    while (inputs.at(-1) === "") inputs.pop();
    return [...constants, { ...node, inputs, attributes }];
  };
}

function numbersOf(node: OnnxNode, attribute: string, value: OnnxAttribute): readonly number[] {
  const list = typeof value === "object" && !("dtype" in value) ? [...value] : [value];
  const numbers = list.filter((item) => typeof item === "number");
  if (numbers.length !== list.length)
    throw unsupported(node, `has a ${attribute} that is no number`, "export it again");
  return numbers;
}

/** Before 7, broadcasting had to be asked for, and could put the second operand anywhere. */
function withoutAxis(node: OnnxNode): readonly OnnxNode[] {
  const { broadcast: _broadcast, axis, ...attributes } = node.attributes;
  if (axis !== undefined && axis !== -1)
    throw unsupported(node, `broadcasts along axis ${String(axis)}`, "convert it to version 7 of ai.onnx or later");
  return [{ ...node, attributes }];
}

/** Before 7, the slopes of PRelu lay along axis 1 without saying so. */
function slopePerChannel(node: OnnxNode, { fresh }: UpgradeContext): readonly OnnxNode[] {
  const [x = "", slope = ""] = node.inputs;
  const y = node.outputs[0] ?? "";
  const [all, count, ones] = [fresh(`${y}/sizes`), fresh(`${y}/count`), fresh(`${y}/ones`)];
  const [shape, spread] = [fresh(`${y}/shape`), fresh(`${y}/slope`)];
  const part = (
    type: string,
    inputs: readonly string[],
    output: string,
    attributes: OnnxNode["attributes"] = {},
  ): OnnxNode => ({
    name: node.name,
    domain: "",
    type,
    inputs,
    outputs: [output],
    attributes,
  });
  return [
    part("Shape", [x], all, { start: 2 }),
    part("Shape", [slope], count),
    part("Div", [all, all], ones),
    part("Concat", [count, ones], shape, { axis: 0 }),
    part("Reshape", [slope, shape], spread),
    { ...node, inputs: [x, spread] },
  ];
}

function renamed(type: string): Upgrade {
  return (node) => [{ ...node, type }];
}

/** Outputs that a later version no longer has: saved statistics of training. */
function firstOutputs(count: number): Upgrade {
  return (node) => [{ ...node, outputs: node.outputs.slice(0, count) }];
}

/** Before 13, Softmax normalises over all axes from `axis` (1) on; later over one. */
function flattened(node: OnnxNode, { fresh }: UpgradeContext): readonly OnnxNode[] {
  const [x = "", y = ""] = [node.inputs[0], node.outputs[0]];
  const [shape, rows, result] = [fresh(`${y}/shape`), fresh(`${y}/rows`), fresh(`${y}/flat`)];
  const part = (type: string, inputs: string[], output: string, attributes: OnnxNode["attributes"]): OnnxNode => ({
    name: node.name,
    domain: "",
    type,
    inputs,
    outputs: [output],
    attributes,
  });
  return [
    part("Shape", [x], shape, {}),
    part("Flatten", [x], rows, { axis: node.attributes.axis ?? 1 }),
    part(node.type, [rows], result, { axis: -1 }),
    part("Reshape", [result, shape], y, {}),
  ];
}

/** Version 10 had the scales second, and one way of choosing a source pixel. */
function resizeOf10(node: OnnxNode): readonly OnnxNode[] {
  const [x = "", scales = ""] = node.inputs;
  const attributes = {
    ...node.attributes,
    coordinate_transformation_mode: "asymmetric",
    ...(node.attributes.mode !== "linear" && { nearest_mode: "floor" }),
  };
  return [{ ...node, inputs: [x, "", scales], attributes }];
}

/** Equal parts, as many as outputs, which was said by their number alone. */
function countedOutputs(node: OnnxNode): readonly OnnxNode[] {
  if ((node.inputs[1] ?? "") !== "") return [node];
  return [{ ...node, attributes: { ...node.attributes, num_outputs: node.outputs.length } }];
}

/** Scale and bias had an entry for each group, now for each channel. */
function perChannel(node: OnnxNode, { fresh }: UpgradeContext): readonly OnnxNode[] {
  const groups = Number(node.attributes.num_groups);
  const y = node.outputs[0] ?? "";
  const nodes: OnnxNode[] = [];
  const add = (type: string, inputs: readonly string[], attributes: OnnxNode["attributes"] = {}): string => {
    const output = fresh(`${y}/${type}`);
    nodes.push({ name: node.name, domain: "", type, inputs, outputs: [output], attributes });
    return output;
  };
  const ints = (values: readonly number[]): string => {
    const name = fresh(`${y}/ints`);
    nodes.push(intsNode(name, values));
    return name;
  };
  const channels = add("Shape", [node.inputs[0] ?? ""], { start: 1, end: 2 });
  const each = add("Div", [channels, ints([groups])]);
  const target = add("Concat", [ints([groups]), each], { axis: 0 });
  const spread = (name: string): string =>
    add("Reshape", [add("Expand", [add("Unsqueeze", [name, ints([1])]), target]), channels]);
  const [scale, bias] = [spread(node.inputs[1] ?? ""), spread(node.inputs[2] ?? "")];
  return [...nodes, { ...node, inputs: [node.inputs[0] ?? "", scale, bias] }];
}
