import { TuttiError } from "../errors/index.ts";
import { type Graph, type OnnxTensor, type OnnxValueInfo, shapeToString, Tensor } from "../graph/index.ts";
import { nameOf } from "./errors.ts";
import { Known } from "./known.ts";
import type { ModelGraph } from "./model-graph.ts";
import { NodeView, type Value, type Values } from "./node-view.ts";
import { importNode } from "./rules.ts";
import type { ImportContext } from "./shape-rules.ts";

/** What a model needs to be appended to a trace. */
export interface TraceOptions extends ImportContext {
  /** The tensor of an initializer that is a parameter; undefined for a constant. */
  parameter(name: string): Tensor | undefined;
}

/**
 * Appends the model to the graph of `inputs` and returns its outputs by name. Nodes carry the model's node names as scope.
 * Throws what a rule throws.
 */
export function traceModel(
  graph: Graph,
  model: ModelGraph,
  inputs: Readonly<Record<string, Tensor>>,
  options: TraceOptions,
): Readonly<Record<string, Tensor>> {
  const values = new TraceValues(graph, model, options);
  for (const info of model.inputs) {
    const tensor = inputs[info.name];
    if (tensor === undefined) throw new TuttiError("BAD_RUN_FILE", `the model's input "${info.name}" is missing`);
    expectType(info, tensor);
    values.set(info.name, tensor);
  }
  for (const node of model.nodes) {
    const made = graph.withScope(node.name, () => importNode(new NodeView(node, values), options));
    for (const [i, name] of node.outputs.entries()) {
      const value = made[i];
      if (name === "") continue;
      if (value === undefined)
        values.setMissing(name, `output ${i} of ${nameOf(node)} is not imported; cut the model before it is used`);
      else values.set(name, value);
    }
  }
  return Object.fromEntries(
    model.outputs.map((name) => {
      const value = values.get(name);
      return [name, value instanceof Tensor ? value : value.toTensor(graph, `output "${name}"`)];
    }),
  );
}

class TraceValues implements Values {
  readonly graph: Graph;
  readonly #initializers: ReadonlyMap<string, OnnxTensor>;
  readonly #options: TraceOptions;
  readonly #values = new Map<string, Value>();
  readonly #missing = new Map<string, string>();

  constructor(graph: Graph, model: ModelGraph, options: TraceOptions) {
    this.graph = graph;
    this.#initializers = model.initializers;
    this.#options = options;
  }

  set(name: string, value: Value): void {
    this.#values.set(name, value);
  }

  setMissing(name: string, why: string): void {
    this.#missing.set(name, why);
  }

  get(name: string): Value {
    const known = this.#values.get(name);
    if (known !== undefined) return known;
    const tensor = this.#initializers.get(name);
    if (tensor === undefined) {
      throw new TuttiError("ONNX_UNSUPPORTED", this.#missing.get(name) ?? `nothing makes "${name}"`);
    }
    const value = this.#options.parameter(name) ?? Known.fromTensor(tensor);
    this.#values.set(name, value);
    return value;
  }

  constant(name: string): Known | undefined {
    const tensor = this.#initializers.get(name);
    if (tensor !== undefined) return Known.fromTensor(tensor);
    const value = this.get(name);
    return value instanceof Known ? value : undefined;
  }
}

function expectType({ name, dtype, shape }: OnnxValueInfo, found: Tensor): void {
  const wrong = (what: string): TuttiError =>
    new TuttiError(
      "SHAPE_MISMATCH",
      `the model's input "${name}" is ${dtype}[${(shape ?? ["…"]).map((dim) => dim ?? "?").join(",")}], found ${found.dtype}${shapeToString(found.shape)}: ${what}`,
    );
  if (found.dtype !== dtype) throw wrong(`add .cast("${dtype}")`);
  if (shape === null) return;
  if (shape.length !== found.rank) throw wrong(`expected rank ${shape.length}; use .reshape or .unsqueeze`);
  for (const [axis, dim] of shape.entries()) {
    const own = found.shape[axis]!;
    // A batch axis may stand for whatever batch size the file was exported with.
    if (typeof dim === "number" && dim > 0 && typeof own === "number" && own !== dim)
      throw wrong(`axis ${axis} differs`);
  }
}
