import protobuf from "protobufjs/minimal.js";
import type { PlainObject } from "../data/index.ts";
import { TuttiError } from "../errors/index.ts";
import { readOnnx, simplify, specialize, writeOnnx } from "../graph/index.ts";
import type { Trace } from "./trace.ts";

/** Version of ai.onnx of exported models: old enough for most runtimes in use. */
const exportOpset = 18;
/** Version of ai.onnx of programs. */
const evaluationOpset = 23;

/**
 * The evaluation trace pruned to its `outputs`, as an ONNX model of standard operators with a free dimension N. Parameters
 * are inputs, to be filled by `exportOnnx`. Undefined if the step names no outputs.
 *
 * @param columns what is known of the columns: JSON under the key "tutti.columns" of the model's metadata, of those that are
 *   inputs; none if there are none.
 */
export function inferenceGraph(trace: Trace, columns: PlainObject = {}): Uint8Array<ArrayBuffer> | undefined {
  const outputs = Object.entries(trace.outputs);
  if (outputs.length === 0) return undefined;
  const { graph, map } = simplify(
    trace.graph,
    outputs.map(([, tensor]) => tensor),
  );
  const known = Object.fromEntries(Object.entries(columns).filter(([name]) => graph.inputs.has(name)));
  return writeOnnx(graph, {
    name: "model",
    opset: exportOpset,
    samplesName: "N",
    ...(Object.keys(known).length > 0 && { metadata: { "tutti.columns": JSON.stringify(known) } }),
    outputs: Object.fromEntries(outputs.map(([name, tensor]) => [name, map[tensor.id]!])),
  });
}

/**
 * The evaluation trace for N samples, as its programs compute it, pruned to its `outputs`: what an exported model is held
 * against. Parameters are inputs. Undefined if the step names no outputs.
 */
export function evaluationGraph(trace: Trace, samples: number): Uint8Array<ArrayBuffer> | undefined {
  const outputs = Object.entries(trace.outputs);
  if (outputs.length === 0) return undefined;
  const { graph, map } = specialize(trace.graph, samples);
  return writeOnnx(graph, {
    name: "evaluation",
    opset: evaluationOpset,
    outputs: Object.fromEntries(outputs.map(([name, tensor]) => [name, map[tensor.id]!])),
  });
}

/**
 * An inference graph with its parameters: every float32 input of a parameter's name becomes an initializer. All else is
 * copied byte for byte.
 *
 * @param parameters values by name, row-major; those that the graph does not use are left out.
 * @throws TuttiError GRAPH_INVALID for bytes that are no model; SHAPE_MISMATCH for values of another length.
 */
export function exportOnnx(
  inferenceGraph: Uint8Array,
  parameters: ReadonlyMap<string, Float32Array>,
): Uint8Array<ArrayBuffer> {
  const filled = readOnnx(inferenceGraph).inputs.filter(({ name }) => parameters.has(name));
  const tensors = filled.map(({ name, dtype, shape }) => {
    const values = parameters.get(name)!;
    const dims = (shape ?? []).map(Number);
    if (dtype !== "float32" || values.length !== dims.reduce((product, dim) => product * dim, 1)) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `parameter ${name}: expected float32 values for ${dtype}[${dims.join(",")}], found ${values.length}`,
      );
    }
    return tensorBytes(name, dims, values);
  });
  const names = new Set(filled.map(({ name }) => name));
  const model = protobuf.Writer.create();
  for (const field of fieldsOf(inferenceGraph)) {
    if (field.id !== modelGraph) copyField(model, field);
    else model.uint32(field.tag).bytes(withInitializers(field.content, names, tensors));
  }
  return Uint8Array.from(model.finish());
}

// Field numbers of the ONNX specification (onnx/onnx.proto).
const modelGraph = 7;
const graphInitializer = 5;
const graphInput = 11;
const valueInfoName = 1;
const tensorField = { dims: 1, dataType: 2, name: 8, rawData: 9 } as const;
const float32DataType = 1;
const lengthDelimited = 2;

function withInitializers(graph: Uint8Array, names: ReadonlySet<string>, tensors: readonly Uint8Array[]): Uint8Array {
  const writer = protobuf.Writer.create();
  for (const field of fieldsOf(graph)) {
    if (field.id === graphInput && names.has(nameOfInput(field.content))) continue;
    copyField(writer, field);
  }
  for (const tensor of tensors) writer.uint32(tagOf(graphInitializer, lengthDelimited)).bytes(tensor);
  return writer.finish();
}

function nameOfInput(valueInfo: Uint8Array): string {
  const name = fieldsOf(valueInfo).find(({ id }) => id === valueInfoName);
  return name === undefined ? "" : new TextDecoder().decode(name.content);
}

function tensorBytes(name: string, dims: readonly number[], values: Float32Array): Uint8Array {
  const writer = protobuf.Writer.create();
  for (const dim of dims) writer.uint32(tagOf(tensorField.dims, 0)).int64(dim);
  writer.uint32(tagOf(tensorField.dataType, 0)).int32(float32DataType);
  writer.uint32(tagOf(tensorField.name, lengthDelimited)).string(name);
  // raw_data is little-endian, as is every platform that the engine runs on.
  const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return writer.uint32(tagOf(tensorField.rawData, lengthDelimited)).bytes(raw).finish();
}

interface Field {
  readonly tag: number;
  readonly id: number;
  /** What follows the tag, a length-delimited field without its length. */
  readonly content: Uint8Array;
}

/** The fields of a protobuf message in their order, undecoded (Protocol Buffers, "Encoding"). */
function fieldsOf(message: Uint8Array): readonly Field[] {
  const reader = protobuf.Reader.create(message);
  const fields: Field[] = [];
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const start = reader.pos;
    let content: Uint8Array;
    if ((tag & 7) === lengthDelimited) content = reader.bytes();
    else {
      reader.skipType(tag & 7);
      content = message.subarray(start, reader.pos);
    }
    fields.push({ tag, id: tag >>> 3, content });
  }
  return fields;
}

function copyField(writer: protobuf.Writer, { tag, content }: Field): void {
  writer.uint32(tag);
  if ((tag & 7) === lengthDelimited) writer.bytes(content);
  else writer.raw(content);
}

function tagOf(id: number, wireType: number): number {
  return (id << 3) | wireType;
}
