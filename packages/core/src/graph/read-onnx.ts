import { TuttiError } from "../errors/index.ts";
import type { TypedValues } from "./graph.ts";
import {
  type AttributeMessage,
  attributeKinds,
  decodeModel,
  decodeTensor,
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
  /** Names of outputs that are no tensors of our dtypes (maps, sequences, texts); empty unless `otherOutputs` was asked for. */
  readonly otherOutputs: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
}

/** A tensor's bytes in a file beside the model, as the model declares them: unchecked. */
export interface ExternalData {
  readonly location: string;
  readonly offset: number;
  /** undefined: to the end of the file. */
  readonly length: number | undefined;
}

export interface ReadOptions {
  /** Fetches data that is stored in other files; without it such tensors are refused. `byteLength` is what dtype and shape need. */
  readonly external?: (data: ExternalData, byteLength: number) => Uint8Array;
  /** Lists outputs that are no tensors of our dtypes instead of refusing them. */
  readonly otherOutputs?: boolean;
}

/**
 * Decodes an ONNX ModelProto. Throws GRAPH_INVALID for what is no model, and for subgraphs, functions, sparse tensors,
 * tensors in other files, and dtypes that Tutti lacks: by itself it follows and opens nothing.
 */
export function readOnnx(bytes: Uint8Array, options: ReadOptions = {}): OnnxModel {
  const model = decodeModel(bytes);
  const { graph } = model;
  if (model.functions.length > 0) throw invalid("the model defines functions; inline them before");
  if (model.trainingInfo.length > 0) throw invalid("the model carries training info");
  if (graph.sparseInitializers.length > 0) throw invalid("the model has sparse initializers");
  const isOther = (output: ValueInfoMessage): boolean =>
    options.otherOutputs === true && dtypeOfCode(output.type?.tensor?.dtype) === undefined;
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
        node.attributes.map((attribute) => [attribute.name, readAttribute(attribute, node)]),
      ),
    })),
    initializers: graph.initializers.map((tensor) => readTensor(tensor, tensor.name, options)),
    inputs: graph.inputs.map(readValueInfo),
    outputs: graph.outputs.filter((output) => !isOther(output)).map(readValueInfo),
    otherOutputs: graph.outputs.filter(isOther).map(({ name }) => name),
    metadata: Object.fromEntries(model.metadata.map(({ key, value }) => [key, value])),
  };
}

/** Decodes a TensorProto by itself. Throws GRAPH_INVALID. */
export function readOnnxTensor(bytes: Uint8Array): OnnxTensor {
  return readTensor(decodeTensor(bytes), "the tensor");
}

function invalid(why: string): TuttiError {
  return new TuttiError("GRAPH_INVALID", why);
}

function plainDomain(domain: string): string {
  return domain === "ai.onnx" ? "" : domain;
}

function readAttribute(attribute: AttributeMessage, node: { name: string; type: string }): OnnxAttribute {
  const where = `attribute ${attribute.name} of ${node.type}${node.name === "" ? "" : ` "${node.name}"`}`;
  if (attribute.graph !== undefined || attribute.graphs.length > 0)
    throw invalid(`${where} is a subgraph; control flow is not supported: export the model without it`);
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

/** The dtype with that number in ONNX (TensorProto.DataType); undefined for those that Tutti lacks. */
export function dtypeOfCode(code: number | undefined): DType | undefined {
  return dtypes.find((name) => dtypeCodes[name] === code);
}

function readDType(code: number, where: string): DType {
  const dtype = dtypeOfCode(code);
  if (dtype === undefined) throw invalid(`${where} has dtype number ${code}; expected ${dtypes.join(", ")}`);
  return dtype;
}

function readValueInfo({ name, type }: ValueInfoMessage): OnnxValueInfo {
  const tensor = type?.tensor;
  if (tensor === undefined) throw invalid(`${name} is no tensor`);
  const shape = tensor.shape?.dims.map(({ value, param }) => value ?? param ?? null) ?? null;
  return { name, dtype: readDType(tensor.dtype, name), shape };
}

function readTensor(tensor: TensorMessage, where: string, { external }: ReadOptions = {}): OnnxTensor {
  const { dims: shape, name } = tensor;
  const isExternal = tensor.external.length > 0 || tensor.location !== 0;
  if (isExternal && external === undefined)
    throw invalid(`${where} is stored in another file; expected all data inside the model`);
  const dtype = readDType(tensor.dtype, where);
  const count = shape.reduce((product, dim) => product * dim, 1);
  if (shape.some((dim) => dim < 0) || !Number.isSafeInteger(count))
    throw invalid(`${where} has shape [${shape.join(",")}]`);
  const raw = isExternal
    ? external?.(externalData(tensor, where), count * arrays[dtype].BYTES_PER_ELEMENT)
    : tensor.raw;
  const values = raw === undefined ? typedValues(tensor, dtype) : rawValues(raw, dtype, count);
  if (values?.length !== count)
    throw invalid(`${where} holds ${values?.length ?? "no"} values, expected ${count} for shape [${shape.join(",")}]`);
  return { name, dtype, shape, values };
}

/** The keys of "onnx/docs/ExternalData.md". */
function externalData({ external }: TensorMessage, where: string): ExternalData {
  const entries = new Map(external.map(({ key, value }) => [key, value]));
  const size = (key: string): number | undefined => {
    const text = entries.get(key);
    if (text === undefined) return undefined;
    if (!/^\d{1,15}$/.test(text)) throw invalid(`${where}: ${key} of its external data is "${text}"`);
    return Number(text);
  };
  return { location: entries.get("location") ?? "", offset: size("offset") ?? 0, length: size("length") };
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
