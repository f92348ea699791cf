import { type Dataset, data } from "@tutti/core/data";
import { computeMemory } from "@tutti/core/kernels";
import { Arena } from "@tutti/core/memory";
import type { ShardProgram } from "@tutti/core/step";
import { expect, test } from "vitest";
import { BatchStore } from "../src/batch-store.ts";
import { PlacedRows } from "../src/placed-rows.ts";

const program: ShardProgram = {
  id: "p",
  onnx: new Uint8Array(0),
  mode: "train",
  samples: 2,
  columns: [
    { name: "x", dtype: "float32", shape: [2, 2] },
    { name: "y", dtype: "uint8", shape: [2] },
  ],
  parameters: [],
  randoms: [],
  sums: [],
  sumsFloats: 0,
  scalars: { name: "s", length: 2 },
  collects: [],
};

const { arena } = computeMemory(new Arena(1 << 24));

/** Three rows, read when `open` is called. */
async function slowRows(): Promise<{ dataset: Dataset; open: () => void }> {
  const source = data.arrays({
    x: { dtype: "float32", shape: [2], values: Float32Array.of(1, 2, 3, 4, 5, 6) },
    y: Uint8Array.of(7, 8, 9),
  });
  const whole = await source.open({ baseDirectory: "/" });
  let open = (): void => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const { size, columns, fingerprint } = whole;
  const read: Dataset["read"] = async (rows, target) => {
    await gate;
    await whole.read(rows, target);
  };
  return { dataset: { size, columns, fingerprint, read, close: () => whole.close() }, open };
}

const shard = (numbers: Uint32Array, dataset = "train") => ({
  ...{ round: 3, shard: 1, program, firstPosition: 20, dataset },
  numbers: new Uint8Array(numbers.buffer),
});

test("holds a lease back until its rows are read, and puts them where lanes find them", async () => {
  const { dataset, open } = await slowRows();
  const batches = new BatchStore(arena);
  const rows = new PlacedRows(new Map([["train", dataset]]), batches);
  rows.read(shard(Uint32Array.of(2, 0)));
  const log: string[] = [];
  const dealt = new Promise<void>((resolve, reject) => {
    rows.whenRead(
      { round: 3, lo: 0, hi: 2 },
      () => {
        log.push("dealt");
        resolve();
      },
      reject,
    );
  });
  rows.whenRead(
    { round: 3, lo: 5, hi: 6 },
    () => log.push("another's rows"),
    () => {},
  );
  rows.whenRead(
    { round: 4, lo: 0, hi: 2 },
    () => log.push("another round"),
    () => {},
  );
  expect(log).toEqual(["another round"]);
  open();
  await dealt;
  expect(log).toEqual(["another round", "another's rows", "dealt"]);
  const held = batches.get(3, 1)!;
  expect([held.program, held.firstPosition]).toEqual(["p", 20]);
  expect([...arena.floats(held.address, 4)]).toEqual([5, 6, 1, 2]);
  expect([...arena.bytes(held.address + 64, 2)]).toEqual([9, 7]);
});

test("puts nothing for a round that has ended, and deals nothing of it", async () => {
  const { dataset, open } = await slowRows();
  const batches = new BatchStore(arena);
  const rows = new PlacedRows(new Map([["train", dataset]]), batches);
  rows.read(shard(Uint32Array.of(0, 1)));
  let called = 0;
  rows.whenRead(
    { round: 3, lo: 1, hi: 2 },
    () => called++,
    () => called++,
  );
  rows.forget(3);
  open();
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  expect([called, batches.get(3, 1)]).toEqual([0, undefined]);
});

test("says why rows cannot be read to the lease that needs them", async () => {
  const { dataset, open } = await slowRows();
  open();
  const rows = new PlacedRows(new Map([["train", dataset]]), new BatchStore(arena));
  rows.read(shard(Uint32Array.of(0, 3)));
  const failure = await new Promise((_, reject) => {
    rows.whenRead({ round: 3, lo: 1, hi: 2 }, () => reject(new Error("dealt")), reject);
  }).catch((error: unknown) => error);
  expect(failure).toMatchObject({ message: "row 3 was asked for; the data set has rows 0 to 2" });
});

test("reads rows again for the next lease when they could not be read for the last", async () => {
  const { dataset, open } = await slowRows();
  open();
  let failures = 1;
  const read: Dataset["read"] = async (rows, target) => {
    if (failures-- > 0) throw new Error("EIO: i/o error");
    await dataset.read(rows, target);
  };
  const batches = new BatchStore(arena);
  const rows = new PlacedRows(new Map([["train", { ...dataset, read }]]), batches);
  rows.read(shard(Uint32Array.of(2, 0)));
  const lease = (): Promise<void> =>
    new Promise((resolve, reject) => rows.whenRead({ round: 3, lo: 1, hi: 2 }, resolve, reject));
  await expect(lease()).rejects.toThrow("EIO: i/o error");
  await lease();
  expect([...arena.floats(batches.get(3, 1)!.address, 4)]).toEqual([5, 6, 1, 2]);
});
