import { TuttiError } from "../errors/index.ts";
import {
  type DType,
  dtypeOfCode,
  type Graph,
  type OnnxAttribute,
  type OnnxNode,
  type OnnxTensor,
  type Tensor,
} from "../graph/index.ts";
import { nameOf, unsupported } from "./errors.ts";
import { Known } from "./known.ts";

/** A value of a model while it is being traced. */
export type Value = Tensor | Known;

/** Where a node's inputs come from. */
export interface Values {
  readonly graph: Graph;
  /** Throws GRAPH_INVALID for a name that nothing makes. */
  get(name: string): Value;
  /** Its value if it is a constant or a parameter, whose initial value then counts; undefined if it depends on data. */
  constant(name: string): Known | undefined;
}

/** One node of a model as the import rules see it. */
export class NodeView {
  readonly node: OnnxNode;
  readonly values: Values;

  constructor(node: OnnxNode, values: Values) {
    this.node = node;
    this.values = values;
  }

  get type(): string {
    return this.node.type;
  }

  get domain(): string {
    return this.node.domain;
  }

  get graph(): Graph {
    return this.values.graph;
  }

  /** The prefix of messages: 'Reshape "/view"'. */
  get at(): string {
    return nameOf(this.node);
  }

  get inputCount(): number {
    return this.node.inputs.length;
  }

  get outputCount(): number {
    return this.node.outputs.length;
  }

  has(index: number): boolean {
    return (this.node.inputs[index] ?? "") !== "";
  }

  /** An input as it is. Throws GRAPH_INVALID when it is left out. */
  value(index: number): Value {
    if (!this.has(index)) throw new TuttiError("GRAPH_INVALID", `${this.at}: input ${index} is missing`);
    return this.values.get(this.node.inputs[index]!);
  }

  /** An input as a tensor; a constant becomes one. */
  tensor(index: number): Tensor {
    return this.asTensor(this.value(index));
  }

  asTensor(value: Value): Tensor {
    return value instanceof Known ? value.toTensor(this.graph, this.at) : value;
  }

  optionalTensor(index: number): Tensor | null {
    return this.has(index) ? this.tensor(index) : null;
  }

  /** An input that is a constant but no parameter. */
  constantOnly(index: number): Known | undefined {
    const value = this.value(index);
    return value instanceof Known ? value : undefined;
  }

  /** An input that must be known while the model is traced. Throws GRAPH_INVALID saying what can be done. */
  known(index: number, what: string): Known {
    this.value(index);
    const name = this.node.inputs[index]!;
    const known = this.values.constant(name);
    if (known !== undefined) return known;
    throw new TuttiError(
      "GRAPH_INVALID",
      `${this.at}: its ${what} "${name}" is computed from data; sizes must follow from shapes. If it is an input of the model, give it a fixed value: inputs: { "${name}": { value: [...] } }`,
      { node: this.node.name, operator: this.type, needsConstant: name },
    );
  }

  /** The numbers of such an input; undefined when it is left out. */
  knownNumbers(index: number, what: string): readonly number[] | undefined {
    return this.has(index) ? this.known(index, what).numbers(this.at) : undefined;
  }

  attribute(name: string): OnnxAttribute | undefined {
    return this.node.attributes[name];
  }

  number(name: string, fallback: number): number {
    const value = this.attribute(name) ?? fallback;
    if (typeof value !== "number") throw this.#wrong(name, "a number");
    return value;
  }

  ints(name: string): readonly number[] | undefined {
    const value = this.attribute(name);
    if (value === undefined) return undefined;
    const list = typeof value === "object" && !isTensor(value) ? [...value] : [value];
    const numbers = list.filter((item) => typeof item === "number");
    if (numbers.length !== list.length) throw this.#wrong(name, "numbers");
    return numbers;
  }

  text(name: string, fallback: string): string {
    const value = this.attribute(name) ?? fallback;
    if (typeof value !== "string") throw this.#wrong(name, "a text");
    return value;
  }

  /** A dtype attribute. Throws ONNX_UNSUPPORTED for one that Tutti lacks. */
  dtype(name: string, fallback?: DType): DType {
    const code = this.attribute(name);
    if (code === undefined && fallback !== undefined) return fallback;
    const dtype = typeof code === "number" ? dtypeOfCode(code) : undefined;
    if (dtype === undefined) {
      const half = code === 10 || code === 16;
      throw unsupported(
        this.node,
        `uses dtype number ${String(code)}${half ? " (a half float)" : ""}`,
        half ? "convert the model to float32 before" : "export the model without it",
      );
    }
    return dtype;
  }

  tensorAttribute(name: string): OnnxTensor | undefined {
    const value = this.attribute(name);
    if (value === undefined) return undefined;
    if (!isTensor(value)) throw this.#wrong(name, "a tensor");
    return value;
  }

  #wrong(name: string, expected: string): TuttiError {
    return new TuttiError("GRAPH_INVALID", `${this.at}: attribute ${name}: expected ${expected}`);
  }
}

export function isTensor(value: OnnxAttribute): value is OnnxTensor {
  return typeof value === "object" && "dtype" in value;
}
