import { arrays } from "./arrays.ts";
import { csv } from "./csv.ts";
import { idx } from "./idx.ts";
import { npy } from "./npy.ts";
import { npz } from "./npz.ts";
import { from } from "./rows.ts";
import { safetensors } from "./safetensors.ts";

/** The data sources of a run file: `data.idx`, `data.csv`, `data.npy`, `data.arrays`, `data.from` and others. */
export const data = { arrays, csv, from, idx, npy, npz, safetensors } as const;

export type { ColumnArray, SequenceColumn, ShapedColumn } from "./arrays.ts";
export {
  type BatchPlan,
  type BatchPlanOptions,
  batchPlan,
  type EvaluationPlan,
  evaluationPlan,
  type PaddedSpan,
  type PlannedBatch,
  type ShardShape,
  type Span,
} from "./batch-plan.ts";
export {
  type BatchReader,
  type EvaluationReader,
  openBatches,
  openEvaluation,
  type PackedColumn,
  type PackedRows,
  packedLayout,
  packRows,
} from "./batches.ts";
export {
  bytesOf,
  bytesPerSample,
  type ColumnDType,
  type ColumnType,
  type ColumnTypes,
  columnDTypes,
  elementsPerSample,
  type Scalar,
} from "./column.ts";
export type { CsvColumn, CsvOptions } from "./csv-options.ts";
export { type DataPlace, type Dataset, paddedTo, type Sequences } from "./dataset.ts";
export type { FileNames } from "./files.ts";
export { type DataPlaces, openPlaces, parsePlaces } from "./places.ts";
export type { Row, RowColumn } from "./rows.ts";
export { checkSampleWeights, sampleWeightColumn } from "./sample-weights.ts";
export {
  type RowOrder,
  type RowSampling,
  samplingWeights,
  type WeightedSamplingOptions,
  weightedSampling,
} from "./sampling.ts";
export { saveDataset } from "./save.ts";
export { scalarColumn, valuesOf } from "./scalar-column.ts";
export type { SequenceOptions, SequenceType } from "./sequence-options.ts";
export type { ColumnsOf, DataSource, OpenContext, PlainData, PlainObject } from "./source.ts";
export type { TensorColumns } from "./tensor-columns.ts";
