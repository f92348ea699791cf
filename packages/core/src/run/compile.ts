import { type GradientRounding, gradientRounding } from "../compression/index.ts";
import {
  type BatchPlan,
  batchPlan,
  type Dataset,
  type EvaluationPlan,
  evaluationPlan,
  type PlainObject,
  type Preparation,
  type RowSampling,
  type ShardShape,
  weightedSampling,
} from "../data/index.ts";
import { TuttiError } from "../errors/index.ts";
import { type Graph, gradients, simplify, specialize } from "../graph/index.ts";
import { type ComputeMemory, computeMemory } from "../kernels/index.ts";
import { collectMetrics, type Figures, sumsMetrics } from "../metrics/index.ts";
import { describeModule, type ModuleTree, moduleTree, rootsOf } from "../nn/module-tree.ts";
import { type CompiledOptimizer, compileOptimizer } from "../optim/index.ts";
import type { ProgramAugmentation } from "../step/augmentation.ts";
import type { FlatLayout, LayoutEntry, RunningStatistics, ShardProgram } from "../step/index.ts";
import { digestOfWeights } from "../weights/index.ts";
import { programAugmentation } from "./augmentation.ts";
import type { CompiledCollect } from "./collected.ts";
import type { RunDefinition } from "./definition.ts";
import { evaluationGraph, inferenceGraph } from "./inference.ts";
import { suggestion } from "./nearest.ts";
import { initialParameters, type ParameterLayout, parameterLayout } from "./parameters.ts";
import { plainData } from "./plain.ts";
import { buildProgram } from "./program.ts";
import { digestOf } from "./record.ts";
import { runningStatistics } from "./statistics.ts";
import type { Trace } from "./trace.ts";
import { type Traces, traceLengths } from "./traces.ts";
import { defaultShards, flopsOf } from "./work.ts";

/** A metric's place in the vector of scalars, and how its sums become a figure. */
export interface CompiledMetric {
  readonly name: string;
  /** Index of its first sum; 0 and 1 are Σ weight·loss and Σ weight. */
  readonly offset: number;
  readonly length: number;
  /** @param total its `length` sums over all samples. */
  finish(total: Float64Array): Figures;
}

/** The number of samples, and the length that sequences are padded to where there are any. */
export type ProgramKey = number | `${number}x${number}`;

export function programKey({ samples, paddedTo }: ShardShape): ProgramKey {
  return paddedTo === undefined ? samples : `${samples}x${paddedTo}`;
}

/** One way of running the step function: programs by the shape of a shard, and the metrics that they sum. */
export interface CompiledMode {
  readonly programs: ReadonlyMap<ProgramKey, ShardProgram>;
  readonly metrics: readonly CompiledMetric[];
  /** The column `weight` weighs samples: the step function has returned no weight of its own. */
  readonly isWeighted: boolean;
}

/** Everything that is fixed before step 1. */
export interface CompiledRun {
  readonly definition: RunDefinition;
  /** All parameters. */
  readonly layout: FlatLayout;
  /** The prefix of `layout` that a step changes: what trains, and buffers. */
  readonly updated: FlatLayout;
  /** The prefix of `updated` that gradients and the optimizer cover. */
  readonly trainable: FlatLayout;
  /** Entries of `layout` that are buffers: saved with the model, but not trained. */
  readonly buffers: readonly LayoutEntry[];
  /** How buffers follow from the sums of a step. */
  readonly statistics: readonly RunningStatistics[];
  /** Modules whose result depends on how a batch is cut into shards; names for messages. */
  readonly perShard: readonly string[];
  /** Number of parameters, padding not counted. */
  readonly parameterCount: number;
  /** V. */
  readonly shards: number;
  readonly plan: BatchPlan;
  readonly totalSteps: number;
  readonly training: CompiledMode;
  /** null without validation data. */
  readonly evaluation:
    | (CompiledMode & {
        readonly plan: EvaluationPlan;
        readonly everySteps: number;
        /** Metrics that are finished from columns of the whole validation data. */
        readonly collects: readonly CompiledCollect[];
      })
    | null;
  readonly checkpointEverySteps: number;
  readonly optimizer: CompiledOptimizer;
  /** Of the sums of training nodes; undefined if the run does not compress them. */
  readonly rounding: GradientRounding | undefined;
  /** The evaluation trace pruned to its outputs, parameters as inputs; undefined if the step names no outputs. */
  readonly inferenceGraph: Uint8Array<ArrayBuffer> | undefined;
  /** The same for N samples, as programs compute it: what `checkExport` holds an exported model against. */
  evaluationGraph(samples: number): Uint8Array<ArrayBuffer> | undefined;
  /** Plain values, module tree, data fingerprints and program digests: what makes two runs the same. */
  readonly record: PlainObject;
  /** SHA-256 (hex) of the record. */
  readonly digest: string;
  /** New buffer in the layout; padding is zero. @param seed the run's by default. @param memory to draw in; new by default. */
  initialParameters(seed?: number, memory?: ComputeMemory): Float32Array<ArrayBuffer>;
}

export interface RunDatasets {
  readonly train: Dataset;
  readonly validation?: Dataset | undefined;
  /** Of the training data, where the run says `sampling`: what `samplingWeights` or `balancingWeights` gives. */
  readonly samplingWeights?: Float64Array | undefined;
  /** Of the training data's columns: what `prepareColumns` gives; validation data is prepared by it, too. */
  readonly preparation?: Preparation | undefined;
}

export interface CompileOptions {
  /** V instead of the run's own. */
  readonly shards?: number;
}

/**
 * Traces the step function, once for training and once for evaluation (and once more for every length that sequences are
 * padded to), and builds a program for every shape that a shard can have. Opens nothing and runs nothing; the same arguments give the same bytes.
 *
 * @throws TuttiError whose message names the layer or option: SHAPE_MISMATCH, MIXES_SAMPLES, NO_GRADIENT, BAD_RUN_FILE,
 *   BAD_OPTION, DATA_MISSING, WEIGHTS_INVALID.
 */
export function compileRun(
  definition: RunDefinition,
  datasets: RunDatasets,
  options: CompileOptions = {},
): CompiledRun {
  const { plain, model } = definition;
  const { train, validation, preparation = {} } = datasets;
  const tree = moduleTree(model);
  const layout = parameterLayout(tree, plain.freeze);
  if (layout.trainable.entries.length === 0) throw new TuttiError("NO_GRADIENT", "model: has no trainable parameter");
  const trainingTraces = traceLengths(definition, tree, train, preparation, true);
  const evaluationTraces = traceLengths(definition, tree, validation ?? train, preparation, false);
  const [trainingTrace, evaluationTrace] = [trainingTraces.main, evaluationTraces.main];

  const sampling = samplingOf(definition, datasets);
  const samplesPerEpoch = sampling?.samples ?? train.size;
  const batchSize = plain.batchSize === "all" ? samplesPerEpoch : plain.batchSize;
  const shards =
    options.shards ?? plain.shards ?? defaultShards(batchSize, flopsPerSample(trainingTrace, layout, batchSize));
  const { lastBatch, seed } = plain;
  const { size: datasetSize, sequences } = train;
  const plan = batchPlan({ datasetSize, batchSize, lastBatch, shards, seed, sampling, sequences });
  const augmentation = programAugmentation(plain, train, plan);
  const training = compileMode(trainingTraces, layout, "train", plan.shardShapes(), augmentation);
  const evaluation =
    validation === undefined ? null : compileEvaluation(definition, evaluationTraces, layout, validation, plan);
  checkBest(definition, evaluation);

  const given = definition.weights?.valuesFor(layout.all.entries);
  const record = {
    ...recordOf(definition, datasets, tree, shards, [training, ...(evaluation === null ? [] : [evaluation])]),
    ...(given && { weights: digestOfWeights(given) }),
  };
  return {
    definition,
    layout: layout.all,
    updated: layout.updated,
    trainable: layout.trainable,
    buffers: layout.buffers,
    statistics: runningStatistics(trainingTrace, layout),
    perShard: perShardScopes(trainingTrace.graph),
    parameterCount: layout.all.entries.reduce(
      (sum, entry) => sum + (layout.buffers.includes(entry) ? 0 : entry.length),
      0,
    ),
    shards,
    plan,
    totalSteps: plain.steps ?? plain.epochs! * plan.stepsPerEpoch,
    training,
    evaluation,
    checkpointEverySteps:
      plain.checkpoint.everySteps ?? plan.stepsPerEpoch * Math.ceil(leastCheckpointSteps / plan.stepsPerEpoch),
    optimizer: compileOptimizer(plain.optimizer, layout.trainable),
    rounding:
      plain.compress === null ? undefined : gradientRounding(plain.compress, shards, layout.trainable.totalFloats),
    inferenceGraph: inferenceGraph(evaluationTrace, columnFacts(train, preparation)),
    evaluationGraph: (samples) => evaluationGraph(evaluationTrace, samples),
    record,
    digest: digestOf(record),
    initialParameters: (seed = plain.seed, memory = computeMemory()) =>
      initialParameters(tree, layout.all, seed, memory, given),
  };
}

const leastCheckpointSteps = 100;

function samplingOf({ plain }: RunDefinition, { samplingWeights: weights }: RunDatasets): RowSampling | undefined {
  if (plain.sampling === null) return undefined;
  if (weights === undefined) throw new TuttiError("INTERNAL", "sampling: compileRun was given no weights");
  const { replacement, samples } = plain.sampling;
  return weightedSampling({ weights, replacement, samples, seed: plain.seed });
}

/** Where samples of a shard affect each other. */
function perShardScopes(graph: Graph): readonly string[] {
  const scopes = graph.nodes
    .filter(({ attributes }) => attributes.perShard === true)
    .map(({ scope }) => (scope === "" ? "the step function" : scope));
  return [...new Set(scopes)];
}

/** Forward and backward, of a shard of up to 8 samples. */
function flopsPerSample(trace: Trace, layout: ParameterLayout, batchSize: number): number {
  const samples = Math.min(8, batchSize);
  const { graph, map } = specialize(trace.graph, samples);
  const loss = map[trace.loss.id]!;
  const parameters = layout.trainable.entries.flatMap(({ name }) => graph.inputs.get(name) ?? []);
  const found = gradients(
    loss,
    parameters.map((id) => graph.tensor(id)),
  ).filter((gradient) => gradient !== null);
  return flopsOf(simplify(graph, [loss, ...found]).graph) / samples;
}

function compileMode(
  traces: Traces,
  layout: ParameterLayout,
  mode: "train" | "evaluate",
  shapes: readonly ShardShape[],
  augmentation?: ProgramAugmentation,
): CompiledMode {
  let offset = 2;
  const metrics = sumsMetrics(traces.main.metrics).map(([name, { length, finish }]) => {
    offset += length;
    return { name, offset: offset - length, length, finish };
  });
  const programs = new Map(
    shapes.map((shape) => [
      programKey(shape),
      buildProgram(traces.at(shape.paddedTo), layout, mode, shape.samples, augmentation),
    ]),
  );
  return { programs, metrics, isWeighted: traces.main.isWeighted };
}

function compileEvaluation(
  definition: RunDefinition,
  traces: Traces,
  layout: ParameterLayout,
  validation: Dataset,
  plan: BatchPlan,
): NonNullable<CompiledRun["evaluation"]> {
  const { shardSize, everySteps, everyEpochs } = definition.plain.validation;
  const { size: datasetSize, sequences } = validation;
  const evaluation = evaluationPlan({ datasetSize, shardSize: Math.min(shardSize, datasetSize), sequences });
  return {
    ...compileMode(traces, layout, "evaluate", evaluation.shardShapes()),
    plan: evaluation,
    collects: collectMetrics(traces.main.metrics).map(([name, { columns, finish }]) => ({
      name,
      columns: Object.keys(columns),
      finish,
    })),
    everySteps: everySteps ?? everyEpochs! * plan.stepsPerEpoch,
  };
}

function checkBest(definition: RunDefinition, evaluation: CompiledRun["evaluation"]): void {
  const { best } = definition.plain.checkpoint;
  if (best === null) return;
  const known = ["loss", ...[...(evaluation?.metrics ?? []), ...(evaluation?.collects ?? [])].map(({ name }) => name)];
  // A metric of several figures has names of its own behind a dot.
  if (known.some((name) => best.metric === name || best.metric.startsWith(`${name}.`))) return;
  throw new TuttiError(
    "BAD_OPTION",
    `checkpoint.best.metric: no metric "${best.metric}"; ${suggestion(best.metric, known)}`,
  );
}

function recordOf(
  definition: RunDefinition,
  { train, validation, preparation = {} }: RunDatasets,
  tree: ModuleTree,
  shards: number,
  modes: readonly CompiledMode[],
): PlainObject {
  const model = Object.entries(rootsOf(definition.model)).map(([name, module]) => [name, describeModule(module)]);
  const programs = modes.flatMap((mode) =>
    [...mode.programs].map(([key, program]) => [`${program.mode}/${key}`, program.id] as const),
  );
  const { placement: _, ...plain } = plainData(definition.plain); // who reads the rows makes no other run
  return {
    ...plain,
    shards,
    model: JSON.parse(JSON.stringify(Object.fromEntries(model))),
    parameters: tree.parameters.map(({ path }) => path),
    fingerprints: { train: train.fingerprint, validation: validation?.fingerprint ?? null },
    programs: Object.fromEntries(programs),
    ...(train.table && { columns: columnFacts(train, preparation) }),
  };
}

/** What whoever runs the model must know of its columns: the words that categories count, and what the graph does to raw values. */
function columnFacts({ table, columns }: Dataset, preparation: Preparation): PlainObject {
  const facts = Object.entries(table?.columns ?? {}).map(([name, { categories, unknown }]) => {
    const { dtype, shape } = columns[name]!;
    return [
      name,
      {
        dtype,
        shape,
        ...(categories && { categories }),
        ...(unknown !== undefined && { unknown }),
        ...preparation[name],
      },
    ] as const;
  });
  return JSON.parse(JSON.stringify(Object.fromEntries(facts)));
}
