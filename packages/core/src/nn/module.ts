import { TuttiError } from "../errors/index.ts";
import type { Graph, ShardStatistics, Tensor, TraceContext } from "../graph/index.ts";
import type { Init } from "./init.ts";

/**
 * What is declared of a parameter (float32). The same object in two modules ties them: one parameter, stored under the
 * first path. A parameter that is not trainable has no gradient and keeps its value.
 */
export interface ParameterSpec {
  readonly shape: readonly number[];
  readonly init: Init;
  readonly trainable: boolean;
}

/** What is declared of a buffer (float32): part of the model's state, but not trained. */
export interface BufferSpec {
  readonly shape: readonly number[];
  readonly init: Init;
}

export type ModuleOption = null | boolean | number | string | readonly number[];

/** A module as a tree of names, without the function that it is. */
export interface ModuleDescription {
  /** "linear", "relu", …: what it is, for the definition digest and messages. */
  readonly kind: string;
  readonly children: ModuleChildren;
  readonly parameters: ModuleParameters;
  readonly buffers: ModuleBuffers;
  /** The plain values it was made with. */
  readonly options: ModuleOptions;
}

export type ModuleChildren = Readonly<Record<string, ModuleDescription>>;
export type ModuleParameters = Readonly<Record<string, ParameterSpec>>;
export type ModuleBuffers = Readonly<Record<string, BufferSpec>>;
export type ModuleOptions = Readonly<Record<string, ModuleOption>>;

/**
 * A description of a computation with parameters; it holds no numbers. Calling it while a step function is traced
 * appends to that trace. Called twice, it uses the same parameters twice.
 */
export interface Module<
  Args extends readonly unknown[] = readonly [x: Tensor],
  Result = Tensor,
  Children extends ModuleChildren = ModuleChildren,
  Parameters extends ModuleParameters = ModuleParameters,
> extends ModuleDescription {
  (...args: Args): Result;
  readonly children: Children;
  readonly parameters: Parameters;
}

/** What `forward` sees of its own module. */
export interface ModuleSelf<Children, Parameters> {
  readonly children: Children;
  /** True in the trace for training, false in the one for evaluation and export. */
  readonly training: boolean;
  /** The parameter as a tensor of this trace. */
  parameter(name: keyof Parameters & string): Tensor;
  /** A buffer, as it is at the start of the step. */
  buffer(name: string): Tensor;
  /** Lets two of the module's buffers follow a mean and variance of the shard. */
  trackStatistics(statistics: ShardStatistics): void;
}

export interface ModuleDefinition<
  Args extends readonly unknown[],
  Result,
  Children extends ModuleChildren,
  Parameters extends ModuleParameters,
> {
  readonly kind?: string;
  readonly options?: ModuleOptions;
  readonly children?: Children;
  readonly parameters?: Parameters;
  readonly buffers?: ModuleBuffers;
  /** Further properties of the module, which no path leads to. */
  readonly extras?: Readonly<Record<string, unknown>>;
  /** Builds the result from the arguments, at least one of which is a tensor (or an array or record of tensors). */
  forward(self: ModuleSelf<Children, Parameters>, ...args: Args): Result;
}

/**
 * A module of one's own.
 *
 * Names of children and parameters make the paths ("encoder.fc1.weight"): letters, digits, "_" and "-", each used once.
 * Throws BAD_OPTION for other names. Calling it throws BAD_RUN_FILE outside a trace or for a module that is not part of `model`.
 */
export function module<
  Args extends readonly unknown[],
  Result,
  Children extends ModuleChildren = Record<never, never>,
  Parameters extends ModuleParameters = Record<never, never>,
>(definition: ModuleDefinition<Args, Result, Children, Parameters>): Module<Args, Result, Children, Parameters> {
  const kind = definition.kind ?? "module";
  // With the type parameter's default both are empty, which an absent record is too.
  const children = Object.freeze({ ...definition.children }) as Children;
  const parameters = Object.freeze({ ...definition.parameters }) as Parameters;
  const buffers: ModuleBuffers = Object.freeze({ ...definition.buffers });
  checkNames(kind, children, { ...parameters, ...buffers });

  const call = (...args: Args): Result => {
    const graph = graphOf(kind, args);
    const context = contextOf(kind, graph);
    const self: ModuleSelf<Children, Parameters> = {
      children,
      training: context.training,
      parameter: (name) => context.parameter(graph, call, name),
      buffer: (name) => context.buffer(graph, call, name),
      trackStatistics: (statistics) => context.trackStatistics(call, statistics),
    };
    return graph.withScope(scopeName(context.pathOf(call), graph.scope), () => definition.forward(self, ...args));
  };
  return Object.freeze(
    Object.assign(call, definition.extras, {
      kind,
      children,
      parameters,
      buffers,
      options: Object.freeze({ ...definition.options }),
    }),
  );
}

/** True for a module made by any copy of this package. */
export function isModule(value: unknown): value is ModuleDescription {
  return typeof value === "function" && "kind" in value && "children" in value && "parameters" in value;
}

function checkNames(kind: string, children: ModuleChildren, parameters: ModuleParameters): void {
  const names = [...Object.keys(parameters), ...Object.keys(children)];
  for (const [index, name] of names.entries()) {
    if (!/^[\w-]+$/.test(name)) {
      throw new TuttiError("BAD_OPTION", `nn.${kind}: name "${name}": expected letters, digits, "_" or "-"`);
    }
    if (names.indexOf(name) !== index) {
      throw new TuttiError("BAD_OPTION", `nn.${kind}: "${name}" names a parameter and a child; rename one`);
    }
  }
  for (const [name, child] of Object.entries(children)) {
    if (!isModule(child)) throw new TuttiError("BAD_OPTION", `nn.${kind}: child "${name}" is not a module`);
  }
}

function graphOf(kind: string, args: readonly unknown[]): Graph {
  const graph = firstGraph(args);
  if (graph === undefined) {
    throw new TuttiError(
      "BAD_RUN_FILE",
      `nn.${kind}: called without a tensor; call modules inside the step function, on its columns`,
    );
  }
  return graph;
}

function firstGraph(value: unknown): Graph | undefined {
  if (isTensor(value)) return value.graph;
  if (typeof value !== "object" || value === null) return undefined;
  for (const item of Object.values(value)) {
    const graph = firstGraph(item);
    if (graph !== undefined) return graph;
  }
  return undefined;
}

/** By its form, so that tensors of another copy of this package are known too. */
function isTensor(value: unknown): value is Tensor {
  return typeof value === "object" && value !== null && "graph" in value && "dtype" in value && "shape" in value;
}

function contextOf(kind: string, graph: Graph): TraceContext {
  if (graph.context === undefined) {
    throw new TuttiError(
      "BAD_RUN_FILE",
      `nn.${kind}: called outside a run's trace; call modules inside the step function`,
    );
  }
  return graph.context;
}

/** What to append to the current scope to arrive at a module's path; "model" stands for the unnamed root. */
function scopeName(path: string, scope: string): string {
  if (path === "") return "model";
  if (path.startsWith(`${scope}.`)) return path.slice(scope.length + 1);
  return scope === "" ? path : path.slice(path.lastIndexOf(".") + 1);
}
