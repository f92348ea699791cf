import { TuttiError } from "../errors/index.ts";
import { externalReader, readNamedFile } from "../files/named-file.ts";
import { type Graph, type OnnxTensor, type OnnxValueInfo, readOnnx, type Tensor } from "../graph/index.ts";
import { type Module, module } from "../nn/module.ts";
import { typed } from "./known.ts";
import { cutAt, type ModelGraph, modelGraph, pruned } from "./model-graph.ts";
import { findParameters, type ImportedParameter, parameterTree } from "./parameters.ts";
import { traceModel } from "./trace-model.ts";

export interface LoadOptions {
  /** Names of parameters that are not to be trained: "layer1.*", or regular expressions. */
  readonly freeze?: readonly (string | RegExp)[];
  /** Names of parameters to train that would not be: initializers of a single number, running statistics. */
  readonly train?: readonly (string | RegExp)[];
  /** Fixed values for inputs of the model, which then are no inputs any more. */
  readonly inputs?: Readonly<
    Record<string, { readonly value: number | readonly number[]; readonly shape?: readonly number[] }>
  >;
  /** What the model gives: any of its tensors, by name; its own outputs by default. */
  readonly outputs?: readonly string[];
  /** Lets Dropout drop in training; by default it passes its input on. */
  readonly dropout?: boolean;
  /** Refuses larger files (external data counted separately); 2 GiB by default. */
  readonly maxBytes?: number;
}

/** One tensor for a model with one input; several by the model's names. */
export type ModelInput = Tensor | Readonly<Record<string, Tensor>>;

/** An imported model: a module, the values of the file its initial ones. */
export interface ImportedModel<Result = Tensor> extends Module<readonly [input: ModelInput], Result> {
  /** What it is called with. */
  readonly inputs: readonly OnnxValueInfo[];
  readonly outputs: readonly string[];
  /** The model up to one of its tensors (or the data input of the node of that name), its only output. Throws BAD_OPTION. */
  tensor(name: string): ImportedModel;
  /** The model up to several tensors, which it returns by name. Throws BAD_OPTION. */
  tensors(names: readonly string[]): ImportedModel<Readonly<Record<string, Tensor>>>;
  /**
   * The model up to a tensor, or up to the node of that name, and `head` applied to it: the named node and what follows
   * is gone. The new parameters are under "head". Throws BAD_OPTION.
   */
  replaceHead(name: string, head: Module): ImportedModel;
}

const defaultMaxBytes = 2 ** 31;

/**
 * Imports an ONNX model (ai.onnx 9 … 23, and what scikit-learn's exports use of ai.onnx.ml) as a module. Float32
 * initializers become parameters, with paths like their names in the file.
 *
 * Sizes that the model computes from its inputs' shapes are computed while the step function is traced; those that count
 * samples stay k·N. A file that was exported with a fixed batch size works with any.
 *
 * @param source a path (relative ones start from the calling file's folder), a file URL, or the file's bytes.
 * @throws TuttiError DATA_MISSING, DATA_INVALID (file), GRAPH_INVALID (no model; data outside of its folder; control flow),
 *   ONNX_UNSUPPORTED (version, operator, dtype), BAD_OPTION.
 */
export function load(source: string | URL | Uint8Array, options: LoadOptions = {}): ImportedModel {
  const maxBytes = options.maxBytes ?? defaultMaxBytes;
  if (source instanceof Uint8Array)
    return imported(withFixedInputs(modelGraph(readOnnx(source, { otherOutputs: true })), options), options);
  const { bytes, resolved } = readNamedFile(source, load, maxBytes);
  const file = readOnnx(bytes, { otherOutputs: true, external: externalReader(resolved, maxBytes) });
  return imported(withFixedInputs(modelGraph(file), options), options);
}

function withFixedInputs(graph: ModelGraph, { inputs = {} }: LoadOptions): ModelGraph {
  const initializers = new Map(graph.initializers);
  for (const [name, { value, shape }] of Object.entries(inputs)) {
    const info = graph.inputs.find((input) => input.name === name);
    if (info === undefined) {
      throw new TuttiError(
        "BAD_OPTION",
        `inputs: the model has no input "${name}"; it has ${graph.inputs.map((input) => input.name).join(", ")}`,
      );
    }
    const list = typeof value === "number" ? [value] : value;
    const dims = shape ?? (typeof value === "number" ? [] : [value.length]);
    if (dims.reduce((total, size) => total * size, 1) !== list.length) {
      throw new TuttiError("BAD_OPTION", `inputs.${name}: ${list.length} values for shape [${dims.join(",")}]`);
    }
    const tensor: OnnxTensor = { name, dtype: info.dtype, shape: dims, values: typed(info.dtype, list) };
    initializers.set(name, tensor);
  }
  return { ...graph, initializers, inputs: graph.inputs.filter(({ name }) => !(name in inputs)) };
}

function imported(whole: ModelGraph, options: LoadOptions): ImportedModel {
  const fixed = new Set(Object.keys(options.inputs ?? {}));
  const outputs = options.outputs?.map((name) => cutAt(whole, name)) ?? whole.outputs;
  if (outputs.length === 0)
    throw new TuttiError(
      "ONNX_UNSUPPORTED",
      "the model has no output that is a tensor; name one: onnx.load(path, { outputs: [...] })",
    );
  const used = pruned(whole, outputs);
  const found = findParameters(used, options);
  const parameters = new Map([...found].filter(([name]) => !fixed.has(name)));
  return importedModel({ whole, parameters, dropout: options.dropout ?? false }, { graph: used });
}

interface Source {
  readonly whole: ModelGraph;
  /** Of the whole model, shared by its parts: what two of them use is one parameter. */
  readonly parameters: ReadonlyMap<string, ImportedParameter>;
  readonly dropout: boolean;
}

interface Part {
  readonly graph: ModelGraph;
  /** Applied to the only output. */
  readonly head?: Module;
  /** Whether the outputs come as a record, even a single one. */
  readonly byName?: boolean;
}

function importedModel<Result>(source: Source, { graph, head, byName = false }: Part): ImportedModel<Result> {
  const used = new Map([...source.parameters].filter(([name]) => graph.initializers.has(name)));
  const tree = parameterTree(used);
  const headName = "head" in tree.children || "head" in tree.parameters ? "new_head" : "head";
  const cut = (names: readonly string[]): ModelGraph => {
    if (head !== undefined)
      throw new TuttiError("BAD_OPTION", "the model's head was replaced; cut it before: load(…).tensor(name)");
    return pruned(
      source.whole,
      names.map((name) => cutAt(source.whole, name)),
    );
  };
  const made = module({
    kind: "onnx",
    options: { outputs: graph.outputs.join(" "), dropout: source.dropout },
    parameters: tree.parameters,
    children: { ...tree.children, ...(head !== undefined && { [headName]: head }) },
    extras: {
      inputs: graph.inputs,
      outputs: graph.outputs,
      tensor: (name: string) => importedModel<Tensor>(source, { graph: cut([name]) }),
      tensors: (names: readonly string[]) =>
        importedModel<Readonly<Record<string, Tensor>>>(source, { graph: cut(names), byName: true }),
      replaceHead: (name: string, replacement: Module) =>
        importedModel<Tensor>(source, { graph: cut([name]), head: replacement }),
    },
    forward(self, input: ModelInput) {
      const inputs = inputsByName(graph, input);
      const trace = graphOf(graph, inputs);
      const results = traceModel(trace, graph, inputs, {
        fixedBatch: fixedBatchOf(graph),
        dropout: source.dropout,
        parameter(name) {
          const place = tree.owners.get(name);
          if (place === undefined) return undefined;
          return place.owner === null
            ? self.parameter(place.name)
            : trace.context?.parameter(trace, place.owner, place.name);
        },
      });
      if (byName) return results;
      const list = Object.values(results);
      if (list.length !== 1) {
        throw new TuttiError(
          "BAD_RUN_FILE",
          `the model has ${list.length} outputs; name what you need: model.tensor("${graph.outputs[0]}") for one, model.tensors([...]) for several of ${graph.outputs.join(", ")}`,
        );
      }
      return head === undefined ? list[0]! : head(list[0]!);
    },
  });
  // The extras are those of ImportedModel, and forward gives a record exactly where Result is one.
  return made as Module as ImportedModel<Result>;
}

function inputsByName(graph: ModelGraph, input: ModelInput): Readonly<Record<string, Tensor>> {
  const names = graph.inputs.map(({ name }) => name);
  if (isTensor(input)) {
    if (names.length === 1) return { [names[0]!]: input };
    throw new TuttiError("BAD_RUN_FILE", `the model has ${names.length} inputs; call it with { ${names.join(", ")} }`);
  }
  const unknown = Object.keys(input).find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new TuttiError("BAD_RUN_FILE", `the model has no input "${unknown}"; it has ${names.join(", ")}`);
  }
  return input;
}

function graphOf(model: ModelGraph, inputs: Readonly<Record<string, Tensor>>): Graph {
  const [first] = Object.values(inputs);
  if (first === undefined) {
    throw new TuttiError(
      "BAD_RUN_FILE",
      `the model is called without a tensor; its inputs are ${model.inputs.map(({ name }) => name).join(", ")}`,
    );
  }
  return first.graph;
}

/** By its form, so that tensors of another copy of this package are known too. */
function isTensor(input: ModelInput): input is Tensor {
  return "graph" in input && "dtype" in input && typeof input.dtype === "string";
}

/** The batch size that the file was exported with, where it is a number. */
function fixedBatchOf(graph: ModelGraph): number | undefined {
  const [first] = graph.inputs;
  const size = first?.shape?.[0];
  return typeof size === "number" && size > 0 ? size : undefined;
}
