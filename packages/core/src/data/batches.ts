import { TuttiError } from "../errors/index.ts";
import { alignUp } from "../memory/index.ts";
import type { BatchPlan, EvaluationPlan, Span } from "./batch-plan.ts";
import { bytesPerSample, type ColumnDType } from "./column.ts";
import { type Dataset, paddedTo } from "./dataset.ts";

/** Where a column of a shard lies in its buffer. */
export interface PackedColumn {
  readonly name: string;
  readonly dtype: ColumnDType;
  /** [samples, ...sample shape]. */
  readonly shape: readonly number[];
  /** A multiple of 64. */
  readonly offset: number;
  readonly byteLength: number;
}

/** The rows of one shard in one buffer, columns in the dataset's order, so that it travels as one frame. */
export interface PackedRows {
  readonly samples: number;
  /** A whole ArrayBuffer of its own: the caller owns it and may transfer it. The bytes between columns are zero. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly columns: readonly PackedColumn[];
}

/** Where each column of `samples` rows lies, and how many bytes they take together. */
export function packedLayout(dataset: Dataset, samples: number): { bytes: number; columns: readonly PackedColumn[] } {
  let end = 0;
  const columns = Object.entries(dataset.columns).map(([name, type]): PackedColumn => {
    const offset = alignUp(end);
    const byteLength = samples * bytesPerSample(type);
    end = offset + byteLength;
    return { name, dtype: type.dtype, shape: [samples, ...type.shape], offset, byteLength };
  });
  return { bytes: end, columns };
}

/** Reads rows into one fresh buffer. */
export async function packRows(dataset: Dataset, rows: ArrayLike<number>): Promise<PackedRows> {
  const layout = packedLayout(dataset, rows.length);
  const bytes = new Uint8Array(layout.bytes);
  const target = Object.fromEntries(
    layout.columns.map(({ name, offset, byteLength }) => [name, bytes.subarray(offset, offset + byteLength)]),
  );
  await dataset.read(rows, target);
  return { samples: rows.length, bytes, columns: layout.columns };
}

export interface BatchReader {
  /** @param step global step, from 0. */
  readShard(step: number, shardIndex: number): Promise<PackedRows>;
}

/** Reads the shards of training steps, in the plan's order of rows. The dataset stays the caller's to close. */
export function openBatches(dataset: Dataset, plan: BatchPlan): BatchReader {
  return {
    async readShard(step, shardIndex) {
      const batch = plan.at(step);
      const { lo, hi } = shardAt(batch.shards, shardIndex);
      const rows = Float64Array.from({ length: hi - lo }, (_, index) =>
        plan.row(batch.epoch, batch.firstPosition + lo + index),
      );
      return packRows(paddedTo(dataset, batch.paddedTo), rows);
    },
  };
}

export interface EvaluationReader {
  readShard(shardIndex: number): Promise<PackedRows>;
}

/** Reads the shards of an evaluation. The dataset stays the caller's to close. */
export function openEvaluation(dataset: Dataset, plan: EvaluationPlan): EvaluationReader {
  return {
    async readShard(shardIndex) {
      const { lo, hi, paddedTo: length } = shardAt(plan.shards, shardIndex);
      return packRows(
        paddedTo(dataset, length),
        Float64Array.from({ length: hi - lo }, (_, index) => lo + index),
      );
    },
  };
}

function shardAt<Shard extends Span>(shards: readonly Shard[], index: number): Shard {
  const shard = shards[index];
  if (shard === undefined) throw new TuttiError("INTERNAL", `shard ${index} was asked for; there are ${shards.length}`);
  return shard;
}
