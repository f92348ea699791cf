import { TuttiError } from "../errors/index.ts";
import type { OnnxModel as OnnxFile, OnnxNode, OnnxTensor, OnnxValueInfo } from "../graph/index.ts";
import { nameOf, unsupported } from "./errors.ts";
import { rewriteMl } from "./ml-operators.ts";
import { isImportable } from "./rules.ts";
import { newestOpset, upgradeNodes } from "./upgrade.ts";

/** A model as it is imported: in version 23 of ai.onnx, every name made once, before it is used. */
export interface ModelGraph {
  readonly nodes: readonly OnnxNode[];
  readonly initializers: ReadonlyMap<string, OnnxTensor>;
  /** What is fed; an initializer is not. */
  readonly inputs: readonly OnnxValueInfo[];
  readonly outputs: readonly string[];
}

/**
 * Upgrades a decoded file, rewrites the operators of ai.onnx.ml that have a standard form, and checks its order.
 * Throws GRAPH_INVALID, ONNX_UNSUPPORTED (versions; operators are looked at where they are used).
 */
export function modelGraph(file: OnnxFile): ModelGraph {
  const initializers = new Map(file.initializers.map((tensor) => [tensor.name, tensor]));
  if (initializers.size !== file.initializers.length) throw invalid("two initializers have the same name");
  const inputs = file.inputs.filter(({ name }) => !initializers.has(name));
  const taken = [
    ...initializers.keys(),
    ...inputs.map(({ name }) => name),
    ...file.nodes.flatMap((node) => node.outputs),
  ];
  const opset = file.opsets.get("") ?? newestOpset; // a file of ai.onnx.ml alone names no other
  const upgraded = upgradeNodes(file.nodes, opset, taken);
  const {
    nodes,
    outputs,
    initializers: coefficients,
  } = rewriteMl(
    upgraded,
    file.outputs.map(({ name }) => name),
    file.otherOutputs,
  );
  for (const tensor of coefficients) initializers.set(tensor.name, tensor);
  const graph = { nodes, initializers, inputs, outputs };
  checkOrder(graph);
  return graph;
}

function checkOrder({ nodes, initializers, inputs, outputs }: ModelGraph): void {
  const made = new Set([...initializers.keys(), ...inputs.map(({ name }) => name)]);
  for (const node of nodes) {
    for (const input of node.inputs) {
      if (input !== "" && !made.has(input))
        throw invalid(`${nameOf(node)} uses "${input}", which nothing before it makes`);
    }
    for (const output of node.outputs) {
      if (output === "") continue;
      if (made.has(output)) throw invalid(`"${output}" is made twice, again by ${nameOf(node)}`);
      made.add(output);
    }
  }
  const missing = outputs.find((output) => !made.has(output));
  if (missing !== undefined) throw invalid(`nothing makes the output "${missing}"`);
}

/** The part of a model that `outputs` depend on. Throws ONNX_UNSUPPORTED for an operator in it that cannot be imported. */
export function pruned(graph: ModelGraph, outputs: readonly string[]): ModelGraph {
  const needed = new Set(outputs);
  const nodes: OnnxNode[] = [];
  for (const node of [...graph.nodes].reverse()) {
    if (!node.outputs.some((output) => needed.has(output))) continue;
    nodes.push(node);
    for (const input of node.inputs) needed.add(input);
  }
  for (const node of nodes) {
    if (isImportable(node.domain, node.type)) continue;
    throw unsupported(
      node,
      "is an operator that Tutti does not have",
      "export the model without it, or cut the model before it: onnx.load(path, { outputs: [...] }) with the name of an earlier tensor",
    );
  }
  return {
    nodes: nodes.reverse(),
    initializers: new Map([...graph.initializers].filter(([name]) => needed.has(name))),
    inputs: graph.inputs.filter(({ name }) => needed.has(name)),
    outputs,
  };
}

/** The tensor that a name stands for as a place to cut: itself, or the data input of the node of that name. */
export function cutAt(graph: ModelGraph, name: string): string {
  if (tensorNames(graph).has(name)) return name;
  const node = graph.nodes.find((candidate) => candidate.name === name);
  const data = node?.inputs.find((input) => input !== "" && !graph.initializers.has(input));
  if (data !== undefined) return data;
  const named = graph.nodes.flatMap((candidate) => (candidate.name === "" ? [] : [candidate.name]));
  throw new TuttiError(
    "BAD_OPTION",
    `the model has no tensor or node "${name}"; nodes: ${shortList(named)}; outputs: ${shortList(graph.outputs)}`,
  );
}

export function tensorNames(graph: ModelGraph): ReadonlySet<string> {
  return new Set([...graph.inputs.map(({ name }) => name), ...graph.nodes.flatMap((node) => node.outputs)]);
}

/** The last names are those that are cut. */
function shortList(names: readonly string[]): string {
  return `${names.length > 12 ? "…, " : ""}${names.slice(-12).join(", ")}`;
}

function invalid(why: string): TuttiError {
  return new TuttiError("GRAPH_INVALID", why);
}
