import { isTuttiError, TuttiError } from "../errors/index.ts";
import { inferAcrossSamples, resolveAttributes } from "./across-samples.ts";
import type { Attributes, Node } from "./node.ts";
import type { Op } from "./op.ts";
import {
  type DType,
  isFloat,
  resolveDim,
  type Shape,
  sameShape,
  shapeToString,
  staticShape,
  type TensorType,
} from "./shape.ts";
import { Tensor } from "./tensor.ts";

export type TypedValues =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | BigInt64Array;

/** Where a value comes from. A parameter, column, buffer or random input is fed; a constant is part of the graph. */
export type Source =
  | { readonly kind: "node"; readonly node: Node; readonly output: number }
  | { readonly kind: "input"; readonly role: InputRole; readonly name: string }
  | { readonly kind: "constant"; readonly values: TypedValues };

/** column: batch data · parameter: trained · buffer: staged with the commit, not trained · random: Philox, fed by the lane. */
export type InputRole = "column" | "parameter" | "buffer" | "random";

export interface Value {
  readonly type: TensorType;
  readonly source: Source;
}

/**
 * Resolves what a module asks for while it is being traced: its parameters by path, and whether this trace is for
 * training. Given to the graph by whoever traces, so that no tracer is global.
 */
export interface TraceContext {
  readonly training: boolean;
  /** The tensor of parameter `name` of the module `owner`, declared on first use. Throws BAD_RUN_FILE for an unknown module. */
  parameter(graph: Graph, owner: object, name: string): Tensor;
  /** The tensor of buffer `name` of the module `owner`, as `parameter`. */
  buffer(graph: Graph, owner: object, name: string): Tensor;
  /** A random tensor, float32 [k·N, …]: 1/keep with probability `keep`, else 0; of its own at every call. */
  bernoulli(graph: Graph, shape: Shape, keep: number): Tensor;
  /** Two buffers of `owner` are to follow these statistics of the shard. */
  trackStatistics(owner: object, statistics: ShardStatistics): void;
  /** Path of a module, "" for the root. */
  pathOf(owner: object): string;
}

/** What a layer sees in a shard, per channel; the names are those of its buffers. */
export interface ShardStatistics {
  readonly buffers: { readonly mean: string; readonly variance: string };
  /** Float32 [C]. */
  readonly mean: Tensor;
  /** Float32 [C], divided by the number of values. */
  readonly variance: Tensor;
  /** Values of a channel that each sample brings. */
  readonly valuesPerSample: number;
  /** Share of the new value; null: the plain average over all steps. */
  readonly momentum: number | null;
}

/**
 * A list of values, each an input, a constant or an output of an operator applied to earlier values: so it is always in
 * topological order. Appending is the only change.
 */
export class Graph {
  readonly context: TraceContext | undefined;
  readonly #values: Value[] = [];
  readonly #nodes: Node[] = [];
  readonly #inputs = new Map<string, number>();
  #scope: readonly string[] = [];
  #isPerShard = false;

  constructor(context?: TraceContext) {
    this.context = context;
  }

  get values(): readonly Value[] {
    return this.#values;
  }

  get nodes(): readonly Node[] {
    return this.#nodes;
  }

  /** Names of the inputs, in the order of their first use. */
  get inputs(): ReadonlyMap<string, number> {
    return this.#inputs;
  }

  /** Whether samples of a shard affect each other, so that results depend on the number of shards. */
  get usesPerShard(): boolean {
    return this.#nodes.some(({ attributes }) => attributes.perShard === true);
  }

  get scope(): string {
    return this.#scope.join(".");
  }

  value(id: number): Value {
    const value = this.#values[id];
    if (value === undefined) throw new TuttiError("INTERNAL", `no value ${id} in a graph of ${this.#values.length}`);
    return value;
  }

  tensor(id: number): Tensor {
    return new Tensor(this, id, this.value(id).type);
  }

  /** Declares an input, or returns the one of that name. Throws SHAPE_MISMATCH if it was declared with another type. */
  input(role: InputRole, name: string, type: TensorType): Tensor {
    const known = this.#inputs.get(name);
    if (known !== undefined) {
      const old = this.value(known).type;
      if (old.dtype !== type.dtype || !sameShape(old.shape, type.shape)) {
        throw new TuttiError(
          "SHAPE_MISMATCH",
          `${name}: declared as ${old.dtype}${shapeToString(old.shape)} and as ${type.dtype}${shapeToString(type.shape)}`,
        );
      }
      return this.tensor(known);
    }
    const id = this.append({ type, source: { kind: "input", role, name } });
    this.#inputs.set(name, id);
    return this.tensor(id);
  }

  /** A constant of known size, row-major; the graph keeps `values`. */
  constant(values: TypedValues, shape: readonly number[], dtype: DType): Tensor {
    const count = shape.reduce((product, dim) => product * dim, 1);
    if (values.length !== count) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `${this.at("constant")}: ${values.length} values for shape ${shapeToString(shape)}`,
      );
    }
    return this.tensor(this.append({ type: { dtype, shape }, source: { kind: "constant", values } }));
  }

  /** A rank-0 constant; floats are rounded to the dtype. Throws SHAPE_MISMATCH for a number that an integer dtype lacks. */
  scalar(value: number, dtype: DType): Tensor {
    if (!isFloat(dtype) && !fits(value, dtype)) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `${this.at("constant")}: ${value} is no ${dtype}; cast the tensor first, e.g. .cast("float32")`,
      );
    }
    return this.constant(scalarValues(value, dtype), [], dtype);
  }

  /** Applies an operator; returns its outputs. Throws what the operator's shape rule throws. */
  apply(op: Op, inputs: readonly (Tensor | null)[], attributes: Attributes = {}): readonly Tensor[] {
    const at = this.at(op.label ?? op.type);
    const [least, most] = op.arity;
    if (inputs.length < least || inputs.length > most) {
      throw new TuttiError(
        "INTERNAL",
        `${at}: ${inputs.length} inputs, expected ${least === most ? least : `${least}…${most}`}`,
      );
    }
    for (const input of inputs) {
      if (input !== null && input.graph !== this) {
        throw new TuttiError(
          "BAD_RUN_FILE",
          `${at}: a tensor of another trace was used; build every tensor inside the step function`,
        );
      }
    }
    const { types, attributes: full } = this.#infer(op, inputs, attributes, at);
    const outputs: number[] = [];
    const node: Node = {
      op,
      inputs: inputs.map((input) => (input === null ? null : input.id)),
      outputs,
      attributes: full,
      scope: this.scope,
    };
    for (const [output, type] of types.entries())
      outputs.push(this.append({ type, source: { kind: "node", node, output } }));
    this.#nodes.push(node);
    return outputs.map((id) => this.tensor(id));
  }

  /** The types of an operator's outputs, and its attributes: with `perShard` where only that lets it mix samples. */
  #infer(
    op: Op,
    inputs: readonly (Tensor | null)[],
    attributes: Attributes,
    at: string,
  ): { readonly types: readonly TensorType[]; readonly attributes: Attributes } {
    const known = inputs.map((input) => input && { dtype: input.dtype, shape: input.shape });
    const { perShard, ...own } = attributes;
    try {
      return { types: op.infer(known, own, at), attributes: own };
    } catch (error) {
      const isAllowed = this.#isPerShard || perShard === true; // the latter in copies
      if (!isAllowed || !isTuttiError(error) || error.code !== "MIXES_SAMPLES") throw error;
      return { types: inferAcrossSamples(op, known, own, at, error), attributes: { ...own, perShard: true } };
    }
  }

  /** The shape that the first output of an operator would have; throws what `apply` throws. */
  shapeOf(op: Op, inputs: readonly Tensor[], attributes: Attributes): Shape {
    return this.#infer(op, inputs, attributes, this.at(op.label ?? op.type)).types[0]!.shape;
  }

  /** Runs `build` with `name` appended to the scope that nodes and messages carry. */
  withScope<T>(name: string, build: () => T): T {
    const outer = this.#scope;
    this.#scope = name === "" ? outer : [...outer, name];
    try {
      return build();
    } finally {
      this.#scope = outer;
    }
  }

  /**
   * Runs `build`, in which the samples of a shard may be mixed: reductions, products, comparisons of all with all. What
   * comes out then depends on how a batch is cut into shards. A node that does mix samples carries the attribute
   * `perShard`, which ONNX does not know.
   */
  withPerShard<T>(build: () => T): T {
    const outer = this.#isPerShard;
    this.#isPerShard = true;
    try {
      return build();
    } finally {
      this.#isPerShard = outer;
    }
  }

  /** "matmul at model.fc2", the prefix of messages. */
  at(opType: string): string {
    const scope = this.scope;
    return scope === "" ? opType : `${opType} at ${scope}`;
  }

  /** Adds a value as it is; inputs and nodes have methods of their own. Returns its id. */
  append(value: Value): number {
    this.#values.push(value);
    return this.#values.length - 1;
  }
}

function fits(value: number, dtype: DType): boolean {
  return (
    Number.isSafeInteger(value) &&
    Number(scalarValues(value, dtype)[0]) === value &&
    (dtype !== "bool" || value === 0 || value === 1)
  );
}

function scalarValues(value: number, dtype: DType): TypedValues {
  switch (dtype) {
    case "float32":
      return Float32Array.of(value);
    case "float64":
      return Float64Array.of(value);
    case "int8":
      return Int8Array.of(value);
    case "uint8":
    case "bool":
      return Uint8Array.of(value);
    case "int16":
      return Int16Array.of(value);
    case "uint16":
      return Uint16Array.of(value);
    case "int32":
      return Int32Array.of(value);
    case "int64":
      return BigInt64Array.of(BigInt(value));
  }
}

/** A copy of a graph and where each of its values went (by the id in the old graph). */
export interface GraphCopy {
  readonly graph: Graph;
  readonly map: readonly Tensor[];
}

/**
 * The same graph with N known: every shape rule runs again, so that what fits only some N is found here.
 * Throws SHAPE_MISMATCH.
 */
export function specialize(traced: Graph, samples: number): GraphCopy {
  const graph = new Graph();
  const map: Tensor[] = [];
  for (const [id, value] of traced.values.entries()) {
    if (value.source.kind === "input") {
      const shape = value.type.shape.map((dim) => resolveDim(dim, samples));
      map[id] = graph.input(value.source.role, value.source.name, { dtype: value.type.dtype, shape });
    } else if (value.source.kind === "constant") {
      map[id] = graph.constant(value.source.values, staticShape(value.type.shape), value.type.dtype);
    } else if (value.source.output === 0) {
      const { op, inputs, attributes, scope, outputs } = value.source.node;
      const made = graph.withScope(scope, () =>
        graph.apply(
          op,
          inputs.map((input) => (input === null ? null : map[input]!)),
          resolveAttributes(attributes, samples),
        ),
      );
      for (const [i, output] of outputs.entries()) map[output] = made[i]!;
    }
  }
  return { graph, map };
}
