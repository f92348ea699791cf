import { TuttiError } from "../errors/index.ts";
import type { Graph, Shape, ShardStatistics, Tensor, TraceContext } from "../graph/index.ts";
import { describeInit } from "./init.ts";
import { type BufferSpec, isModule, type ModuleDescription, type ParameterSpec } from "./module.ts";

/** What a run trains: one module, or several under names. */
export type Model = ModuleDescription | Readonly<Record<string, ModuleDescription>>;

export interface NamedParameter {
  /** "encoder.fc1.weight" */
  readonly path: string;
  readonly spec: ParameterSpec;
}

export interface NamedBuffer {
  /** "bn1.running_mean" */
  readonly path: string;
  readonly spec: BufferSpec;
}

/** Every module of a model by path: own parameters before those of children, in order of declaration, as in PyTorch. */
export interface ModuleTree {
  /** Each parameter once, a tied one under its first path. */
  readonly parameters: readonly NamedParameter[];
  readonly buffers: readonly NamedBuffer[];
  /** First path of a module, "" for an unnamed root; undefined if the model does not hold it. */
  pathOf(module: object): string | undefined;
  pathOfParameter(spec: ParameterSpec): string | undefined;
}

/** Names everything in a model. Throws BAD_OPTION if it is neither a module nor a record of modules. */
export function moduleTree(model: Model): ModuleTree {
  const modules = new Map<object, string>();
  const specs = new Map<ParameterSpec, string>();
  const buffers: NamedBuffer[] = [];
  const visit = (module: ModuleDescription, path: string): void => {
    if (modules.has(module)) return;
    modules.set(module, path);
    const prefix = path === "" ? "" : `${path}.`;
    for (const [name, spec] of Object.entries(module.parameters)) {
      if (!specs.has(spec)) specs.set(spec, prefix + name);
    }
    for (const [name, spec] of Object.entries(module.buffers)) buffers.push({ path: prefix + name, spec });
    for (const [name, child] of Object.entries(module.children)) visit(child, prefix + name);
  };
  for (const [name, module] of Object.entries(rootsOf(model))) visit(module, name);
  return {
    parameters: [...specs].map(([spec, path]) => ({ path, spec })),
    buffers,
    pathOf: (module) => modules.get(module),
    pathOfParameter: (spec) => specs.get(spec),
  };
}

/** The modules of a model by their first name, "" for a single one. */
export function rootsOf(model: Model): Readonly<Record<string, ModuleDescription>> {
  if (isModule(model)) return { "": model };
  const entries = typeof model === "object" && model !== null ? Object.entries(model) : [];
  const wrong = entries.find(([name, module]) => !isModule(module) || !/^[\w-]+$/.test(name));
  if (entries.length === 0 || wrong !== undefined) {
    const found = wrong === undefined ? "" : `; "${wrong[0]}" is none`;
    throw new TuttiError("BAD_OPTION", `model: expected a module or a record of named modules${found}`);
  }
  return Object.fromEntries(entries);
}

/** What modules asked for while a step function was traced. */
export interface TraceRecord {
  /** In the order of the calls; a module that was called twice is in it twice. */
  readonly statistics: readonly (ShardStatistics & { readonly module: string })[];
  readonly randoms: readonly { readonly name: string; readonly keep: number }[];
}

/** Resolves modules, parameters and buffers of a model while one step function is traced, and keeps a record. */
export function traceContext(tree: ModuleTree, training: boolean): { context: TraceContext; record: TraceRecord } {
  const record = {
    statistics: [] as TraceRecord["statistics"][number][],
    randoms: [] as TraceRecord["randoms"][number][],
  };
  const pathOf = (owner: object): string => {
    const path = tree.pathOf(owner);
    if (path === undefined) {
      const kind = isModule(owner) ? `nn.${owner.kind}` : "a module";
      throw new TuttiError(
        "BAD_RUN_FILE",
        `${kind} is called in the step function but is not part of \`model\`; add it there`,
      );
    }
    return path;
  };
  const missing = (path: string, what: string): TuttiError =>
    new TuttiError("BAD_RUN_FILE", `${path === "" ? "model" : path} has no ${what}`);
  const context: TraceContext = {
    training,
    pathOf,
    parameter(graph: Graph, owner: object, name: string): Tensor {
      const path = pathOf(owner);
      const spec = isModule(owner) ? owner.parameters[name] : undefined;
      const parameterPath = spec && tree.pathOfParameter(spec);
      if (spec === undefined || parameterPath === undefined) throw missing(path, `parameter "${name}"`);
      return graph.input("parameter", parameterPath, { dtype: "float32", shape: spec.shape });
    },
    buffer(graph: Graph, owner: object, name: string): Tensor {
      const path = pathOf(owner);
      const spec = isModule(owner) ? owner.buffers[name] : undefined;
      if (spec === undefined) throw missing(path, `buffer "${name}"`);
      return graph.input("buffer", path === "" ? name : `${path}.${name}`, { dtype: "float32", shape: spec.shape });
    },
    bernoulli(graph: Graph, shape: Shape, keep: number): Tensor {
      const name = `random:${record.randoms.length}`;
      record.randoms.push({ name, keep });
      return graph.input("random", name, { dtype: "float32", shape });
    },
    trackStatistics(owner: object, statistics: ShardStatistics): void {
      record.statistics.push({ ...statistics, module: pathOf(owner) });
    },
  };
  return { context, record };
}

export interface PlainModule {
  readonly kind: string;
  readonly options: ModuleDescription["options"];
  readonly parameters: Readonly<Record<string, PlainSpec>>;
  readonly buffers: Readonly<Record<string, PlainSpec>>;
  readonly children: Readonly<Record<string, PlainModule>>;
}

/** A parameter or buffer; given values by their digest. */
export interface PlainSpec {
  readonly shape: readonly number[];
  readonly init: ReturnType<typeof describeInit>;
  readonly trainable?: boolean;
}

/** A module as plain JSON data. */
export function describeModule(module: ModuleDescription): PlainModule {
  const { kind, options, parameters, buffers, children } = module;
  const plainChildren = Object.fromEntries(
    Object.entries(children).map(([name, child]) => [name, describeModule(child)]),
  );
  return {
    kind,
    options,
    parameters: describeSpecs(parameters),
    buffers: describeSpecs(buffers),
    children: plainChildren,
  };
}

function describeSpecs(
  specs: Readonly<Record<string, ParameterSpec | BufferSpec>>,
): Readonly<Record<string, PlainSpec>> {
  return Object.fromEntries(
    Object.entries(specs).map(([name, spec]) => [name, { ...spec, init: describeInit(spec.init) }]),
  );
}
