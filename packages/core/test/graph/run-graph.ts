import { type DType, type Graph, type Tensor, type TypedValues, writeOnnx } from "@tutti/core/graph";
import { Tensor as EngineTensor, InferenceSession } from "onnxruntime-node";

export interface Numbers {
  readonly dims: readonly number[];
  readonly values: TypedValues;
}

/** Makes one session and runs it on any number of feeds. float64 graphs need level "basic": see fusions of the engine. */
export async function openGraph(
  graph: Graph,
  outputs: Readonly<Record<string, Tensor>>,
  level: "disabled" | "basic" | "all" = "basic",
): Promise<
  (
    feeds: Readonly<Record<string, TypedValues>>,
    dims?: Readonly<Record<string, readonly number[]>>,
  ) => Promise<Record<string, Numbers>>
> {
  const bytes = writeOnnx(graph, { outputs, opset: 23, name: "test" });
  return openBytes(bytes, graph, level);
}

export async function openBytes(
  bytes: Uint8Array,
  graph: Graph,
  level: "disabled" | "basic" | "all" = "basic",
): Promise<
  (
    feeds: Readonly<Record<string, TypedValues>>,
    dims?: Readonly<Record<string, readonly number[]>>,
  ) => Promise<Record<string, Numbers>>
> {
  const session = await InferenceSession.create(bytes, {
    graphOptimizationLevel: level,
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  return async (feeds, dims = {}) => {
    const tensors = session.inputNames.map((name) => {
      const type = graph.value(graph.inputs.get(name) ?? -1).type;
      const values = feeds[name];
      if (values === undefined) throw new Error(`no feed for ${name}`);
      return [name, new EngineTensor(type.dtype, values, dims[name] ?? type.shape.map(Number))] as const;
    });
    const results = await session.run(Object.fromEntries(tensors));
    return Object.fromEntries(
      Object.entries(results).map(([name, { dims: size, data }]) => {
        if (!ArrayBuffer.isView(data)) throw new Error(`${name} is no numeric tensor`);
        return [name, { dims: size, values: data as TypedValues }];
      }),
    );
  };
}

/** Makes a session, runs it once. */
export async function runGraph(
  graph: Graph,
  outputs: Readonly<Record<string, Tensor>>,
  feeds: Readonly<Record<string, TypedValues>> = {},
): Promise<Record<string, Numbers>> {
  return (await openGraph(graph, outputs))(feeds);
}

/** Float values of a dtype. */
export function floatsOf(dtype: DType, values: readonly number[]): Float32Array | Float64Array {
  return dtype === "float64" ? Float64Array.from(values) : Float32Array.from(values);
}

/** The values as plain numbers. */
export function toNumbers(values: TypedValues): number[] {
  return values instanceof BigInt64Array ? Array.from(values, Number) : Array.from(values);
}
