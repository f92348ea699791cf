/** A writer of ONNX models for tests, after onnx.proto3: it knows nothing of our own. */

export type ElementType = "float32" | "uint8" | "int32" | "int64";
export interface TensorInfo {
  readonly name: string;
  readonly dtype: ElementType;
  readonly shape: readonly number[];
}
export interface ModelNode {
  readonly type: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly ints?: Readonly<Record<string, number>>;
}
export interface Model {
  readonly nodes: readonly ModelNode[];
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  readonly constants?: Readonly<
    Record<string, { readonly shape: readonly number[]; readonly values: Float32Array | BigInt64Array }>
  >;
}

const elementTypes: Readonly<Record<ElementType, number>> = { float32: 1, uint8: 2, int32: 6, int64: 7 };

/** ModelProto with IR version 9 and opset 18. */
export function onnxBytes({ nodes, inputs, outputs, constants = {} }: Model): Uint8Array {
  const graph = [
    ...nodes.map((node) => bytesField(1, nodeProto(node))),
    textField(2, "test"),
    ...Object.entries(constants).map(([name, { shape, values }]) =>
      bytesField(5, [
        ...shape.map((size) => intField(1, size)),
        intField(2, elementTypes[values instanceof Float32Array ? "float32" : "int64"]),
        textField(8, name),
        bytesField(9, [Buffer.from(values.buffer, values.byteOffset, values.byteLength)]),
      ]),
    ),
    ...inputs.map((info) => bytesField(11, valueInfo(info))),
    ...outputs.map((info) => bytesField(12, valueInfo(info))),
  ];
  return new Uint8Array(Buffer.concat([intField(1, 9), bytesField(7, graph), bytesField(8, [intField(2, 18)])]));
}

function nodeProto({ type, inputs, outputs, ints = {} }: ModelNode): Buffer[] {
  return [
    ...inputs.map((name) => textField(1, name)),
    ...outputs.map((name) => textField(2, name)),
    textField(4, type),
    ...Object.entries(ints).map(([name, value]) =>
      bytesField(5, [textField(1, name), intField(3, value), intField(20, 2)]),
    ),
  ];
}

function valueInfo({ name, dtype, shape }: TensorInfo): Buffer[] {
  const dims = shape.map((size) => bytesField(1, [intField(1, size)]));
  return [textField(1, name), bytesField(2, [bytesField(1, [intField(1, elementTypes[dtype]), bytesField(2, dims)])])];
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = BigInt.asUintN(64, BigInt(value)); ; rest >>= 7n) {
    if (rest < 128n) return Buffer.from([...bytes, Number(rest)]);
    bytes.push(Number(rest & 127n) | 128);
  }
}

function intField(field: number, value: number): Buffer {
  return Buffer.concat([varint(field * 8), varint(value)]);
}

function bytesField(field: number, parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([varint(field * 8 + 2), varint(body.length), body]);
}

function textField(field: number, text: string): Buffer {
  return bytesField(field, [Buffer.from(text)]);
}
