import { openPlainModel, type PlainTensor } from "../engine/plain-model.ts";
import { isTuttiError } from "../errors/index.ts";
import {
  batch,
  type DType,
  Graph,
  type OnnxValueInfo,
  readOnnx,
  specialize,
  type TypedValues,
} from "../graph/index.ts";
import { moduleTree, traceContext } from "../nn/index.ts";
import { randomStream } from "../random/index.ts";
import { columnRanges } from "../run/column-ranges.ts";
import { typed } from "./known.ts";
import { load } from "./load.ts";

export interface ExportCheckOptions {
  /** The model as it is given away: parameters inside, N free. */
  readonly exported: Uint8Array;
  /**
   * What it must equal: the evaluation trace with its parameters as inputs, N free or made for a number of samples
   * (`CompiledRun.evaluationGraph`).
   */
  readonly reference: Uint8Array | ((samples: number) => Uint8Array);
  /** By name, row-major. */
  readonly parameters: ReadonlyMap<string, Float32Array>;
  /** Numbers of samples to run; 1, 2 and 7 by default. */
  readonly samples?: readonly number[];
  /**
   * Least and greatest value of integer columns, by name. By default all that the model can use as indices, or 0 and 1.
   * Floats are normal.
   */
  readonly ranges?: ReadonlyMap<string, readonly [min: number, max: number]>;
}

export interface ExportCheck {
  readonly agrees: boolean;
  readonly outputs: readonly {
    readonly name: string;
    /** Largest difference of an entry over the output's largest magnitude (at least 1e-6); Infinity for another shape. */
    readonly worst: number;
  }[];
}

/** The runtime packs constant weights ahead, and may add up in another order. */
const tolerance = 1e-5;

/**
 * Runs an exported model and the evaluation trace in ONNX Runtime on the same random columns, which depend on nothing but their
 * names and shapes, and compares all outputs: |difference| <= 1e-5 of the output's largest magnitude; integers exactly.
 *
 * @throws TuttiError ENGINE_FAILED when either does not run, GRAPH_INVALID for bytes that are no model.
 */
export async function checkExport(options: ExportCheckOptions): Promise<ExportCheck> {
  const { exported, reference, parameters, samples = [1, 2, 7], ranges = indexRanges(exported) } = options;
  const { inputs, outputs } = readOnnx(exported);
  const worst = new Map(outputs.map(({ name }) => [name, 0]));
  const model = await openPlainModel(exported, "the exported model");
  try {
    for (const count of samples) {
      const feeds = Object.fromEntries(inputs.map((info) => [info.name, columnOf(info, count, ranges.get(info.name))]));
      const bytes = typeof reference === "function" ? reference(count) : reference;
      const expected = await runOnce(bytes, { ...feeds, ...parameterTensors(bytes, parameters) });
      const found = await model.run(feeds);
      for (const { name } of outputs)
        worst.set(name, Math.max(worst.get(name)!, distance(found[name], expected[name])));
    }
  } finally {
    await model.close();
  }
  const list = [...worst].map(([name, value]) => ({ name, worst: value }));
  return { agrees: list.every((output) => output.worst <= tolerance), outputs: list };
}

/** What OneHot and Gather demand of integer columns, from the model itself; nothing of a model that cannot be imported. */
function indexRanges(model: Uint8Array): ReadonlyMap<string, readonly [number, number]> {
  try {
    const whole = load(model);
    const imported = whole.tensors(whole.outputs);
    const graph = new Graph(traceContext(moduleTree(imported), false).context);
    const columns = imported.inputs.map(({ name, dtype, shape }) => {
      const sizes = (shape ?? []).slice(1).map(Number);
      return [name, graph.input("column", name, { dtype, shape: [batch, ...sizes] })] as const;
    });
    imported(Object.fromEntries(columns));
    return columnRanges(specialize(graph, 1).graph);
  } catch (error) {
    if (isTuttiError(error) && error.code === "ONNX_UNSUPPORTED") return new Map();
    throw error;
  }
}

type Tensors = Readonly<Record<string, PlainTensor>>;

async function runOnce(bytes: Uint8Array, feeds: Tensors): Promise<Tensors> {
  const model = await openPlainModel(bytes, "the evaluation trace");
  try {
    return await model.run(feeds);
  } finally {
    await model.close();
  }
}

function parameterTensors(bytes: Uint8Array, parameters: ReadonlyMap<string, Float32Array>): Tensors {
  const fed = readOnnx(bytes).inputs.filter(({ name }) => parameters.has(name));
  return Object.fromEntries(
    fed.map(({ name, shape }) => [
      name,
      { dtype: "float32", shape: (shape ?? []).map(Number), values: Float32Array.from(parameters.get(name)!) },
    ]),
  );
}

/** Random values for a column; a dimension without a number, or the first, counts samples. */
function columnOf(
  { name, dtype, shape }: OnnxValueInfo,
  samples: number,
  range: readonly [number, number] = [0, 1],
): PlainTensor {
  const dims = (shape ?? [null]).map((dim) => (typeof dim === "number" ? dim : samples));
  const count = dims.reduce((product, dim) => product * dim, 1);
  return { dtype, shape: dims, values: valuesOf(dtype, name, count, range) };
}

function valuesOf(dtype: DType, name: string, count: number, [min, max]: readonly [number, number]): TypedValues {
  const stream = randomStream(0, "export check", name);
  if (dtype === "float32" || dtype === "float64") {
    const normal = new Float32Array(count);
    stream.fillNormal(normal, 0, 1);
    return dtype === "float32" ? normal : Float64Array.from(normal);
  }
  return typed(
    dtype,
    Array.from({ length: count }, (_, i) => min + (stream.uint32At(i) % (max - min + 1))),
  );
}

function distance(found: PlainTensor | undefined, expected: PlainTensor | undefined): number {
  if (found === undefined || expected === undefined || found.shape.join() !== expected.shape.join())
    return Number.POSITIVE_INFINITY;
  const [a, b] = [found.values, expected.values];
  const isFloat = found.dtype === "float32" || found.dtype === "float64";
  let largest = 1e-6;
  let worst = 0;
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [Number(a[i]), Number(b[i])];
    if (x === y || (Number.isNaN(x) && Number.isNaN(y))) {
      if (Number.isFinite(y)) largest = Math.max(largest, Math.abs(y));
      continue;
    }
    const gap = Math.abs(x - y);
    worst = Math.max(worst, isFloat && Number.isFinite(gap) ? gap : Number.POSITIVE_INFINITY);
    largest = Math.max(largest, Math.abs(y));
  }
  return worst === 0 ? 0 : worst / largest;
}
