import { TuttiError } from "../errors/index.ts";
import type { TypedValues } from "./graph.ts";
import {
  type AttributeMessage,
  attributeKinds,
  decodeModel,
  dtypeCodes,
  type TensorMessage,
  type ValueInfoMessage,
} from "./onnx-proto.ts";
import { type DType, dtypes } from "./shape.ts";

/** A tensor stored in a model, row-major; `values` is a copy. */
export interface OnnxTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly values: TypedValues;
}

export type OnnxAttribute = number | string | readonly number[] | readonly string[] | OnnxTensor;

export interface OnnxNode {
  readonly name: string;
  /** "" is ai.onnx. */
  readonly domain: string;
  readonly type: string;
  /** Value names; "" where an optional input is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

/** A dim is a number, a name, or null when nothing is known; the shape is null when not even the rank is. */
export interface OnnxValueInfo {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly (number | string | null)[] | null;
}

export interface OnnxModel {
  readonly irVersion: number;
  readonly producer: string;
  readonly name: string;
  /** Version by domain; "" is ai.onnx. */
  readonly opsets: ReadonlyMap<string, number>;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxTensor[];
  readonly inputs: readonly OnnxValueInfo[];
  readonly outputs: readonly OnnxValueInfo[];
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Decodes an ONNX ModelProto. Throws GRAPH_INVALID for what is no model, and for subgraphs, functions, sparse tensors,
 * tensors in other files, and dtypes that Tutti lacks: nothing is followed or opened.
 */
export function readOnnx(bytes: Uint8Array): OnnxModel {
  const model = decodeModel(bytes);
  const { graph } = model;
  if (model.functions.length > 0) throw invalid("the model defines functions; inline them before");
  if (model.trainingInfo.length > 0) throw invalid("the model carries training info");
  if (graph.sparseInitializers.length > 0) throw invalid("the model has sparse initializers");
  return {
    irVersion: model.irVersion,
    producer: model.producerName,
    name: graph.name,
    opsets: new Map(model.opsets.map(({ domain, version }) => [plainDomain(domain), version])),
    nodes: graph.nodes.map((node) => ({
      name: node.name,
      domain: plainDomain(node.domain),
      type: node.type,
      inputs: node.inputs,
      outputs: node.outputs,
      attributes: Object.fromEntries(
        node.attributes.map((attribute) => [attribute.name, readAttribute(attribute, node.type)]),
      ),
    })),
    initializers: graph.initializers.map((tensor) => readTensor(tensor, tensor.name)),
    inputs: graph.inputs.map(readValueInfo),
    outputs: graph.outputs.map(readValueInfo),
    metadata: Object.fromEntries(model.metadata.map(({ key, value }) => [key, value])),
  };
}

function invalid(why: string): TuttiError {
  return new TuttiError("GRAPH_INVALID", why);
}

function plainDomain(domain: string): string {
  return domain === "ai.onnx" ? "" : domain;
}

function readAttribute(attribute: AttributeMessage, node: string): OnnxAttribute {
  const where = `attribute ${attribute.name} of ${node}`;
  if (attribute.graph !== undefined || attribute.graphs.length > 0)
    throw invalid(`${where} is a subgraph; control flow is not supported`);
  if (attribute.reference !== "") throw invalid(`${where} refers to a function's attribute`);
  const decoder = new TextDecoder();
  switch (attribute.kind) {
    case attributeKinds.float:
      return attribute.float;
    case attributeKinds.int:
      return attribute.int;
    case attributeKinds.string:
      return decoder.decode(attribute.string);
    case attributeKinds.floats:
      return attribute.floats;
    case attributeKinds.ints:
      return attribute.ints;
    case attributeKinds.strings:
      return attribute.strings.map((item) => decoder.decode(item));
    case attributeKinds.tensor:
      if (attribute.tensor === undefined) throw invalid(`${where} is empty`);
      return readTensor(attribute.tensor, where);
    default:
      throw invalid(`${where} is of kind ${attribute.kind}, which is not supported`);
  }
}

function readDType(code: number, where: string): DType {
  const dtype = dtypes.find((name) => dtypeCodes[name] === code);
  if (dtype === undefined) throw invalid(`${where} has dtype number ${code}; expected ${dtypes.join(", ")}`);
  return dtype;
}

function readValueInfo({ name, type }: ValueInfoMessage): OnnxValueInfo {
  const tensor = type?.tensor;
  if (tensor === undefined) throw invalid(`${name} is no tensor`);
  const shape = tensor.shape?.dims.map(({ value, param }) => value ?? param ?? null) ?? null;
  return { name, dtype: readDType(tensor.dtype, name), shape };
}

function readTensor(tensor: TensorMessage, where: string): OnnxTensor {
  const { dims: shape, name } = tensor;
  if (tensor.external.length > 0 || tensor.location !== 0)
    throw invalid(`${where} is stored in another file; expected all data inside the model`);
  const dtype = readDType(tensor.dtype, where);
  const count = shape.reduce((product, dim) => product * dim, 1);
  if (shape.some((dim) => dim < 0) || !Number.isSafeInteger(count))
    throw invalid(`${where} has shape [${shape.join(",")}]`);
  const values = tensor.raw === undefined ? typedValues(tensor, dtype) : rawValues(tensor.raw, dtype, count);
  if (values?.length !== count)
    throw invalid(`${where} holds ${values?.length ?? "no"} values, expected ${count} for shape [${shape.join(",")}]`);
  return { name, dtype, shape, values };
}

/** The values of raw_data, little-endian; undefined when its size does not fit. The size is known before anything is made. */
function rawValues(raw: Uint8Array, dtype: DType, count: number): TypedValues | undefined {
  const array = arrays[dtype];
  if (raw.length !== count * array.BYTES_PER_ELEMENT) return undefined;
  return new array(Uint8Array.from(raw).buffer);
}

function typedValues(tensor: TensorMessage, dtype: DType): TypedValues {
  switch (dtype) {
    case "float32":
      return Float32Array.from(tensor.floats);
    case "float64":
      return Float64Array.from(tensor.doubles);
    case "int64":
      return BigInt64Array.from(tensor.int64s, BigInt);
    default:
      return arrays[dtype].from(tensor.int32s);
  }
}

const arrays = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  int64: BigInt64Array,
} as const;
