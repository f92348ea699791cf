import { TuttiError } from "../errors/index.ts";
import { type OnnxNode, operatorKey, operators } from "../graph/index.ts";
import { type Module, type ModuleDescription, module, type ParameterSpec } from "../nn/module.ts";
import type { ModelGraph } from "./model-graph.ts";
import { namePattern } from "./name-pattern.ts";
import { isConstantInput } from "./node-table.ts";
import { parameterPaths } from "./parameter-names.ts";

export interface ParameterOptions {
  readonly freeze?: readonly (string | RegExp)[];
  readonly train?: readonly (string | RegExp)[];
}

/** A parameter of an imported model. */
export interface ImportedParameter {
  readonly path: string;
  readonly spec: ParameterSpec;
}

/**
 * Which initializers are parameters, by their name in the file: float32, of rank 1 or more (a single number is a constant
 * such as an epsilon), and used as a tensor, not as a bound or size. They train unless `freeze` names them or no gradient
 * reaches them (a mask that is compared); running statistics of BatchNormalization are frozen. `train` names rank-0 ones that are to be parameters nevertheless.
 *
 * Throws BAD_OPTION for a pattern that fits nothing.
 */
export function findParameters(
  graph: ModelGraph,
  { freeze = [], train = [] }: ParameterOptions,
): ReadonlyMap<string, ImportedParameter> {
  const uses = usesOf(graph.nodes);
  const candidates = [...graph.initializers.values()].filter(
    ({ name, dtype }) => dtype === "float32" && uses.get(name)?.asTensor === true,
  );
  const paths = parameterPaths(
    candidates.map(({ name }) => name),
    graph.nodes,
  );
  const isTrained = namePattern("train", train, [...paths.values()]);
  const isFrozen = namePattern("freeze", freeze, [...paths.values()]);
  const trained = differentiable(graph);
  const found = new Map<string, ImportedParameter>();
  for (const { name, shape, values } of candidates) {
    const path = paths.get(name)!;
    if ((shape.length === 0 && !isTrained(path)) || !(values instanceof Float32Array)) continue;
    const trainable =
      !isFrozen(path) && trained.has(name) && (uses.get(name)?.asStatistics !== true || isTrained(path));
    found.set(name, { path, spec: { shape, init: { kind: "values", data: values }, trainable } });
  }
  return found;
}

/** Values from which a gradient path leads to an output: a mask that is only compared has none. */
function differentiable(graph: ModelGraph): ReadonlySet<string> {
  const found = new Set(graph.outputs);
  for (const node of [...graph.nodes].reverse()) {
    if (!node.outputs.some((output) => found.has(output)) || stopsGradient(node)) continue;
    for (const input of node.inputs) found.add(input);
  }
  return found;
}

const floatCodes: readonly unknown[] = [1, 11];

function stopsGradient(node: OnnxNode): boolean {
  if (node.type === "Cast") return !floatCodes.includes(node.attributes.to);
  return operators.get(operatorKey(node.domain, node.type))?.gradient === "zero";
}

interface Use {
  asTensor: boolean;
  asStatistics: boolean;
}

/** Inputs of operators with import rules of their own that must be known. */
const constantInputs: Readonly<Record<string, readonly number[]>> = {
  Clip: [1, 2],
  ConstantOfShape: [0],
  Dropout: [1, 2],
  Expand: [1],
  OneHot: [1, 2],
  Pad: [1, 2, 3],
  Range: [0, 1, 2],
  Reshape: [1],
  Resize: [1, 2, 3],
  Slice: [1, 2, 3, 4],
  Split: [1],
  Squeeze: [1],
  Tile: [1],
  Unsqueeze: [1],
};

function usesOf(nodes: readonly OnnxNode[]): ReadonlyMap<string, Use> {
  const uses = new Map<string, Use>();
  for (const node of nodes) {
    const op = operators.get(operatorKey(node.domain, node.type));
    for (const [index, name] of node.inputs.entries()) {
      const isConstant =
        constantInputs[node.type]?.includes(index) === true ||
        (node.type.startsWith("Reduce") && index === 1) ||
        (op !== undefined && isConstantInput(op, index));
      const use = uses.get(name) ?? { asTensor: false, asStatistics: false };
      if (!isConstant) use.asTensor = true;
      if (node.type === "BatchNormalization" && index >= 3) use.asStatistics = true;
      uses.set(name, use);
    }
  }
  return uses;
}

/** Modules that stand for the groups in the parameters' names, and which of them owns each parameter. */
export interface ParameterTree {
  readonly parameters: Readonly<Record<string, ParameterSpec>>;
  readonly children: Readonly<Record<string, ModuleDescription>>;
  /** By the name in the file: the owning module (null: the model itself) and the name there. */
  readonly owners: ReadonlyMap<string, { readonly owner: ModuleDescription | null; readonly name: string }>;
}

interface Group {
  readonly parameters: Map<string, { readonly source: string; readonly spec: ParameterSpec }>;
  readonly groups: Map<string, Group>;
}

export function parameterTree(parameters: ReadonlyMap<string, ImportedParameter>): ParameterTree {
  const root: Group = { parameters: new Map(), groups: new Map() };
  for (const [source, { path, spec }] of parameters) {
    const parts = path.split(".");
    let group = root;
    for (const part of parts.slice(0, -1)) {
      const next = group.groups.get(part) ?? { parameters: new Map(), groups: new Map() };
      group.groups.set(part, next);
      group = next;
    }
    group.parameters.set(parts.at(-1)!, { source, spec });
  }
  const owners = new Map<string, { owner: ModuleDescription | null; name: string }>();
  const specs = (group: Group): Record<string, ParameterSpec> =>
    Object.fromEntries([...group.parameters].map(([name, { spec }]) => [name, spec]));
  const own = (group: Group, owner: ModuleDescription | null): void => {
    for (const [name, { source }] of group.parameters) owners.set(source, { owner, name });
  };
  const build = (group: Group): ModuleDescription => {
    const made: Module<readonly []> = module({
      kind: "onnx.part",
      parameters: specs(group),
      children: childrenOf(group),
      forward: () => {
        throw new TuttiError(
          "BAD_RUN_FILE",
          "a part of an imported model cannot be called; call the model, or cut it with tensor(name)",
        );
      },
    });
    own(group, made);
    return made;
  };
  const childrenOf = (group: Group): Record<string, ModuleDescription> =>
    Object.fromEntries([...group.groups].map(([name, child]) => [name, build(child)]));
  const children = childrenOf(root);
  own(root, null);
  return { parameters: specs(root), children, owners };
}
