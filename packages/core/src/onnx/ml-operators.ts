import type { OnnxAttribute, OnnxNode, OnnxTensor } from "../graph/index.ts";
import { unsupported } from "./errors.ts";

export const mlDomain = "ai.onnx.ml";

export interface RewrittenModel {
  readonly nodes: readonly OnnxNode[];
  /** Coefficients that were attributes. */
  readonly initializers: readonly OnnxTensor[];
  readonly outputs: readonly string[];
}

/**
 * The operators of scikit-learn exports (domain ai.onnx.ml) as standard ones of opset 23, so that their coefficients can be
 * trained. ZipMap is dropped: its output is the tensor it reads. Class labels that are texts become class numbers.
 * Semantics: onnx/docs/Operators-ml.md. What has no such form is left for the import to refuse.
 *
 * @param otherOutputs outputs that are no tensors; those of ZipMap are kept under their name, others left out.
 */
export function rewriteMl(
  nodes: readonly OnnxNode[],
  outputs: readonly string[],
  otherOutputs: readonly string[],
): RewrittenModel {
  const writer = new MlWriter(nodes);
  for (const node of nodes) {
    const rule = node.domain === mlDomain ? rules.get(node.type) : undefined;
    if (rule === undefined) writer.keep(node);
    else rule(node, writer);
  }
  const kept = otherOutputs.filter((name) => writer.tensors.has(name));
  return { nodes: writer.nodes, initializers: writer.initializers, outputs: [...outputs, ...kept] };
}

class MlWriter {
  readonly nodes: OnnxNode[] = [];
  readonly initializers: OnnxTensor[] = [];
  /** Outputs of rewritten nodes: tensors, whatever the file says. */
  readonly tensors = new Set<string>();
  readonly #taken: Set<string>;

  constructor(nodes: readonly OnnxNode[]) {
    this.#taken = new Set(nodes.flatMap((node) => [...node.inputs, ...node.outputs]));
  }

  keep(node: OnnxNode): void {
    this.nodes.push(node);
  }

  fresh(hint: string): string {
    let name = hint;
    for (let i = 2; this.#taken.has(name); i++) name = `${hint}_${i}`;
    this.#taken.add(name);
    return name;
  }

  /** Appends a standard node; its output is `output`, or a new name. */
  apply(
    node: OnnxNode,
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
    output?: string,
  ): string {
    const name = output ?? this.fresh(`${prefixOf(node)}/${type}`);
    if (output !== undefined) this.tensors.add(output);
    this.nodes.push({ name: node.name, domain: "", type, inputs, outputs: [name], attributes });
    return name;
  }

  /** A float32 tensor that the import makes a parameter: "LinearRegressor.coefficients". */
  parameter(node: OnnxNode, name: string, shape: readonly number[], values: readonly number[]): string {
    const full = this.fresh(`${prefixOf(node)}.${name}`);
    this.initializers.push({ name: full, dtype: "float32", shape, values: Float32Array.from(values) });
    return full;
  }

  floats(node: OnnxNode, shape: readonly number[], values: readonly number[]): string {
    return this.#constant(node, { dtype: "float32", shape, values: Float32Array.from(values) });
  }

  ints(node: OnnxNode, values: readonly number[]): string {
    return this.#constant(node, { dtype: "int64", shape: [values.length], values: BigInt64Array.from(values, BigInt) });
  }

  #constant(node: OnnxNode, tensor: Omit<OnnxTensor, "name">): string {
    const name = this.fresh(`${prefixOf(node)}/constant`);
    this.nodes.push({
      name,
      domain: "",
      type: "Constant",
      inputs: [],
      outputs: [name],
      attributes: { value: { name, ...tensor } },
    });
    return name;
  }
}

function prefixOf(node: OnnxNode): string {
  return node.name === "" ? node.type : node.name;
}

type Rule = (node: OnnxNode, writer: MlWriter) => void;

const rules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ["LinearRegressor", linearRegressor],
  ["LinearClassifier", linearClassifier],
  ["Scaler", scaler],
  ["Normalizer", normalizer],
  ["Imputer", imputer],
  ["Binarizer", binarizer],
  ["ArrayFeatureExtractor", arrayFeatureExtractor],
  ["FeatureVectorizer", (node, writer) => void writer.apply(node, "Concat", node.inputs, { axis: 1 }, outputOf(node))],
  ["ZipMap", (node, writer) => void writer.apply(node, "Identity", node.inputs, {}, outputOf(node))],
]);

const float32Code = 1;

function outputOf(node: OnnxNode): string {
  return node.outputs[0] ?? "";
}

/** Features as float32 [samples, features]. */
function features(node: OnnxNode, writer: MlWriter): string {
  return writer.apply(node, "Cast", [node.inputs[0] ?? ""], { to: float32Code });
}

function floatList(node: OnnxNode, name: string): readonly number[] {
  const value = node.attributes[name];
  if (value === undefined) return [];
  if (typeof value === "object" && !("dtype" in value)) return value.filter((item) => typeof item === "number");
  return typeof value === "number" ? [value] : [];
}

function textOf(node: OnnxNode, name: string, fallback: string): string {
  const value = node.attributes[name];
  return typeof value === "string" ? value : fallback;
}

/** x·coefficientsᵀ + intercepts; coefficients are row-major [rows, features]. */
function linear(node: OnnxNode, writer: MlWriter, rows: number, output?: string): string {
  const coefficients = floatList(node, "coefficients");
  const intercepts = floatList(node, "intercepts");
  const width = coefficients.length / rows;
  if (!Number.isInteger(width) || (intercepts.length !== 0 && intercepts.length !== rows)) {
    throw unsupported(
      node,
      `has ${coefficients.length} coefficients and ${intercepts.length} intercepts for ${rows} rows`,
      "export it again",
    );
  }
  const inputs = [features(node, writer), writer.parameter(node, "coefficients", [rows, width], coefficients)];
  if (intercepts.length > 0) inputs.push(writer.parameter(node, "intercepts", [rows], intercepts));
  return writer.apply(node, "Gemm", inputs, { transB: 1 }, output);
}

const transforms: Readonly<Record<string, { type: string; attributes: OnnxNode["attributes"] }>> = {
  NONE: { type: "Identity", attributes: {} },
  LOGISTIC: { type: "Sigmoid", attributes: {} },
  SOFTMAX: { type: "Softmax", attributes: { axis: -1 } },
};

function transformOf(node: OnnxNode): { type: string; attributes: OnnxNode["attributes"] } {
  const name = textOf(node, "post_transform", "NONE");
  const found = transforms[name];
  if (found === undefined)
    throw unsupported(node, `has post_transform ${name}`, `expected ${Object.keys(transforms).join(", ")}`);
  return found;
}

function linearRegressor(node: OnnxNode, writer: MlWriter): void {
  const targets = node.attributes.targets;
  const { type, attributes } = transformOf(node);
  const scores = linear(node, writer, typeof targets === "number" ? targets : 1);
  writer.apply(node, type, [scores], attributes, outputOf(node));
}

/** The scores before the transform are named "NODE/scores": what a loss on logits needs. */
function linearClassifier(node: OnnxNode, writer: MlWriter): void {
  const classes = Math.max(floatList(node, "classlabels_ints").length, stringCount(node, "classlabels_strings"));
  const rows = floatList(node, "intercepts").length || classes;
  const scores = linear(node, writer, rows, writer.fresh(`${prefixOf(node)}/scores`));
  const isBinary = rows === 1 && classes === 2;
  const [label = "", probabilities = ""] = node.outputs;
  const { type, attributes } = transformOf(node);
  if (isBinary) {
    const both = binaryScores(node, writer, scores, type);
    writer.apply(node, "Identity", [both], {}, probabilities === "" ? undefined : probabilities);
  } else {
    writer.apply(node, type, [scores], attributes, probabilities === "" ? undefined : probabilities);
  }
  if (label === "") return;
  const index = isBinary
    ? positive(node, writer, scores)
    : writer.apply(node, "ArgMax", [scores], { axis: 1, keepdims: 0 });
  const labels = floatList(node, "classlabels_ints");
  if (labels.length === 0) writer.apply(node, "Identity", [index], {}, label);
  else writer.apply(node, "Gather", [writer.ints(node, labels), index], { axis: 0 }, label);
}

function stringCount(node: OnnxNode, name: string): number {
  const value = node.attributes[name];
  return typeof value === "object" && !("dtype" in value) ? value.length : 0;
}

/** Of one score s for two classes: [1 − s, s] of the transformed score. */
function binaryScores(node: OnnxNode, writer: MlWriter, scores: string, transform: string): string {
  const second = transform === "Sigmoid" ? writer.apply(node, "Sigmoid", [scores]) : scores;
  const first = writer.apply(node, "Sub", [writer.floats(node, [1], [1]), second]);
  return writer.apply(node, "Concat", [first, second], { axis: 1 });
}

/** 1 where the score is above zero, [samples]. */
function positive(node: OnnxNode, writer: MlWriter, scores: string): string {
  const above = writer.apply(node, "Greater", [scores, writer.floats(node, [1], [0])]);
  const number = writer.apply(node, "Cast", [above], { to: 7 });
  return writer.apply(node, "Squeeze", [number, writer.ints(node, [1])]);
}

/** (x − offset)·scale */
function scaler(node: OnnxNode, writer: MlWriter): void {
  const [offset, scale] = [floatList(node, "offset"), floatList(node, "scale")];
  const x = features(node, writer);
  const shifted =
    offset.length === 0 ? x : writer.apply(node, "Sub", [x, writer.floats(node, [offset.length], offset)]);
  if (scale.length === 0) writer.apply(node, "Identity", [shifted], {}, outputOf(node));
  else writer.apply(node, "Mul", [shifted, writer.floats(node, [scale.length], scale)], {}, outputOf(node));
}

const norms: Readonly<Record<string, string>> = { MAX: "ReduceMax", L1: "ReduceL1", L2: "ReduceL2" };

/** Each row divided by its norm; a row whose norm is 0 stays. */
function normalizer(node: OnnxNode, writer: MlWriter): void {
  const type = norms[textOf(node, "norm", "MAX")];
  if (type === undefined) throw unsupported(node, `has norm ${textOf(node, "norm", "")}`, "expected MAX, L1 or L2");
  const x = features(node, writer);
  const norm = writer.apply(node, type, [x, writer.ints(node, [1])], { keepdims: 1 });
  const isZero = writer.apply(node, "Equal", [norm, writer.floats(node, [1], [0])]);
  const divisor = writer.apply(node, "Where", [isZero, writer.floats(node, [1], [1]), norm]);
  writer.apply(node, "Div", [x, divisor], {}, outputOf(node));
}

function imputer(node: OnnxNode, writer: MlWriter): void {
  const filler = floatList(node, "imputed_value_floats");
  const replaced = node.attributes.replaced_value_float ?? 0;
  if (filler.length === 0 || typeof replaced !== "number")
    throw unsupported(node, "replaces no floats", "expected imputed_value_floats");
  const x = features(node, writer);
  const missing = Number.isNaN(replaced)
    ? writer.apply(node, "IsNaN", [x])
    : writer.apply(node, "Equal", [x, writer.floats(node, [1], [replaced])]);
  writer.apply(node, "Where", [missing, writer.floats(node, [filler.length], filler), x], {}, outputOf(node));
}

/** 1 where x is above the threshold, else 0. */
function binarizer(node: OnnxNode, writer: MlWriter): void {
  const threshold = node.attributes.threshold ?? 0;
  const above = writer.apply(node, "Greater", [features(node, writer), writer.floats(node, [1], [Number(threshold)])]);
  writer.apply(node, "Cast", [above], { to: float32Code }, outputOf(node));
}

/** The columns of the indices, in the order of the second input. */
function arrayFeatureExtractor(node: OnnxNode, writer: MlWriter): void {
  const flat = writer.apply(node, "Reshape", [node.inputs[1] ?? "", writer.ints(node, [-1])]);
  writer.apply(node, "Gather", [node.inputs[0] ?? "", flat], { axis: -1 }, outputOf(node));
}
