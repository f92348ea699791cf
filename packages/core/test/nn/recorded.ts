import { readFileSync } from "node:fs";
import { batch, type DType, Graph, gradients, specialize, type Tensor, writeOnnx } from "@tutti/core/graph";
import { type Module, moduleTree, traceContext } from "@tutti/core/nn";
import { Tensor as EngineTensor, InferenceSession } from "onnxruntime-node";

export interface Values {
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

type Input = Values & { readonly dtype: "float32" | "int64" | "bool" };

export interface RecordedModule {
  readonly inputs: Readonly<Record<string, Input>>;
  readonly parameters: Readonly<Record<string, Values>>;
  readonly buffers: Readonly<Record<string, Values>>;
  readonly output: Values;
  readonly direction: readonly number[];
  readonly gradients: Readonly<Record<string, readonly number[]>>;
  readonly inputGradients: Readonly<Record<string, readonly number[]>>;
  readonly buffersAfter?: Readonly<Record<string, readonly number[]>>;
}

export interface RecordedLoss {
  readonly inputs: Readonly<Record<string, Input>>;
  readonly mean: number;
  readonly inputGradients: Readonly<Record<string, readonly number[]>>;
}

/** Made by test/parity/modules.py: what PyTorch computes. */
export const recorded: {
  readonly modules: Readonly<Record<string, RecordedModule>>;
  readonly losses: Readonly<Record<string, RecordedLoss>>;
} = JSON.parse(readFileSync(new URL("./modules.parity.json", import.meta.url), "utf8"));

type Inputs = Readonly<Record<string, Tensor>>;

/** Declares recorded inputs as columns, whose first axis counts samples. */
function columns(graph: Graph, inputs: Readonly<Record<string, Input>>): Inputs {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { dtype, shape }]) => [
      name,
      graph.input("column", name, { dtype, shape: [batch, ...shape.slice(1)] }),
    ]),
  );
}

async function run(
  outputs: Readonly<Record<string, Tensor>>,
  feeds: Readonly<Record<string, Input>>,
): Promise<Record<string, Float32Array>> {
  const { graph } = Object.values(outputs)[0]!;
  const session = await InferenceSession.create(writeOnnx(graph, { name: "t", opset: 23, outputs }), {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  const results = await session.run(
    Object.fromEntries(
      session.inputNames.map((name) => {
        const { dtype, shape, values } = feeds[name]!;
        return [name, new EngineTensor(dtype, typed(dtype, values), [...shape])];
      }),
    ),
  );
  return Object.fromEntries(
    Object.entries(results).map(([name, { data }]) => {
      if (!(data instanceof Float32Array)) throw new Error(`${name} is not float32`);
      return [name, data];
    }),
  );
}

function typed(dtype: DType, values: readonly number[]): Float32Array | BigInt64Array | Uint8Array {
  if (dtype === "float32") return Float32Array.from(values);
  return dtype === "int64" ? BigInt64Array.from(values, BigInt) : Uint8Array.from(values);
}

export interface Found {
  readonly output: Float32Array;
  readonly outputShape: readonly number[];
  /** By the name of the parameter or input. */
  readonly gradients: Readonly<Record<string, Float32Array>>;
  /** Mean and biased variance of the shard, for a module that tracks them. */
  readonly statistics?: { readonly mean: Float32Array; readonly variance: Float32Array };
  /** Shapes of parameters and buffers by path, in order. */
  readonly parameters: Readonly<Record<string, readonly number[]>>;
  readonly buffers: Readonly<Record<string, readonly number[]>>;
}

/** What a module makes of recorded inputs and parameters, with the gradient of Σ output·direction by all of them. */
export async function runModule(
  { inputs, parameters, buffers, output, direction }: RecordedModule,
  model: Module<never, unknown>,
  forward: (inputs: Inputs) => Tensor,
  training: boolean,
): Promise<Found> {
  const tree = moduleTree(model);
  const { context, record } = traceContext(tree, training);
  const traced = new Graph(context);
  const result = forward(columns(traced, inputs));
  const samples = Object.values(inputs)[0]!.shape[0]!;
  const { graph, map } = specialize(traced, samples);
  const y = map[result.id]!;
  const towards = graph.input("column", "direction", { dtype: "float32", shape: y.shape });
  const names = [...graph.inputs.keys()].filter((name) => name !== "direction");
  const wrt = names.map((name) => graph.tensor(graph.inputs.get(name)!));
  const found = gradients(y.mul(towards), wrt);
  const outputs: Record<string, Tensor> = { output: y };
  for (const [i, gradient] of found.entries()) if (gradient !== null) outputs[`gradient:${names[i]}`] = gradient;
  const [statistics] = record.statistics;
  if (statistics !== undefined) {
    outputs.mean = map[statistics.mean.id]!;
    outputs.variance = map[statistics.variance.id]!;
  }
  const towardsValues = { dtype: "float32", shape: output.shape, values: direction } as const;
  const values = await run(outputs, {
    ...stateOf(parameters),
    ...stateOf(buffers),
    ...inputs,
    direction: towardsValues,
  });
  const named = ({ path, spec }: { path: string; spec: { shape: readonly number[] } }) =>
    [path, [...spec.shape]] as const;
  return {
    output: values.output!,
    outputShape: y.shape.map(Number),
    gradients: Object.fromEntries(
      Object.entries(values).flatMap(([name, value]) =>
        name.startsWith("gradient:") ? [[name.slice("gradient:".length), value] as const] : [],
      ),
    ),
    ...(statistics === undefined ? {} : { statistics: { mean: values.mean!, variance: values.variance! } }),
    parameters: Object.fromEntries(tree.parameters.map(named)),
    buffers: Object.fromEntries(tree.buffers.map(named)),
  };
}

/** What the evaluation trace of a module makes of recorded inputs and parameters, and the operators that do it. */
export async function evaluateModule(
  { inputs, parameters, buffers }: RecordedModule,
  model: Module<never, unknown>,
  forward: (inputs: Inputs) => Tensor,
): Promise<{ readonly output: Float32Array; readonly operators: readonly string[] }> {
  const traced = new Graph(traceContext(moduleTree(model), false).context);
  const result = forward(columns(traced, inputs));
  const { graph, map } = specialize(traced, Object.values(inputs)[0]!.shape[0]!);
  const values = await run({ output: map[result.id]! }, { ...stateOf(parameters), ...stateOf(buffers), ...inputs });
  return { output: values.output!, operators: graph.nodes.map(({ op }) => op.type) };
}

function stateOf(state: Readonly<Record<string, Values>>): Readonly<Record<string, Input>> {
  return Object.fromEntries(Object.entries(state).map(([name, values]) => [name, { dtype: "float32", ...values }]));
}

/** The weighted mean of a loss over its samples as a run forms it, and its gradient by the float inputs. */
export async function runLoss({ inputs }: RecordedLoss, loss: (inputs: Inputs) => Tensor) {
  const traced = new Graph();
  const result = loss(columns(traced, inputs));
  const { graph, map } = specialize(traced, Object.values(inputs)[0]!.shape[0]!);
  const perSample = map[result.id]!;
  const weight = (result.lossWeight === undefined ? graph.scalar(1, "float32") : map[result.lossWeight.id]!)
    .stopGradient()
    .expand(perSample.shape);
  const weighted = perSample.mul(weight);
  const names = [...graph.inputs.keys()];
  const found = gradients(
    weighted,
    names.map((name) => graph.tensor(graph.inputs.get(name)!)),
  );
  const outputs: Record<string, Tensor> = { sum: weighted.sum(), weight: weight.sum() };
  for (const [i, gradient] of found.entries()) if (gradient !== null) outputs[`gradient:${names[i]}`] = gradient;
  const values = await run(outputs, inputs);
  const total = values.weight![0]!;
  return {
    mean: values.sum![0]! / total,
    gradient: (name: string) => values[`gradient:${name}`]!.map((value) => value / total),
  };
}

/** ‖actual − expected‖ / ‖expected‖ in float64; the absolute error where the expected norm is below 1e-6. */
export function relativeError(actual: ArrayLike<number>, expected: readonly number[]): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  const difference = Math.hypot(...expected.map((value, i) => actual[i]! - value));
  const norm = Math.hypot(...expected);
  return norm < 1e-6 ? difference : difference / norm;
}
