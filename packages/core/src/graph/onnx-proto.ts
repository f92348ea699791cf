import * as v from "valibot";
import { TuttiError } from "../errors/index.ts";
import { decode, encode, type Fields, type Message, many, message, one } from "./protobuf.ts";
import type { DType } from "./shape.ts";

/*
 * The messages of the ONNX specification (onnx/onnx.proto, IR version 11) as far as Tutti reads and writes them: field
 * numbers are the specification's, names are ours. What we refuse (subgraphs, functions, sparse data) is declared as
 * opaque bytes, so that it is seen and never decoded: no message contains itself, decoding cannot recurse.
 */
const opset = message({ domain: one("string", 1), version: one("int64", 2) });
const entry = message({ key: one("string", 1), value: one("string", 2) });
const dimension = message({ value: one("int64", 1), param: one("string", 2) });
const tensorShape = message({ dims: many(dimension, 1) });
const tensorType = message({ dtype: one("int32", 1), shape: one(tensorShape, 2) });
const valueType = message({ tensor: one(tensorType, 1) });
const valueInfo = message({ name: one("string", 1), type: one(valueType, 2) });

const tensor = message({
  dims: many("int64", 1),
  dtype: one("int32", 2),
  floats: many("float", 4),
  int32s: many("int32", 5),
  int64s: many("int64", 7),
  name: one("string", 8),
  raw: one("bytes", 9),
  doubles: many("double", 10),
  external: many(entry, 13),
  location: one("int32", 14),
});

const attribute = message({
  name: one("string", 1),
  float: one("float", 2),
  int: one("int64", 3),
  string: one("bytes", 4),
  tensor: one(tensor, 5),
  graph: one("bytes", 6),
  floats: many("float", 7),
  ints: many("int64", 8),
  strings: many("bytes", 9),
  graphs: many("bytes", 11),
  kind: one("int32", 20),
  reference: one("string", 21),
});

const node = message({
  inputs: many("string", 1),
  outputs: many("string", 2),
  name: one("string", 3),
  type: one("string", 4),
  attributes: many(attribute, 5),
  domain: one("string", 7),
  overload: one("string", 8),
});

const graph = message({
  nodes: many(node, 1),
  name: one("string", 2),
  initializers: many(tensor, 5),
  inputs: many(valueInfo, 11),
  outputs: many(valueInfo, 12),
  sparseInitializers: many("bytes", 15),
});

const model = message({
  irVersion: one("int64", 1),
  producerName: one("string", 2),
  graph: one(graph, 7),
  opsets: many(opset, 8),
  metadata: many(entry, 14),
  trainingInfo: many("bytes", 20),
  functions: many("bytes", 25),
});

const integer = v.pipe(v.string(), v.transform(Number), v.safeInteger());
const bytes = v.instance(Uint8Array);
const text = v.optional(v.string(), "");

const tensorSchema = v.object({
  dims: v.array(integer),
  dtype: v.optional(v.number(), 0),
  floats: v.array(v.number()),
  int32s: v.array(v.number()),
  int64s: v.array(v.string()),
  name: text,
  raw: v.optional(bytes),
  doubles: v.array(v.number()),
  external: v.array(v.object({ key: text, value: text })),
  location: v.optional(v.number(), 0),
});

const attributeSchema = v.object({
  name: text,
  float: v.optional(v.number(), 0),
  int: v.optional(integer, "0"),
  string: v.optional(bytes),
  tensor: v.optional(tensorSchema),
  graph: v.optional(bytes),
  floats: v.array(v.number()),
  ints: v.array(integer),
  strings: v.array(bytes),
  graphs: v.array(bytes),
  kind: v.optional(v.number(), 0),
  reference: text,
});

const valueInfoSchema = v.object({
  name: text,
  type: v.optional(
    v.object({
      tensor: v.optional(
        v.object({
          dtype: v.optional(v.number(), 0),
          shape: v.optional(
            v.object({ dims: v.array(v.object({ value: v.optional(integer), param: v.optional(v.string()) })) }),
          ),
        }),
      ),
    }),
  ),
});

const modelSchema = v.object({
  irVersion: v.optional(integer, "0"),
  producerName: text,
  graph: v.object({
    nodes: v.array(
      v.object({
        inputs: v.array(v.string()),
        outputs: v.array(v.string()),
        name: text,
        type: text,
        attributes: v.array(attributeSchema),
        domain: text,
      }),
    ),
    name: text,
    initializers: v.array(tensorSchema),
    inputs: v.array(valueInfoSchema),
    outputs: v.array(valueInfoSchema),
    sparseInitializers: v.array(bytes),
  }),
  opsets: v.array(v.object({ domain: text, version: v.optional(integer, "0") })),
  metadata: v.array(v.object({ key: text, value: text })),
  trainingInfo: v.array(bytes),
  functions: v.array(bytes),
});

export type ModelMessage = v.InferOutput<typeof modelSchema>;
export type TensorMessage = v.InferOutput<typeof tensorSchema>;
export type AttributeMessage = v.InferOutput<typeof attributeSchema>;
export type ValueInfoMessage = v.InferOutput<typeof valueInfoSchema>;

/** ONNX's AttributeProto.AttributeType, as far as used. */
export const attributeKinds = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
} as const;

/** ONNX's TensorProto.DataType. */
export const dtypeCodes: Readonly<Record<DType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float64: 11,
};

/** Field order and content alone decide the bytes: the same message always gives the same ones. */
export function encodeModel(fields: Fields): Uint8Array<ArrayBuffer> {
  return encode(model, fields);
}

/** What of `bytes` was understood, encoded as `encodeModel` does: equal bytes hold nothing that was overlooked. */
export function canonicalModel(bytes: Uint8Array): Uint8Array {
  return encode(model, decode(model, bytes));
}

/** Throws GRAPH_INVALID when `bytes` is no ONNX model. */
export function decodeModel(bytes: Uint8Array): ModelMessage {
  return checked(bytes, model, modelSchema, "model");
}

/** A TensorProto by itself, as in the .pb files of ONNX's test data. Throws GRAPH_INVALID. */
export function decodeTensor(bytes: Uint8Array): TensorMessage {
  return checked(bytes, tensor, tensorSchema, "tensor");
}

function checked<Schema extends v.GenericSchema>(
  bytes: Uint8Array,
  type: Message,
  schema: Schema,
  what: string,
): v.InferOutput<Schema> {
  try {
    return v.parse(schema, decode(type, bytes));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TuttiError(
      "GRAPH_INVALID",
      `not an ONNX ${what} (${bytes.length} bytes): ${reason}`,
      {},
      { cause: error },
    );
  }
}
