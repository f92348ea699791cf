import { batchPlan, data, evaluationPlan, openBatches, openEvaluation, type PackedRows } from "@tutti/core/data";
import { expect, test } from "vitest";

const size = 23;

function dataset() {
  return data
    .arrays({
      x: { dtype: "uint8", shape: [3], values: Array.from({ length: 3 * size }, (_, index) => index) },
      id: Int32Array.from({ length: size }, (_, row) => row * 1000),
      weight: Float64Array.from({ length: size }, (_, row) => row / 8),
    })
    .open({ baseDirectory: "/" });
}

function unpack({ bytes, columns }: PackedRows) {
  const [x, id, weight] = columns.map(({ offset, byteLength }) => bytes.slice(offset, offset + byteLength).buffer);
  return { x: [...new Uint8Array(x!)], id: [...new Int32Array(id!)], weight: [...new Float64Array(weight!)] };
}

test("packs a shard's columns into one buffer, each on 64 bytes", async () => {
  const plan = batchPlan({ datasetSize: size, batchSize: 10, lastBatch: "train", shards: 2, seed: 3 });
  const packed = await openBatches(await dataset(), plan).readShard(0, 1);
  expect(packed.samples).toBe(5);
  expect(packed.columns).toEqual([
    { name: "x", dtype: "uint8", shape: [5, 3], offset: 0, byteLength: 15 },
    { name: "id", dtype: "int32", shape: [5], offset: 64, byteLength: 20 },
    { name: "weight", dtype: "float64", shape: [5], offset: 128, byteLength: 40 },
  ]);
  expect(packed.bytes.byteLength).toBe(168);
  expect(packed.bytes.buffer.byteLength).toBe(168);
  const covered = packed.bytes.filter((_, at) => (at >= 15 && at < 64) || (at >= 84 && at < 128));
  expect(covered.every((byte) => byte === 0)).toBe(true);
});

test("reads the planned rows of every shard of two epochs, columns in step", async () => {
  const plan = batchPlan({ datasetSize: size, batchSize: 10, lastBatch: "train", shards: 2, seed: 3 });
  const reader = openBatches(await dataset(), plan);
  for (const epoch of [0, 1]) {
    const seen: number[] = [];
    for (let index = 0; index < plan.stepsPerEpoch; index++) {
      const step = epoch * plan.stepsPerEpoch + index;
      for (const [shardIndex, { lo }] of plan.at(step).shards.entries()) {
        const { x, id, weight } = unpack(await reader.readShard(step, shardIndex));
        const rows = id.map((value) => value / 1000);
        expect(rows[0]).toBe(plan.row(epoch, index * 10 + lo));
        expect(x).toEqual(rows.flatMap((row) => [3 * row, 3 * row + 1, 3 * row + 2]));
        expect(weight).toEqual(rows.map((row) => row / 8));
        seen.push(...rows);
      }
    }
    expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: size }, (_, row) => row));
  }
});

test("reads an evaluation in the order of the rows", async () => {
  const plan = evaluationPlan({ datasetSize: size, shardSize: 9 });
  const reader = openEvaluation(await dataset(), plan);
  const ids: number[] = [];
  for (const [index] of plan.shards.entries()) ids.push(...unpack(await reader.readShard(index)).id);
  expect(ids).toEqual(Array.from({ length: size }, (_, row) => row * 1000));
  await expect(reader.readShard(3)).rejects.toThrow("shard 3 was asked for; there are 3");
});
