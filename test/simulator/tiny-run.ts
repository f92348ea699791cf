import type { PreparedShard, TrainingRun } from "@tutti/coordinator";
import { type GradientRounding, gradientRounding } from "@tutti/core/compression";
import { batchPlan, type Dataset, data, evaluationPlan } from "@tutti/core/data";
import { compileOptimizer, optim } from "@tutti/core/optim";
import { flatLayout, type ShardProgram } from "@tutti/core/step";

export const chunkFloats = 32;
export const normBlockFloats = 16;

const [trainRows, validationRows] = [44, 10];
const numberOf = (row: number): number => Math.fround((row * 37) % 11) - 5.3;

/** What workers read for themselves where the run says so. */
export async function tinyData(): Promise<ReadonlyMap<string, Dataset>> {
  const numbers = (rows: number) => data.arrays({ x: Float32Array.from({ length: rows }, (_, row) => numberOf(row)) });
  const context = { baseDirectory: "/" };
  return new Map([
    ["train", await numbers(trainRows).open(context)],
    ["validation", await numbers(validationRows).open(context)],
  ]);
}

/**
 * A run of 6 steps over 44 numbers, 80 parameters in 3 chunks, validated every 3 steps; clipped by norm if `clip`.
 * @param placed data sets whose rows workers read for themselves: only row numbers are handed out.
 */
export function tinyRun(
  shards: number,
  clip: boolean,
  compress?: GradientRounding["to"],
  placed: ReadonlyMap<string, Dataset> = new Map(),
): TrainingRun {
  const layout = flatLayout([
    { name: "a", shape: [30] },
    { name: "b", shape: [40] },
  ]);
  const plan = batchPlan({ datasetSize: trainRows, batchSize: 16, lastBatch: "train", shards, seed: 7 });
  const evaluation = evaluationPlan({ datasetSize: validationRows, shardSize: 4 });
  const programs = [
    ...plan.shardShapes().map(({ samples }) => program("train", samples, layout.totalFloats)),
    ...evaluation.shardShapes().map(({ samples }) => program("evaluate", samples, layout.totalFloats)),
  ];
  const pack = (mode: "train" | "evaluate", rows: readonly number[]): PreparedShard => ({
    program: idOf(mode, rows.length),
    samples: rows.length,
    firstPosition: 0,
    bytes: new Uint8Array(Float32Array.from(rows, numberOf).buffer),
  });
  const handOut = (mode: "train" | "evaluate", rows: readonly number[]): PreparedShard => {
    const dataset = mode === "train" ? "train" : "validation";
    if (!placed.has(dataset)) return pack(mode, rows);
    return { ...pack(mode, rows), dataset, bytes: new Uint8Array(Uint32Array.from(rows).buffer) };
  };
  const rowsOf = (lo: number, hi: number, row: (position: number) => number): number[] =>
    Array.from({ length: hi - lo }, (_, i) => row(lo + i));
  return {
    id: "tiny",
    definitionDigest: "tiny",
    seed: 7,
    batchSize: 16,
    shards,
    layout,
    updated: layout,
    trainable: layout,
    statistics: [],
    programs,
    optimizer: compileOptimizer(
      optim.rmsprop({ lr: 0.01, momentum: 0.9, ...(clip ? { clipNorm: 1, ema: { decay: 0.9 } } : {}) }),
      layout,
    ),
    earlyStopping: null,
    // The last 16 floats are not rounded, as statistics are not.
    rounding: compress && { ...gradientRounding(compress, shards, 64), leastShards: shards > 5 ? 2 : 1 },
    stepsPerEpoch: plan.stepsPerEpoch,
    totalSteps: 6,
    metrics: [],
    canaries: [
      pack(
        "train",
        rowsOf(0, plan.shardShapes()[0]!.samples, (row) => row),
      ),
    ],
    placed: [...placed].map(([name, { fingerprint }]) => ({ name, fingerprint })),
    batches: {
      read: async (step) => {
        const batch = plan.at(step);
        const cut = batch.shards.map(({ lo, hi }) =>
          handOut(
            "train",
            rowsOf(lo, hi, (at) => plan.row(batch.epoch, batch.firstPosition + at)),
          ),
        );
        return { epoch: batch.epoch, samples: batch.samples, shards: cut };
      },
    },
    evaluation: {
      shards: evaluation.shards.length,
      samples: validationRows,
      metrics: [],
      collectBytes: () => 0,
      finishCollected: () => ({}),
      isDue: (step) => step % 3 === 0,
      read: async (shard) => {
        const { lo, hi } = evaluation.shards[shard]!;
        return handOut(
          "evaluate",
          rowsOf(lo, hi, (row) => row),
        );
      },
    },
  };
}

function idOf(mode: "train" | "evaluate", samples: number): string {
  return `${mode === "train" ? "aa" : "ee"}${samples.toString(16).padStart(2, "0")}`;
}

function program(mode: "train" | "evaluate", samples: number, floats: number): ShardProgram {
  return {
    id: idOf(mode, samples),
    mode,
    samples,
    onnx: new Uint8Array(1),
    columns: [{ name: "x", dtype: "float32", shape: [samples] }],
    parameters: [{ name: "all", shape: [floats], offset: 0, length: floats }],
    sums: mode === "train" ? [{ name: "all", shape: [floats], offset: 0, length: floats }] : [],
    sumsFloats: mode === "train" ? floats : 0,
    scalars: { name: "scalars", length: 2 },
    collects: [],
    randoms: [],
  };
}
