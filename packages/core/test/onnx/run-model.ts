import { readFileSync } from "node:fs";
import {
  batch,
  type DType,
  Graph,
  gradients,
  specialize,
  type Tensor,
  type TypedValues,
  writeOnnx,
} from "@tutti/core/graph";
import { type Module, moduleTree, traceContext } from "@tutti/core/nn";
import { Tensor as EngineTensor, InferenceSession } from "onnxruntime-node";

export function fileUrl(name: string): URL {
  return new URL(`files/${name}.onnx`, import.meta.url);
}

export function fileBytes(name: string): Uint8Array {
  return readFileSync(fileUrl(name));
}

export interface Batch {
  readonly dtype: DType;
  /** With the samples first. */
  readonly shape: readonly number[];
  readonly values: TypedValues;
}

export interface Ran {
  readonly shape: readonly number[];
  readonly values: readonly number[];
  /** Of Σ w·y by parameter path, w being 2·frac((i+1)·φ) − 1; only those that train. */
  readonly gradients: Readonly<Record<string, readonly number[]>>;
}

/**
 * Traces a module on one column with N free, specialises it to the batch's size, and runs it in ONNX Runtime, with the
 * initial values as parameters.
 */
export async function runModule(model: Module, input: Batch, training: boolean): Promise<Ran> {
  const tree = moduleTree(model);
  const traced = new Graph(traceContext(tree, training).context);
  const y = model(traced.input("column", "x", { dtype: input.dtype, shape: [batch, ...input.shape.slice(1)] }));
  const { graph, map } = specialize(traced, input.shape[0]!);
  const result = map[y.id]!;
  const count = result.shape.reduce<number>((total, dim) => total * Number(dim), 1);
  const weights = Float32Array.from({ length: count }, (_, i) => 2 * (((i + 1) * 0.618_033_988_749_894_9) % 1) - 1);
  const loss = result
    .cast("float32")
    .mul(graph.constant(weights, result.shape.map(Number), "float32"))
    .sum();
  const trained = tree.parameters.filter(({ path, spec }) => spec.trainable && graph.inputs.has(path));
  const found = training
    ? gradients(
        loss,
        trained.map(({ path }) => graph.tensor(graph.inputs.get(path)!)),
      )
    : [];
  const outputs: Record<string, Tensor> = { result };
  for (const [i, { path }] of trained.entries()) if (found[i]) outputs[`gradient:${path}`] = found[i];
  const session = await InferenceSession.create(writeOnnx(graph, { outputs, opset: 23, name: "test" }), {
    intraOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  const values = new Map<string, TypedValues>([["x", input.values]]);
  for (const { path, spec } of tree.parameters) {
    if (spec.init.kind !== "values") throw new Error(`${path} has no values`);
    values.set(path, spec.init.data);
  }
  const feeds = session.inputNames.map((name) => {
    const { dtype, shape } = graph.value(graph.inputs.get(name)!).type;
    return [name, new EngineTensor(dtype, values.get(name)!, shape.map(Number))] as const;
  });
  const results = await session.run(Object.fromEntries(feeds));
  const numbers = (tensor: EngineTensor): readonly number[] => Array.from(tensor.data as TypedValues, Number);
  return {
    shape: results.result!.dims,
    values: numbers(results.result!),
    gradients: Object.fromEntries(
      Object.entries(results).flatMap(([name, tensor]) =>
        name.startsWith("gradient:") ? [[name.slice("gradient:".length), numbers(tensor)]] : [],
      ),
    ),
  };
}

/** What ONNX Runtime makes of a file as it is. */
export async function runFile(
  bytes: Uint8Array,
  input: Batch,
  inputName: string,
  output: string,
): Promise<readonly number[]> {
  const session = await InferenceSession.create(bytes, { intraOpNumThreads: 1, logSeverityLevel: 3 });
  const results = await session.run({ [inputName]: new EngineTensor(input.dtype, input.values, [...input.shape]) });
  return Array.from(results[output]!.data as TypedValues, Number);
}
