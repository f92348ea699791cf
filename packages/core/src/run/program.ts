import { createHash } from "node:crypto";
import { TuttiError } from "../errors/index.ts";
import {
  type Graph,
  type GraphCopy,
  gradients,
  lower,
  simplify,
  specialize,
  staticShape,
  type Tensor,
  writeOnnx,
} from "../graph/index.ts";
import { concat } from "../graph/ops/index.ts";
import { collectMetrics, sumsMetrics } from "../metrics/index.ts";
import type { ProgramAugmentation } from "../step/augmentation.ts";
import type {
  FlatLayout,
  ProgramColumn,
  ProgramManifest,
  ProgramParameter,
  ProgramRandom,
  ShardProgram,
} from "../step/index.ts";
import { checkAugmented } from "./augmentation.ts";
import { columnRanges } from "./column-ranges.ts";
import type { ParameterLayout } from "./parameters.ts";
import { type SumOutput, statisticOutputs } from "./statistics.ts";
import type { Trace } from "./trace.ts";

/** Version of ai.onnx of programs; workers run the engine of this package. */
const programOpset = 23;
const scalarsName = "scalars";

/**
 * The shard program of a trace for N samples. Its results are sums over the shard, computed in the graph.
 *
 * @throws TuttiError SHAPE_MISMATCH where the step does not fit N; NO_GRADIENT naming a trainable parameter that the
 *   training loss does not depend on.
 */
export function buildProgram(
  trace: Trace,
  layout: ParameterLayout,
  mode: ProgramManifest["mode"],
  samples: number,
  augmentation?: ProgramAugmentation,
): ShardProgram {
  const { graph, map } = specialize(trace.graph, samples);
  const totals = totalsOf(trace, map);
  const scalars = joined(graph, [totals.loss, totals.weight, ...metricSums(trace, map)]);
  const gradients = mode === "train" ? gradientOutputs(graph, totals.weighted, layout.trainable) : [];
  const statistics = mode === "train" ? statisticOutputs(trace, map, layout, samples) : [];
  const sums = [...gradients, ...statistics];
  const collects = mode === "train" ? [] : collectOutputs(trace, map);
  const outputs = [scalars, ...sums.map(({ tensor }) => tensor), ...collects.map(({ tensor }) => tensor)];
  // Before what is common is joined: a gradient shares parts of what its operator is composed of.
  const lowered = lower(graph, programOpset);
  const placed = (tensor: Tensor): Tensor => lowered?.map[tensor.id] ?? tensor;
  const simple = simplify(lowered?.graph ?? graph, outputs.map(placed));
  const at = (tensor: Tensor): Tensor => simple.map[placed(tensor).id]!;
  const onnx = writeOnnx(simple.graph, {
    name: `${mode}-${samples}`,
    opset: programOpset,
    outputs: Object.fromEntries([
      [scalarsName, at(scalars)],
      ...sums.map(({ view, tensor }) => [view.name, at(tensor)] as const),
      ...collects.map(({ name, tensor }) => [name, at(tensor)] as const),
    ]),
  });
  const manifest: ProgramManifest = {
    mode,
    samples,
    columns: columnsOf(simple.graph),
    parameters: parametersOf(simple.graph, layout),
    ...(augmentation === undefined ? {} : { augmentation }),
    randoms: randomsOf(trace, simple.graph),
    sums: sums.map(({ view }) => view),
    sumsFloats: mode === "train" ? layout.updated.totalFloats : 0,
    scalars: { name: scalarsName, length: staticShape(scalars.shape)[0]! },
    collects: collects.map(({ name, tensor }) => ({ name, dtype: tensor.dtype, shape: staticShape(tensor.shape) })),
  };
  checkAugmented(augmentation, manifest.columns);
  const id = createHash("sha256").update(onnx).update(JSON.stringify(manifest)).digest("hex");
  return { id, onnx, ...manifest };
}

interface Totals {
  /** weight·loss, in the loss's shape. */
  readonly weighted: Tensor;
  /** Its sum, [1]. */
  readonly loss: Tensor;
  /** Σ weight over the entries of the loss, [1]. */
  readonly weight: Tensor;
}

function totalsOf(trace: Trace, map: GraphCopy["map"]): Totals {
  const loss = map[trace.loss.id]!;
  const entries = count(loss);
  if (trace.weight === undefined) {
    const weight = loss.graph.constant(Float32Array.of(entries), [1], "float32");
    return { weighted: loss, loss: sumOf(loss), weight };
  }
  // The divisor is no function of the parameters, so the weights are none either.
  const weight = map[trace.weight.id]!.stopGradient();
  const weighted = loss.mul(weight);
  // A weight of fewer entries than the loss counts once for each entry that it is broadcast to.
  const repeats = entries / count(weight);
  const total = sumOf(weight);
  return { weighted, loss: sumOf(weighted), weight: repeats === 1 ? total : total.mul(repeats) };
}

function metricSums(trace: Trace, map: GraphCopy["map"]): readonly Tensor[] {
  return sumsMetrics(trace.metrics).map(([, { perSample, length }]) => map[perSample.id]!.sum(0).reshape([length]));
}

function gradientOutputs(graph: Graph, loss: Tensor, trainable: FlatLayout): readonly SumOutput[] {
  const inputs = trainable.entries.map(({ name }) => {
    const id = graph.inputs.get(name);
    return id === undefined ? undefined : graph.tensor(id);
  });
  const found = gradients(
    loss,
    inputs.filter((input) => input !== undefined),
  );
  let next = 0;
  return trainable.entries.map((entry, index) => {
    const tensor = inputs[index] === undefined ? null : found[next++];
    if (tensor === null || tensor === undefined) {
      throw new TuttiError(
        "NO_GRADIENT",
        `parameter ${entry.name} is trainable, but the loss does not depend on it: use it in the step function, remove it, or set trainable: false`,
        { parameter: entry.name },
      );
    }
    return { view: { ...entry, name: `gradient:${entry.name}` }, tensor };
  });
}

interface CollectOutput {
  readonly name: string;
  readonly tensor: Tensor;
}

function collectOutputs(trace: Trace, map: GraphCopy["map"]): readonly CollectOutput[] {
  return collectMetrics(trace.metrics).flatMap(([metric, { columns }]) =>
    Object.entries(columns).map(([column, tensor]) => ({
      name: collectName(metric, column),
      tensor: map[tensor.id]!,
    })),
  );
}

/** What a program calls a column that it collects for a metric. */
export function collectName(metric: string, column: string): string {
  return `collect:${metric}/${column}`;
}

function parametersOf(graph: Graph, { all, buffers }: ParameterLayout): readonly ProgramParameter[] {
  return all.entries
    .filter(({ name }) => graph.inputs.has(name))
    .map((entry) => (buffers.includes(entry) ? { ...entry, isBuffer: true } : entry));
}

/** The call's number is that of the trace, so that what is dropped as dead changes no other call's numbers. */
function randomsOf({ randoms }: Trace, graph: Graph): readonly ProgramRandom[] {
  return randoms.flatMap(({ name, keep }, call) => {
    const id = graph.inputs.get(name);
    if (id === undefined) return [];
    return [{ name, shape: staticShape(graph.value(id).type.shape), kind: "bernoulli" as const, keep, call }];
  });
}

function columnsOf(graph: Graph): readonly ProgramColumn[] {
  const ranges = columnRanges(graph);
  return [...graph.inputs].flatMap(([name, id]) => {
    const { type, source } = graph.value(id);
    if (source.kind !== "input" || source.role !== "column") return [];
    const range = ranges.get(name);
    return [{ name, dtype: type.dtype, shape: staticShape(type.shape), ...(range && { range }) }];
  });
}

function sumOf(tensor: Tensor): Tensor {
  return tensor.sum().reshape([1]);
}

function joined(graph: Graph, parts: readonly Tensor[]): Tensor {
  return graph.apply(concat, parts, { axis: 0 })[0]!;
}

function count(tensor: Tensor): number {
  return staticShape(tensor.shape).reduce((product, dim) => product * dim, 1);
}
