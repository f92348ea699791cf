import protobuf from "protobufjs/light.js";
import * as v from "valibot";
import { TuttiError } from "../errors/index.ts";
import type { DType } from "./shape.ts";

/*
 * The messages of the ONNX specification (onnx/onnx.proto, IR version 11) as far as Tutti reads and writes them: field
 * numbers are the specification's, names are ours. What we refuse (subgraphs, functions, sparse data) is declared as
 * opaque bytes, so that it is seen and never decoded: no message contains itself, decoding cannot recurse.
 */
const one = (type: string, id: number) => ({ type, id });
const many = (type: string, id: number) => ({ rule: "repeated", type, id });
const packed = (type: string, id: number) => ({ rule: "repeated", type, id, options: { packed: true } });

const root = protobuf.Root.fromJSON({
  nested: {
    Model: {
      fields: {
        irVersion: one("int64", 1),
        producerName: one("string", 2),
        graph: one("Graph", 7),
        opsets: many("Opset", 8),
        metadata: many("Entry", 14),
        trainingInfo: many("bytes", 20),
        functions: many("bytes", 25),
      },
    },
    Opset: { fields: { domain: one("string", 1), version: one("int64", 2) } },
    Entry: { fields: { key: one("string", 1), value: one("string", 2) } },
    Graph: {
      fields: {
        nodes: many("Node", 1),
        name: one("string", 2),
        initializers: many("Tensor", 5),
        inputs: many("ValueInfo", 11),
        outputs: many("ValueInfo", 12),
        sparseInitializers: many("bytes", 15),
      },
    },
    Node: {
      fields: {
        inputs: many("string", 1),
        outputs: many("string", 2),
        name: one("string", 3),
        type: one("string", 4),
        attributes: many("Attribute", 5),
        domain: one("string", 7),
        overload: one("string", 8),
      },
    },
    Attribute: {
      fields: {
        name: one("string", 1),
        float: one("float", 2),
        int: one("int64", 3),
        string: one("bytes", 4),
        tensor: one("Tensor", 5),
        graph: one("bytes", 6),
        floats: many("float", 7),
        ints: many("int64", 8),
        strings: many("bytes", 9),
        graphs: many("bytes", 11),
        kind: one("int32", 20),
        reference: one("string", 21),
      },
    },
    Tensor: {
      fields: {
        dims: many("int64", 1),
        dtype: one("int32", 2),
        floats: packed("float", 4),
        int32s: packed("int32", 5),
        int64s: packed("int64", 7),
        name: one("string", 8),
        raw: one("bytes", 9),
        doubles: packed("double", 10),
        external: many("Entry", 13),
        location: one("int32", 14),
      },
    },
    ValueInfo: { fields: { name: one("string", 1), type: one("Type", 2) } },
    Type: { fields: { tensor: one("TensorType", 1) } },
    TensorType: { fields: { dtype: one("int32", 1), shape: one("TensorShape", 2) } },
    TensorShape: { fields: { dims: many("Dimension", 1) } },
    Dimension: { fields: { value: one("int64", 1), param: one("string", 2) } },
  },
});

const modelType = root.lookupType("Model");
const tensorType = root.lookupType("Tensor");

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

/** Fields of a message to encode, by our names; absent ones are not written. */
export type Fields = Readonly<Record<string, unknown>>;

/** Makes now the functions that the library writes when it first meets a message of each type: 20 ms. */
export function compileMessages(): void {
  for (const type of root.nestedArray) if (type instanceof protobuf.Type) type.setup();
}

/** Field order and content alone decide the bytes: the same message always gives the same ones. */
export function encodeModel(model: Fields): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(modelType.encode(modelType.fromObject({ ...model })).finish());
}

/** What of `bytes` was understood, encoded as `encodeModel` does: equal bytes hold nothing that was overlooked. */
export function canonicalModel(bytes: Uint8Array): Uint8Array {
  return modelType.encode(modelType.decode(bytes)).finish();
}

/** Throws GRAPH_INVALID when `bytes` is no ONNX model. */
export function decodeModel(bytes: Uint8Array): ModelMessage {
  return decode(bytes, modelType, modelSchema, "model");
}

/** A TensorProto by itself, as in the .pb files of ONNX's test data. Throws GRAPH_INVALID. */
export function decodeTensor(bytes: Uint8Array): TensorMessage {
  return decode(bytes, tensorType, tensorSchema, "tensor");
}

function decode<Schema extends v.GenericSchema>(
  bytes: Uint8Array,
  type: protobuf.Type,
  schema: Schema,
  what: string,
): v.InferOutput<Schema> {
  try {
    return v.parse(schema, type.toObject(type.decode(bytes), { longs: String, arrays: true }));
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
