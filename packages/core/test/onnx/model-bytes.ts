import type { DType, TypedValues } from "@tutti/core/graph";
import { attributeKinds, dtypeCodes, encodeModel } from "../../src/graph/onnx-proto.ts";
import type { Fields } from "../../src/graph/protobuf.ts";

export type Attribute = number | string | readonly number[];

export interface NodeSpec {
  readonly type: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly name?: string;
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

export interface ModelSpec {
  readonly opset?: number;
  readonly nodes: readonly NodeSpec[];
  readonly inputs: Readonly<Record<string, readonly (number | string)[]>>;
  readonly outputs: readonly string[];
  readonly initializers?: Readonly<Record<string, { readonly shape: readonly number[]; readonly values: TypedValues }>>;
  /** Location of the data of initializers that are stored elsewhere. */
  readonly external?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly inputDType?: DType;
}

/** A small model by hand. */
export function modelBytes({
  opset = 17,
  nodes,
  inputs,
  outputs,
  initializers = {},
  external = {},
  inputDType = "float32",
}: ModelSpec): Uint8Array {
  const info = (name: string, dims: readonly (number | string)[] | undefined): Fields => ({
    name,
    type: {
      tensor: {
        dtype: dtypeCodes[inputDType],
        ...(dims && {
          shape: { dims: dims.map((dim) => (typeof dim === "number" ? { value: dim } : { param: dim })) },
        }),
      },
    },
  });
  return encodeModel({
    irVersion: 8,
    producerName: "test",
    opsets: [{ domain: "", version: opset }],
    graph: {
      name: "test",
      nodes: nodes.map(({ attributes = {}, ...node }) => ({
        ...node,
        attributes: Object.entries(attributes).map(([name, value]) => attributeFields(name, value)),
      })),
      inputs: Object.entries(inputs).map(([name, dims]) => info(name, dims)),
      outputs: outputs.map((name) => info(name, undefined)),
      initializers: Object.entries(initializers).map(([name, { shape, values }]) => ({
        name,
        dtype: values instanceof BigInt64Array ? dtypeCodes.int64 : dtypeCodes.float32,
        dims: shape,
        ...(external[name] === undefined
          ? { raw: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) }
          : { location: 1, external: Object.entries(external[name]).map(([key, value]) => ({ key, value })) }),
      })),
    },
  });
}

function attributeFields(name: string, value: Attribute): Fields {
  if (typeof value === "string") return { name, string: new TextEncoder().encode(value), kind: attributeKinds.string };
  if (typeof value === "object") return { name, ints: value, kind: attributeKinds.ints };
  return Number.isInteger(value)
    ? { name, int: value, kind: attributeKinds.int }
    : { name, float: value, kind: attributeKinds.float };
}
