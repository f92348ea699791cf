import type { PreparedShard, SumMetric, TrainingRun } from "@tutti/coordinator";
import {
  alignedCategories,
  balancingWeights,
  checkSampleWeights,
  type Dataset,
  type EvaluationPlan,
  type PaddedSpan,
  paddedTo,
  prepareColumns,
  samplingWeights,
  type Table,
} from "@tutti/core/data";
import { ColumnReader, packedCollects } from "@tutti/core/engine";
import { TuttiError } from "@tutti/core/errors";
import {
  type CompiledMetric,
  type CompiledMode,
  type CompiledRun,
  type CompileOptions,
  checkColumns,
  compileRun,
  finishCollected,
  programKey,
  type RunDefinition,
} from "@tutti/core/run";
import type { ShardProgram } from "@tutti/core/step";

import { placedData } from "./placed-data.ts";

/** A run whose data is open and whose programs are built. */
export interface PreparedRun {
  readonly compiled: CompiledRun;
  readonly run: TrainingRun;
  /** Open data sets by the names that workers know them by, where these read them for themselves; none otherwise. */
  readonly placed: ReadonlyMap<string, Dataset>;
  /** Where the rows of the training data are from, if they are from tables. */
  readonly trainTable: Table | undefined;
  close(): Promise<void>;
}

/**
 * Opens the run's data and compiles it. Throws what opening (DATA_MISSING, DATA_INVALID) and compiling throw.
 * @param baseDirectory folder that relative data paths start from.
 */
export async function prepareRun(
  definition: RunDefinition,
  baseDirectory: string,
  options: CompileOptions & {
    readonly maxSteps?: number | undefined;
    /** Of columns kept in memory, for each data set; the rest is read from files. 256 MiB by default. */
    readonly dataMemoryBytes?: number | undefined;
    /** "workers": batches hold row numbers, for workers that have the data; by default the rows, whatever the run says. */
    readonly placement?: "coordinator" | "workers";
  } = {},
): Promise<PreparedRun> {
  const open: Dataset[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(open.map((dataset) => dataset.close()));
  };
  try {
    const { train, validation } = definition.sources;
    const { dataMemoryBytes: memoryBytes } = options;
    const context = { baseDirectory, ...(memoryBytes === undefined ? {} : { memoryBytes }) };
    const trainData = await train.open(context);
    open.push(trainData);
    const ownValidation = await validation?.open(context);
    if (ownValidation !== undefined) open.push(ownValidation);
    const validationData = ownValidation && (await alignedCategories(trainData, ownValidation));
    const { maxSteps, placement = "coordinator", dataMemoryBytes: _, ...compileOptions } = options;
    const datasets = {
      train: trainData,
      validation: validationData,
      samplingWeights: await weightsOf(definition, trainData),
      preparation: await prepareColumns(trainData),
    };
    const compiled = compileRun(definition, datasets, compileOptions);
    if (compiled.training.isWeighted) await checkSampleWeights(trainData, "data.train");
    if (compiled.evaluation?.isWeighted) await checkSampleWeights(validationData!, "data.validation");
    const placed =
      placement === "workers"
        ? await placedData(compiled, { train: trainData, validation: validationData })
        : new Map<string, Dataset>();
    const run = await trainingRun(compiled, trainData, validationData, placed, maxSteps);
    return { compiled, run, placed, trainTable: trainData.table, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function weightsOf({ plain }: RunDefinition, train: Dataset): Promise<Float64Array | undefined> {
  const { weights, balance } = plain.sampling ?? { weights: null, balance: null };
  if (balance !== null) return balancingWeights(train, balance);
  return weights === null ? undefined : samplingWeights(train, weights);
}

async function trainingRun(
  compiled: CompiledRun,
  train: Dataset,
  validation: Dataset | undefined,
  placed: ReadonlyMap<string, Dataset>,
  maxSteps: number | undefined,
): Promise<TrainingRun> {
  const { plan, training, evaluation } = compiled;
  const readShard = shardReader();
  const evaluationRows = (shard: number, read: ReadShard): Promise<PreparedShard> => {
    const span = evaluation!.plan.shards[shard]!;
    return read(evaluation!, validation!, span, (sample) => span.lo + sample);
  };
  const readTraining = placed.has("train") ? numbersOf("train") : readShard;
  const readEvaluation = placed.has("validation") ? numbersOf("validation") : readShard;
  const evaluationProgram = (shard: number): ShardProgram => programOf(evaluation!, evaluation!.plan.shards[shard]!);
  const canaries = [await largestTraining(compiled, train, readShard)];
  if (evaluation !== null) canaries.push(await evaluationRows(largestShard(evaluation.plan), readShard));
  return {
    id: compiled.digest, // the same after a resume: workers that are waiting know it again
    definitionDigest: compiled.digest,
    seed: compiled.definition.plain.seed,
    batchSize: plan.batchSize,
    shards: compiled.shards,
    layout: compiled.layout,
    updated: compiled.updated,
    trainable: compiled.trainable,
    statistics: compiled.statistics,
    programs: programsOf(training, evaluation),
    optimizer: compiled.optimizer,
    rounding: compiled.rounding,
    earlyStopping: compiled.definition.plain.earlyStopping,
    stepsPerEpoch: plan.stepsPerEpoch,
    totalSteps: Math.min(compiled.totalSteps, maxSteps ?? Number.POSITIVE_INFINITY),
    metrics: training.metrics.map(sumMetric),
    canaries,
    placed: [...placed].map(([name, { fingerprint }]) => ({ name, fingerprint })),
    batches: {
      read: async (step) => {
        const batch = plan.at(step);
        const shards: PreparedShard[] = [];
        for (const { lo, hi } of batch.shards) {
          const rowOf = (sample: number): number => plan.row(batch.epoch, batch.firstPosition + lo + sample);
          shards.push(await readTraining(training, train, { lo, hi, paddedTo: batch.paddedTo }, rowOf));
        }
        return { epoch: batch.epoch, samples: batch.samples, shards };
      },
    },
    ...(evaluation === null
      ? {}
      : {
          evaluation: {
            shards: evaluation.plan.shards.length,
            samples: evaluation.plan.datasetSize,
            metrics: evaluation.metrics.map(sumMetric),
            isDue: (step) => step % evaluation.everySteps === 0,
            read: (shard) => evaluationRows(shard, readEvaluation),
            collectBytes: (shard) => packedCollects(evaluationProgram(shard)).totalBytes,
            finishCollected: (blocks) =>
              finishCollected(
                evaluation.collects,
                blocks.map((bytes, shard) => ({ program: evaluationProgram(shard), bytes })),
              ),
          },
        }),
  };
}

function sumMetric({ name, length, finish }: CompiledMetric): SumMetric {
  return { name, length, finish };
}

/** All programs, each once: two lengths share one where the step function uses no sequence. */
function programsOf(training: CompiledMode, evaluation: CompiledMode | null): readonly ShardProgram[] {
  const all = [...training.programs.values(), ...(evaluation?.programs.values() ?? [])];
  return [...new Map(all.map((program) => [program.id, program])).values()];
}

type ReadShard = (
  mode: CompiledMode,
  dataset: Dataset,
  shard: PaddedSpan,
  rowOf: (sample: number) => number,
) => Promise<PreparedShard>;

/** Rows of one shard in one block, the columns as the program's manifest lists them, each on 64 bytes. */
function shardReader(): ReadShard {
  const readers = new Map<ShardProgram, ColumnReader>();
  return async (mode, dataset, shard, rowOf) => {
    const program = programOf(mode, shard);
    const reader = readers.get(program) ?? new ColumnReader(program);
    readers.set(program, reader);
    const rows = new Array<number>(program.samples);
    for (let sample = 0; sample < program.samples; sample++) rows[sample] = rowOf(sample);
    const packed = await reader.read(paddedTo(dataset, shard.paddedTo), rows);
    checkColumns(program, packed, (sample) => rows[sample]!, dataset.table);
    return { program: program.id, samples: program.samples, firstPosition: shard.lo, bytes: packed.bytes };
  };
}

/** In place of the rows their numbers, by which workers read them. */
function numbersOf(name: string): ReadShard {
  return async (mode, _, shard, rowOf) => {
    const program = programOf(mode, shard);
    const numbers = new DataView(new ArrayBuffer(4 * program.samples));
    for (let sample = 0; sample < program.samples; sample++) numbers.setUint32(4 * sample, rowOf(sample), true);
    const bytes = new Uint8Array(numbers.buffer);
    return { program: program.id, samples: program.samples, firstPosition: shard.lo, dataset: name, bytes };
  };
}

/** The first rows, at the largest shape of a training shard: long enough for any row. */
function largestTraining(
  { plan, training }: CompiledRun,
  dataset: Dataset,
  readShard: ReadShard,
): Promise<PreparedShard> {
  const { samples, paddedTo: length } = plan.shardShapes().at(-1)!;
  return readShard(training, dataset, { lo: 0, hi: samples, paddedTo: length }, (sample) => sample);
}

/** The first of the evaluation's shards that have the most values. */
function largestShard({ shards }: EvaluationPlan): number {
  const values = shards.map(({ lo, hi, paddedTo: length = 1 }) => (hi - lo) * length);
  return values.indexOf(Math.max(...values));
}

function programOf({ programs }: CompiledMode, { lo, hi, paddedTo: length }: PaddedSpan): ShardProgram {
  const key = programKey({ samples: hi - lo, paddedTo: length });
  const program = programs.get(key);
  if (program === undefined) throw new TuttiError("INTERNAL", `no program for shards of ${key} samples`);
  return program;
}
