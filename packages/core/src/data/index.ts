import { arrays } from "./arrays.ts";
import { audio } from "./audio.ts";
import { csv } from "./csv.ts";
import { idx } from "./idx.ts";
import { images } from "./images.ts";
import { jsonl } from "./jsonl.ts";
import { npy } from "./npy.ts";
import { npz } from "./npz.ts";
import { parquet } from "./parquet.ts";
import { from } from "./rows.ts";
import { safetensors } from "./safetensors.ts";
import { split } from "./split.ts";
import { text } from "./text.ts";

/**
 * The data sources of a run file, and `data.split`, which makes two of one.
 *
 * @namespace
 */
export const data = {
  arrays,
  audio,
  csv,
  from,
  idx,
  images,
  jsonl,
  npy,
  npz,
  parquet,
  safetensors,
  split,
  text,
} as const;

export { alignedCategories } from "./aligned.ts";
export type { ColumnArray, SequenceColumn, ShapedColumn } from "./arrays.ts";
export type { AudioOptions } from "./audio.ts";
export { augment, checkAugmentation } from "./augment.ts";
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
export type { CsvOptions } from "./csv-options.ts";
export {
  type DataPlace,
  type Dataset,
  paddedTo,
  type RowPlace,
  rowRange,
  type Sequences,
  type Table,
  type TableColumnFacts,
} from "./dataset.ts";
export type { FileNames } from "./files.ts";
export type { ImagesOptions } from "./images.ts";
export type { JsonlOptions } from "./jsonl.ts";
export type { LabelledFiles } from "./labelled-files.ts";
export type { ParquetOptions } from "./parquet.ts";
export { type DataPlaces, openPlaces, parsePlaces } from "./places.ts";
export {
  type ColumnPreparation,
  type Preparation,
  prepareColumns,
  type Statistics,
  statisticsOf,
} from "./preparation.ts";
export type { Row, RowColumn } from "./rows.ts";
export { checkSampleWeights, sampleWeightColumn } from "./sample-weights.ts";
export {
  balancingWeights,
  type RowOrder,
  type RowSampling,
  samplingWeights,
  type WeightedSamplingOptions,
  weightedSampling,
} from "./sampling.ts";
export { saveDataset } from "./save.ts";
export { scalarColumn, valuesOf } from "./scalar-column.ts";
export type { SequenceOptions, SequenceType } from "./sequence-options.ts";
export type { ColumnsOf, DataSource, OpenContext, PlainData, PlainObject, SplitParts } from "./source.ts";
export type { SplitOptions, SplitValue } from "./split.ts";
export { type ColumnSurvey, type DataSurvey, type RowSurvey, surveyDataset, type ValueFacts } from "./survey.ts";
export type { CategoryColumn, Normalization, NumberColumn, TableColumn, TableColumns } from "./table-options.ts";
export type { TensorColumns } from "./tensor-columns.ts";
export type { TextOptions, TextSource } from "./text.ts";
export type { TokenKind } from "./tokens.ts";
