import { TuttiError } from "../errors/index.ts";
import { canonicalModel } from "./onnx-proto.ts";
import { operatorKey, operators } from "./ops/index.ts";
import { type OnnxModel, readOnnx } from "./read-onnx.ts";

export interface GraphLimits {
  readonly maxBytes: number;
  readonly maxNodes: number;
}

const domains: readonly string[] = ["", "com.microsoft"];

/**
 * What stands between a graph from the network and the engine: size, domains and operators are those of the operator
 * table, every value is made before it is used and only once, all data is inside, and nothing is there that was not read. Returns the decoded model.
 * Throws GRAPH_INVALID.
 */
export function checkGraph(bytes: Uint8Array, limits: GraphLimits): OnnxModel {
  if (bytes.length > limits.maxBytes)
    throw invalid(`the graph has ${bytes.length} bytes, allowed are ${limits.maxBytes}`);
  const model = readOnnx(bytes);
  if (model.nodes.length > limits.maxNodes)
    throw invalid(`the graph has ${model.nodes.length} nodes, allowed are ${limits.maxNodes}`);
  for (const domain of model.opsets.keys()) {
    if (!domains.includes(domain))
      throw invalid(`the graph uses the operator domain "${domain}", allowed are ai.onnx and com.microsoft`);
  }
  const made = new Set<string>();
  const make = (name: string, what: string): void => {
    if (name === "" || made.has(name)) throw invalid(`the graph makes ${what} "${name}" twice, or without a name`);
    made.add(name);
  };
  for (const { name } of model.inputs) make(name, "input");
  // Before IR version 4 an initializer was listed among the inputs too; ours never are.
  for (const { name } of model.initializers) make(name, "initializer");
  for (const node of model.nodes) {
    if (!operators.has(operatorKey(node.domain, node.type))) {
      throw invalid(
        `the graph uses the operator ${node.domain === "" ? "" : `${node.domain}.`}${node.type}, which is not in the operator table`,
      );
    }
    for (const input of node.inputs) {
      if (input !== "" && !made.has(input))
        throw invalid(`${node.type} ${node.name} uses "${input}", which nothing before it makes`);
    }
    for (const output of node.outputs) if (output !== "") make(output, "value");
  }
  for (const { name } of model.outputs) {
    if (!made.has(name)) throw invalid(`nothing makes the output "${name}"`);
  }
  if (Buffer.compare(canonicalModel(bytes), bytes) !== 0) {
    throw invalid(
      "the graph is not encoded as Tutti does: it may hold fields that the engine knows and this check does not",
    );
  }
  return model;
}

function invalid(why: string): TuttiError {
  return new TuttiError("GRAPH_INVALID", why);
}
