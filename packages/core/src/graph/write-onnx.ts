import { TuttiError } from "../errors/index.ts";
import type { Graph, TypedValues } from "./graph.ts";
import { lower } from "./lower.ts";
import type { AttributeValue, Node } from "./node.ts";
import { attributeKinds, dtypeCodes, encodeModel } from "./onnx-proto.ts";
import type { AttributeKind } from "./op.ts";
import { identity, reshape } from "./ops/index.ts";
import type { Fields } from "./protobuf.ts";
import {
  batchAxis,
  type Dim,
  type DType,
  isBatch,
  isDType,
  type Shape,
  sameDim,
  staticShape,
  type TensorType,
} from "./shape.ts";
import type { Tensor } from "./tensor.ts";

export interface WriteOptions {
  /** By the names that the file gives them, in this order. */
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** Version of ai.onnx, 18 … 24. */
  readonly opset: number;
  /** Values of graph inputs that become part of the file. */
  readonly initializers?: ReadonlyMap<string, TypedValues>;
  readonly name: string;
  /** Name of the free dimension N when it is not known. */
  readonly samplesName?: string;
  /** Entries of the model's `metadata_props`. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** IR version that came with each version of ai.onnx (onnx/docs/Versioning.md). */
const irVersions: ReadonlyMap<number, number> = new Map([
  [18, 8],
  [19, 9],
  [20, 9],
  [21, 10],
  [22, 10],
  [23, 11],
  [24, 12],
]);

/**
 * The part of `graph` that `outputs` depend on as an ONNX model (ModelProto bytes). Inputs keep their names, other values
 * are "v" and their id; an input that nothing depends on is left out. Operators of com.microsoft appear only where the
 * graph has them. The same graph gives the same bytes.
 *
 * N may be unknown: a k·N dim of an input or output is then named after `samplesName`, and where an operator needs it as a
 * number it is computed when the model runs. An operator that the version lacks is written with older ones where it has a
 * rule for that. Throws BAD_OPTION for an unknown opset, or one that lacks an operator without such a rule.
 */
export function writeOnnx(graph: Graph, options: WriteOptions): Uint8Array<ArrayBuffer> {
  const lowered = lower(graph, options.opset);
  if (lowered === undefined) return new Writer(graph, options).write();
  const outputs = Object.entries(options.outputs).map(([name, tensor]) => [name, lowered.map[tensor.id]!] as const);
  return new Writer(lowered.graph, { ...options, outputs: Object.fromEntries(outputs) }).write();
}

class Writer {
  readonly #graph: Graph;
  readonly #options: WriteOptions;
  readonly #nodes: Fields[] = [];
  readonly #initializers: Fields[] = [];
  readonly #names = new Map<number, string>();
  readonly #taken: Set<string>;
  readonly #constants = new Map<string, string>();
  readonly #batchSizes = new Map<number, string>();
  readonly #domains = new Set<string>();

  constructor(graph: Graph, options: WriteOptions) {
    this.#graph = graph;
    this.#options = options;
    this.#taken = new Set([...graph.inputs.keys(), ...Object.keys(options.outputs)]);
  }

  write(): Uint8Array<ArrayBuffer> {
    const { opset, name, outputs } = this.#options;
    const irVersion = irVersions.get(opset);
    if (irVersion === undefined) {
      throw new TuttiError("BAD_OPTION", `ONNX opset ${opset}: expected one of ${[...irVersions.keys()].join(", ")}`);
    }
    const needed = this.#reachable();
    this.#nameOutputs();
    const inputs = this.#writeValues(needed);
    this.#aliasOutputs();
    return encodeModel({
      irVersion,
      producerName: "tutti",
      graph: {
        name,
        nodes: this.#nodes,
        initializers: this.#initializers,
        inputs,
        outputs: Object.entries(outputs).map(([output, tensor]) => this.#valueInfo(output, tensor)),
      },
      opsets: [{ domain: "", version: opset }, ...[...this.#domains].map((domain) => ({ domain, version: 1 }))],
      metadata: Object.entries(this.#options.metadata ?? {}).map(([key, value]) => ({ key, value })),
    });
  }

  #reachable(): ReadonlySet<number> {
    const needed = new Set<number>();
    const open = Object.values(this.#options.outputs).map((tensor) => tensor.id);
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      if (needed.has(id)) continue;
      needed.add(id);
      const { source } = this.#graph.value(id);
      if (source.kind === "node") open.push(...source.node.inputs.filter((input) => input !== null));
    }
    return needed;
  }

  /** A value that a node makes takes the name of the first output it is. */
  #nameOutputs(): void {
    for (const [name, tensor] of Object.entries(this.#options.outputs)) {
      if (this.#graph.inputs.has(name)) {
        throw new TuttiError("BAD_RUN_FILE", `"${name}" is the name of an input and of an output; rename the output`);
      }
      if (this.#graph.value(tensor.id).source.kind === "node" && !this.#names.has(tensor.id))
        this.#names.set(tensor.id, name);
    }
  }

  /** Writes constants and nodes in their order; returns the inputs to declare. */
  #writeValues(needed: ReadonlySet<number>): readonly Fields[] {
    const inputs: Fields[] = [];
    const written = new Set<Node>();
    for (const [id, { type, source }] of this.#graph.values.entries()) {
      if (!needed.has(id)) continue;
      if (source.kind === "input") {
        this.#names.set(id, source.name);
        const values = this.#options.initializers?.get(source.name);
        if (values === undefined) inputs.push(this.#valueInfo(source.name, type));
        else this.#initializers.push(tensorFields(source.name, type.dtype, staticShape(type.shape), values));
      } else if (source.kind === "constant") {
        this.#names.set(id, this.#constant(type.dtype, staticShape(type.shape), source.values));
      } else if (!written.has(source.node)) {
        written.add(source.node);
        this.#writeNode(source.node, needed);
      }
    }
    return inputs;
  }

  /** Outputs that are inputs, constants, or a second name of a value are copied. */
  #aliasOutputs(): void {
    for (const [name, tensor] of Object.entries(this.#options.outputs)) {
      const own = this.#nameOf(tensor.id);
      if (own !== name)
        this.#nodes.push({ inputs: [own], outputs: [name], name: `output/${name}`, type: identity.type });
    }
  }

  #writeNode(node: Node, needed: ReadonlySet<number>): void {
    const { op, attributes, scope } = node;
    if (op.since !== undefined && this.#options.opset < op.since) {
      throw new TuttiError(
        "BAD_OPTION",
        `${op.type} came with ONNX opset ${op.since}, asked for is ${this.#options.opset}`,
      );
    }
    if (op.domain !== "") this.#domains.add(op.domain);
    const inputs = node.inputs.map((id) => (id === null ? "" : this.#nameOf(id)));
    const written: Fields[] = [];
    for (const [name, kind] of Object.entries(op.attributes)) {
      const value = attributes[name];
      if (kind.endsWith("Input")) inputs.push(value === undefined ? "" : this.#attributeInput(node, kind, value));
      else if (value !== undefined) written.push(attributeFields(name, kind, value));
    }
    while (inputs.at(-1) === "") inputs.pop();
    const isWritten = (id: number, i: number): boolean =>
      i < (op.requiredOutputs ?? node.outputs.length) || needed.has(id);
    const outputs = node.outputs.map((id, i) => (isWritten(id, i) ? this.#nameOf(id) : ""));
    while (outputs.at(-1) === "") outputs.pop();
    this.#nodes.push({
      inputs,
      outputs,
      name: `${scope === "" ? "" : `${scope}/`}${op.type}_${node.outputs[0]}`,
      type: op.type,
      attributes: written,
      ...(op.domain === "" ? {} : { domain: op.domain }),
    });
  }

  #nameOf(id: number): string {
    const known = this.#names.get(id);
    if (known !== undefined) return known;
    const name = this.#fresh(`v${id}`);
    this.#names.set(id, name);
    return name;
  }

  #fresh(wanted: string): string {
    let name = wanted;
    while (this.#taken.has(name)) name += "_";
    this.#taken.add(name);
    return name;
  }

  /** The name of an initializer with these bits, written once. */
  #constant(dtype: DType, shape: readonly number[], values: TypedValues): string {
    const key = `${dtype} ${shape.join(",")} ${Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("base64")}`;
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const name = this.#fresh(`c${this.#constants.size}`);
    this.#constants.set(key, name);
    this.#initializers.push(tensorFields(name, dtype, shape, values));
    return name;
  }

  #attributeInput(node: Node, kind: AttributeKind, value: AttributeValue): string {
    switch (kind) {
      case "dimsInput":
        return this.#dims(node);
      case "intsInput": {
        const list = numbers(value);
        return this.#constant("int64", [list.length], BigInt64Array.from(list, BigInt));
      }
      case "intInput":
        return this.#constant("int64", [], BigInt64Array.from(numbers(value), BigInt));
      case "floatsInput": {
        const list = numbers(value);
        return this.#constant("float32", [list.length], Float32Array.from(list));
      }
      case "floatInput": {
        const dtype = this.#graph.value(node.inputs[0] ?? -1).type.dtype;
        return this.#constant(
          dtype,
          [],
          dtype === "float64" ? Float64Array.from(numbers(value)) : Float32Array.from(numbers(value)),
        );
      }
      case "zeroOneInput":
        return this.#constant(
          value === "int64" ? "int64" : "float32",
          [2],
          value === "int64" ? BigInt64Array.of(0n, 1n) : Float32Array.of(0, 1),
        );
      default:
        throw new TuttiError("INTERNAL", `${node.op.type}: ${kind} is no input`);
    }
  }

  /** The first output's shape as an int64 tensor, computed when the model runs where it counts unknown samples. */
  #dims(node: Node): string {
    const { shape } = this.#graph.value(node.outputs[0]!).type;
    if (batchAxis(shape) === -1 || node.op === reshape) {
      return this.#constant(
        "int64",
        [shape.length],
        BigInt64Array.from(shape, (dim) => (isBatch(dim) ? -1n : BigInt(dim))),
      );
    }
    const input = this.#graph.value(node.inputs[0]!).type.shape;
    const own = (axis: number): Dim | undefined => input[axis - (shape.length - input.length)];
    const pieces = shape.map((dim, axis) => {
      if (!isBatch(dim)) return this.#constant("int64", [1], BigInt64Array.of(BigInt(dim)));
      // Expand's own batch axis: 1 leaves it as it is.
      const same = own(axis);
      if (same !== undefined && sameDim(same, dim)) return this.#constant("int64", [1], BigInt64Array.of(1n));
      return this.#batchSize(dim.timesN);
    });
    const name = this.#fresh(`shape${node.outputs[0]}`);
    this.#nodes.push({
      inputs: pieces,
      outputs: [name],
      name,
      type: "Concat",
      attributes: [attributeFields("axis", "int", 0)],
    });
    return name;
  }

  /** An int64 [1] tensor that holds k·N, taken from the first input that counts samples. */
  #batchSize(timesN: number): string {
    const known = this.#batchSizes.get(timesN);
    if (known !== undefined) return known;
    const column = [...this.#graph.inputs].find(([, id]) => batchAxis(this.#graph.value(id).type.shape) !== -1);
    if (column === undefined) throw new TuttiError("INTERNAL", "no input counts samples, but a shape does");
    const { shape } = this.#graph.value(column[1]).type;
    const axis = batchAxis(shape);
    const counted = shape[axis]!;
    let size = this.#fresh(`samples${timesN}`);
    this.#nodes.push({
      inputs: [column[0]],
      outputs: [size],
      name: size,
      type: "Shape",
      attributes: [attributeFields("start", "int", axis), attributeFields("end", "int", axis + 1)],
    });
    const scale = (type: "Mul" | "Div", by: number): void => {
      if (by === 1) return;
      const scaled = this.#fresh(`${size}_${type.toLowerCase()}`);
      this.#nodes.push({
        inputs: [size, this.#constant("int64", [1], BigInt64Array.of(BigInt(by)))],
        outputs: [scaled],
        name: scaled,
        type,
      });
      size = scaled;
    };
    scale("Mul", timesN);
    scale("Div", isBatch(counted) ? counted.timesN : 1);
    this.#batchSizes.set(timesN, size);
    return size;
  }

  #valueInfo(name: string, type: TensorType): Fields {
    return { name, type: { tensor: { dtype: dtypeCodes[type.dtype], shape: { dims: this.#dimFields(type.shape) } } } };
  }

  #dimFields(shape: Shape): readonly Fields[] {
    const samples = this.#options.samplesName ?? "N";
    return shape.map((dim) =>
      isBatch(dim) ? { param: dim.timesN === 1 ? samples : `${dim.timesN}*${samples}` } : { value: dim },
    );
  }
}

function tensorFields(name: string, dtype: DType, shape: readonly number[], values: TypedValues): Fields {
  const count = shape.reduce((product, dim) => product * dim, 1);
  if (values.length !== count) {
    throw new TuttiError("SHAPE_MISMATCH", `${name}: ${values.length} values for shape [${shape.join(",")}]`);
  }
  // raw_data is little-endian, as is every platform the engine runs on.
  return {
    name,
    dtype: dtypeCodes[dtype],
    dims: shape,
    raw: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  };
}

function attributeFields(name: string, kind: AttributeKind, value: AttributeValue): Fields {
  const encoder = new TextEncoder();
  switch (kind) {
    case "int":
      return { name, int: numbers(value)[0], kind: attributeKinds.int };
    case "float":
      return { name, float: numbers(value)[0], kind: attributeKinds.float };
    case "ints":
      return { name, ints: numbers(value), kind: attributeKinds.ints };
    case "floats":
      return { name, floats: numbers(value), kind: attributeKinds.floats };
    case "string":
      return { name, string: encoder.encode(String(value)), kind: attributeKinds.string };
    case "strings":
      return { name, strings: list(value).map((item) => encoder.encode(String(item))), kind: attributeKinds.strings };
    case "dtype":
      if (!isDType(value)) throw new TuttiError("INTERNAL", `attribute ${name}: ${String(value)} is no dtype`);
      return { name, int: dtypeCodes[value], kind: attributeKinds.int };
    default:
      throw new TuttiError("INTERNAL", `attribute ${name}: ${kind} is written as an input`);
  }
}

function list(value: AttributeValue): readonly unknown[] {
  return typeof value === "object" ? value : [value];
}

function numbers(value: AttributeValue): readonly number[] {
  return list(value).map((item) => {
    if (typeof item !== "number") throw new TuttiError("INTERNAL", `expected numbers, found ${JSON.stringify(value)}`);
    return item;
  });
}
