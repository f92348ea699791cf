import type { PreparedShard, SumMetric, TrainingRun } from "@tutti/coordinator";
import type { Dataset } from "@tutti/core/data";
import { packedCollects, packedColumns } from "@tutti/core/engine";
import { TuttiError } from "@tutti/core/errors";
import {
  type CompiledMetric,
  type CompiledRun,
  type CompileOptions,
  checkColumns,
  compileRun,
  finishCollected,
  type RunDefinition,
} from "@tutti/core/run";
import type { ShardProgram } from "@tutti/core/step";

/** A run whose data is open and whose programs are built. */
export interface PreparedRun {
  readonly compiled: CompiledRun;
  readonly run: TrainingRun;
  close(): Promise<void>;
}

/**
 * Opens the run's data and compiles it. Throws what opening (DATA_MISSING, DATA_INVALID) and compiling throw.
 * @param baseDirectory folder that relative data paths start from.
 */
export async function prepareRun(
  definition: RunDefinition,
  baseDirectory: string,
  options: CompileOptions & { readonly maxSteps?: number | undefined } = {},
): Promise<PreparedRun> {
  const open: Dataset[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(open.map((dataset) => dataset.close()));
  };
  try {
    const { train, validation } = definition.sources;
    const trainData = await train.open({ baseDirectory });
    open.push(trainData);
    const validationData = await validation?.open({ baseDirectory });
    if (validationData !== undefined) open.push(validationData);
    const { maxSteps, ...compileOptions } = options;
    const compiled = compileRun(definition, { train: trainData, validation: validationData }, compileOptions);
    return { compiled, run: await trainingRun(compiled, trainData, validationData, maxSteps), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function trainingRun(
  compiled: CompiledRun,
  train: Dataset,
  validation: Dataset | undefined,
  maxSteps: number | undefined,
): Promise<TrainingRun> {
  const { plan, training, evaluation } = compiled;
  const programs = [...training.programs.values(), ...(evaluation?.programs.values() ?? [])];
  const canaries = [await firstRows(largest(training.programs), train)];
  if (evaluation !== null) canaries.push(await firstRows(largest(evaluation.programs), validation!));
  const evaluationProgram = (shard: number): ShardProgram => {
    const { lo, hi } = evaluation!.plan.shards[shard]!;
    return programOf(evaluation!.programs, hi - lo);
  };
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
    programs,
    optimizer: compiled.optimizer,
    earlyStopping: compiled.definition.plain.earlyStopping,
    stepsPerEpoch: plan.stepsPerEpoch,
    totalSteps: Math.min(compiled.totalSteps, maxSteps ?? Number.POSITIVE_INFINITY),
    metrics: training.metrics.map(sumMetric),
    canaries,
    batches: {
      read: async (step) => {
        const batch = plan.at(step);
        const shards: PreparedShard[] = [];
        for (const { lo, hi } of batch.shards) {
          const rowOf = (sample: number): number => plan.row(batch.epoch, batch.firstPosition + lo + sample);
          shards.push(await readShard(programOf(training.programs, hi - lo), train, lo, rowOf));
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
            read: (shard) => {
              const { lo, hi } = evaluation.plan.shards[shard]!;
              return readShard(programOf(evaluation.programs, hi - lo), validation!, lo, (sample) => lo + sample);
            },
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

/** Rows of one shard in one block, the columns as the program's manifest lists them, each on 64 bytes. */
async function readShard(
  program: ShardProgram,
  dataset: Dataset,
  firstPosition: number,
  rowOf: (sample: number) => number,
): Promise<PreparedShard> {
  const { offsets, totalBytes } = packedColumns(program);
  const bytes = new Uint8Array(totalBytes);
  const columns = program.columns.map(({ name, dtype, shape }, i) => {
    const offset = offsets[i]!;
    const end = offsets[i + 1] ?? totalBytes;
    const byteLength = shape.reduce((product, size) => product * size, bytesPerElement[dtype]);
    if (offset + byteLength > end) throw new TuttiError("INTERNAL", `column ${name} does not fit its place`);
    return { name, dtype, shape, offset, byteLength };
  });
  const rows = Float64Array.from({ length: program.samples }, (_, sample) => rowOf(sample));
  await dataset.read(
    rows,
    Object.fromEntries(
      columns.map(({ name, offset, byteLength }) => [name, bytes.subarray(offset, offset + byteLength)]),
    ),
  );
  checkColumns(program, { samples: program.samples, bytes, columns }, (sample) => rows[sample]!);
  return { program: program.id, samples: program.samples, firstPosition, bytes };
}

const bytesPerElement = {
  float32: 4,
  float64: 8,
  int8: 1,
  uint8: 1,
  int16: 2,
  uint16: 2,
  int32: 4,
  int64: 8,
  bool: 1,
} as const;

function firstRows(program: ShardProgram, dataset: Dataset): Promise<PreparedShard> {
  return readShard(program, dataset, 0, (sample) => sample);
}

function largest(programs: ReadonlyMap<number, ShardProgram>): ShardProgram {
  return programOf(programs, Math.max(...programs.keys()));
}

function programOf(programs: ReadonlyMap<number, ShardProgram>, samples: number): ShardProgram {
  const program = programs.get(samples);
  if (program === undefined) throw new TuttiError("INTERNAL", `no program for shards of ${samples} samples`);
  return program;
}
