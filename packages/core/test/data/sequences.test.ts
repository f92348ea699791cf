import {
  batchPlan,
  type ColumnsOf,
  data,
  evaluationPlan,
  openBatches,
  openEvaluation,
  type PackedRows,
} from "@tutti/core/data";
import fc from "fast-check";
import { expect, expectTypeOf, test } from "vitest";
import { readRows, rejection } from "./read-all.ts";

const context = { baseDirectory: "/" };

const tokens = [[1], [2, 3], [4, 5, 6, 7], [8, 9, 10]] as const;
const source = data.arrays(
  {
    tokens: { dtype: "int32", shape: ["length"], values: tokens },
    label: Uint8Array.of(7, 8, 9, 10),
    path: {
      dtype: "float32",
      shape: ["length", 2],
      values: [
        [1, 2, 3, 4],
        [5, 6],
        [7, 8],
        [1, 2, 3, 4, 5, 6],
      ],
    },
  },
  { padTo: [2, 3, 5, 9] },
);

test("pads to the length that is asked for, with a mask beside every sequence", async () => {
  const dataset = await source.open(context);
  const shape = dataset.sequences!.paddedTo(3);
  expect(shape.columns).toEqual({
    tokens: { dtype: "int32", shape: [3] },
    tokens_mask: { dtype: "bool", shape: [3] },
    label: { dtype: "uint8", shape: [] },
    path: { dtype: "float32", shape: [3, 2] },
    path_mask: { dtype: "bool", shape: [3] },
  });
  const read = await readRows(shape, [3, 0, 1]);
  expect([...new Int32Array(read.tokens!.buffer)]).toEqual([8, 9, 10, 1, 0, 0, 2, 3, 0]);
  expect([...read.tokens_mask!]).toEqual([1, 1, 1, 1, 0, 0, 1, 1, 0]);
  expect([...read.label!]).toEqual([10, 7, 8]);
  expect([...new Float32Array(read.path!.buffer)]).toEqual([1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 0, 0, 5, 6, 0, 0, 0, 0]);
  expect([...read.path_mask!]).toEqual([1, 1, 1, 1, 1, 0, 1, 0, 0]);
  expect(dataset.columns.tokens).toEqual({ dtype: "int32", shape: [9] });
  expect((await readRows(dataset, [2])).tokens_mask).toEqual(Uint8Array.of(1, 1, 1, 1, 0, 0, 0, 0, 0));
});

test("keeps what does not fit into memory in a file, and gives the same rows", async () => {
  const rows = 4000;
  const lengthOf = (row: number) => 1 + ((row * 37) % 200);
  const large = data.from(
    function* () {
      for (let row = 0; row < rows; row++) {
        const tokens = Int32Array.from({ length: lengthOf(row) }, (_, i) => row * 200 + i);
        yield { row, tokens, path: Array.from({ length: 2 * lengthOf(row) }, (_, i) => row - i) };
      }
    },
    {
      columns: {
        row: "int32",
        tokens: { dtype: "int32", shape: ["length"] },
        path: { dtype: "float32", shape: ["length", 2] },
      },
      padTo: [50, 200],
    },
  );
  const inMemory = await large.open(context);
  const onDisk = await large.open({ ...context, memoryBytes: 1_000_000 });
  expect(onDisk.fingerprint).toBe(inMemory.fingerprint);
  const short = Array.from({ length: rows }, (_, row) => row).filter((row) => lengthOf(row) <= 50 && row % 3 === 1);
  for (const [length, wanted] of [[50, short] as const, [200, [3999, 5, 5, 1234, 0]] as const]) {
    const found = await readRows(onDisk.sequences!.paddedTo(length), wanted);
    expect(found).toEqual(await readRows(inMemory.sequences!.paddedTo(length), wanted));
    const tokens = new Int32Array(found.tokens!.buffer);
    for (const [index, row] of wanted.entries()) {
      const last = lengthOf(row) - 1;
      expect(tokens[index * length + last]).toBe(row * 200 + last);
      expect(tokens[index * length + last + 1] ?? 0).toBe(last + 1 < length ? 0 : (tokens[(index + 1) * length] ?? 0));
    }
  }
  expect(inMemory.read([0], { tokens: new Uint8Array(800) })).toBe(undefined);
  expect(onDisk.read([0], { tokens: new Uint8Array(800) })).toBeInstanceOf(Promise);
  await onDisk.close();
  await inMemory.close();
});

test("clears what was in the target", async () => {
  const shape = (await source.open(context)).sequences!.paddedTo(2);
  const dirty = { tokens: new Uint8Array(8).fill(255), tokens_mask: new Uint8Array(2).fill(255) };
  shape.read([0], dirty);
  expect([...dirty.tokens, ...dirty.tokens_mask]).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
});

test("knows the least length that holds a row, over all its sequences, and which lengths rows need", async () => {
  const { sequences } = await source.open(context);
  expect(sequences!.lengths).toEqual([2, 3, 5]); // no row needs 9
  expect([0, 1, 2, 3].map((row) => sequences!.lengthOf(row))).toEqual([2, 2, 5, 3]);
  expect((await data.arrays({ x: Uint8Array.of(1) }).open(context)).sequences).toBeUndefined();
});

test("takes rows of different lengths from iterables, as from arrays", async () => {
  const rows = tokens.map((values, row) => ({ tokens: values, label: 7 + row }));
  const columns = { tokens: { dtype: "int32", shape: ["length"] }, label: "uint8" } as const;
  const spooled = await data.from(() => rows, { columns, padTo: [4] }).open(context);
  const given = {
    tokens: { dtype: "int32", shape: ["length"], values: tokens },
    label: Uint8Array.of(7, 8, 9, 10),
  } as const;
  const arrays = (padTo: readonly number[]) => data.arrays(given, { padTo }).open(context);
  expect(await readRows(spooled, [2, 0])).toEqual(await readRows(await arrays([4]), [2, 0]));
  expect(spooled.fingerprint).toBe((await arrays([4])).fingerprint);
  expect(spooled.fingerprint).not.toBe((await arrays([2, 4])).fingerprint);
  const other = await data.from(() => [{ tokens: [1, 2], label: 7 }], { columns, padTo: [4] }).open(context);
  const moved = await data
    .from(
      () => [
        { tokens: [1], label: 7 },
        { tokens: [2], label: 7 },
      ],
      { columns, padTo: [4] },
    )
    .open(context);
  expect(other.fingerprint).not.toBe(moved.fingerprint);
});

test("keeps rows whole over many chunks, also rows longer than one", async () => {
  const lengthOf = (row: number): number => (row === 700 ? 400_000 : 1 + ((row * 7919) % 3000));
  function* generate() {
    for (let row = 0; row < 1000; row++) yield { x: new Float32Array(lengthOf(row)).fill(row) };
  }
  const columns = { x: { dtype: "float32", shape: ["length"] } } as const;
  const dataset = await data.from(generate, { columns, padTo: [3000, 400_000] }).open(context);
  const short = dataset.sequences!.paddedTo(3000);
  for (const row of [0, 1, 345, 699, 701, 999]) {
    const read = await readRows(short, [row]);
    const length = lengthOf(row);
    expect(new Float32Array(read.x!.buffer)).toEqual(new Float32Array(3000).fill(row, 0, length));
    expect(read.x_mask!.reduce((sum, bit) => sum + bit, 0)).toBe(length);
  }
  const { x } = await readRows(dataset, [700]);
  expect(new Float32Array(x!.buffer).every((value) => value === 700)).toBe(true);
  expect(() => short.read([700], { x: new Uint8Array(4 * 3000) })).toThrow("row 700 of length 400000");
});

test("refuses rows that do not fit, with their number, and truncates only when told", async () => {
  const columns = { x: { dtype: "uint8", shape: ["length"] }, p: { dtype: "int8", shape: ["length", 2] } } as const;
  const open = (row: object, truncate = false) =>
    data
      .from(() => [{ x: [1], p: [1, 2] }, row as { x: number[]; p: number[] }], { columns, padTo: [2, 3], truncate })
      .open(context);
  const cases: readonly [object, string][] = [
    [
      { x: [1, 2, 3, 4], p: [1, 2] },
      'row 2, column "x": expected a length of at most 3, the last of padTo (or truncate: true), found 4',
    ],
    [{ x: [], p: [1, 2] }, 'row 2, column "x": expected at least one value (shape [length]), found 0 values'],
    [
      { x: [1], p: [1, 2, 3] },
      'row 2, column "p": expected a positive multiple of 2 (shape [length, 2]), found 3 values',
    ],
    [{ x: [1, 256], p: [1, 2] }, 'row 2, column "x": expected an integer from 0 to 255, found 256 at position 1'],
    [{ x: 3, p: [1, 2] }, 'row 2, column "x": expected a list of values, found 3'],
    [{ p: [1, 2] }, 'row 2, column "x": expected a list of values, found none'],
    [{ x: "ab", p: [1, 2] }, 'row 2, column "x": expected a list of values, found "ab"'],
  ];
  for (const [row, message] of cases) {
    expect(await rejection(open(row))).toEqual({ code: "DATA_INVALID", message: `data.from ${message}` });
  }
  const arrays = data.arrays({ x: { dtype: "uint8", shape: ["length"], values: [[1], [1, 2, 3]] } }, { padTo: [2] });
  expect((await rejection(arrays.open(context))).message).toMatch(/^data\.arrays row 2, column "x": .* found 3$/);
  const cut = await open({ x: [1, 2, 3, 4], p: [1, 2, 3, 4, 5, 6, 7, 8] }, true);
  const read = await readRows(cut, [1]);
  expect([...read.x!, ...read.x_mask!, ...read.p!]).toEqual([1, 2, 3, 1, 1, 1, 1, 2, 3, 4, 5, 6]);
});

test("refuses options that do not fit the columns", () => {
  const from = (columns: object, options: object) => () =>
    data.from(() => [] as { x: number }[], { columns: columns as { x: "uint8" }, ...options });
  const ragged = { x: { dtype: "uint8", shape: ["length"] } };
  expect(from(ragged, {})).toThrow('data.from: column "x" has rows of different lengths: say which lengths');
  expect(from({ x: "uint8" }, { padTo: [3] })).toThrow('padTo: no column has a shape of ["length", …]');
  for (const padTo of [[], [3, 3], [4, 3], [0, 3], [1.5], "64", [2, "3"]]) {
    expect(from(ragged, { padTo })).toThrow("padTo: expected ascending positive integers, found");
  }
  expect(from(ragged, { padTo: [3], truncate: 1 })).toThrow("truncate: expected true or false, found 1");
  expect(from({ ...ragged, x_mask: "bool" }, { padTo: [3] })).toThrow('column "x_mask": the name is that of the mask');
  expect(from({ x: { dtype: "uint8", shape: [2, "length"] } }, { padTo: [3] })).toThrow("the first of which may be");
});

test("describes padTo and truncate as plain values", () => {
  expect(source.describe).toMatchObject({ columns: { tokens: { shape: ["length"] } }, padTo: [2, 3, 5, 9] });
  expect(() => source.withDescription({ ...source.describe, padTo: [9] })).toThrow("cannot be set");
});

test("the masks are columns for the type checker, too", () => {
  expectTypeOf<keyof ColumnsOf<typeof source>>().toEqualTypeOf<
    "tokens" | "tokens_mask" | "label" | "path" | "path_mask"
  >();
  expectTypeOf<ColumnsOf<typeof source>["tokens_mask"]["dtype"]>().toEqualTypeOf<"bool">();
  expectTypeOf<ColumnsOf<typeof source>["path"]["dtype"]>().toEqualTypeOf<"float32">();
  const rows = data.from(() => [{ a: [1], b: 2 }], {
    columns: { a: { dtype: "int64", shape: ["length"] }, b: "uint8" },
    padTo: [2],
  });
  expectTypeOf<keyof ColumnsOf<typeof rows>>().toEqualTypeOf<"a" | "a_mask" | "b">();
  expectTypeOf<ColumnsOf<typeof rows>["a"]["dtype"]>().toEqualTypeOf<"int64">();
});

const lengths = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 4, maxLength: 40 });
const padTo = [3, 8, 20];
const least = (rows: readonly number[]): number => padTo.find((length) => length >= Math.max(...rows))!;

function ragged(of: readonly number[]) {
  const values = of.map((length, row) => new Int32Array(length).fill(row + 1));
  return data.arrays({ id: { dtype: "int32", shape: ["length"], values } }, { padTo }).open(context);
}

/** The rows of a shard by what they hold, and the length they were padded to. */
function unpack({ columns, bytes, samples }: PackedRows): { rows: number[]; length: number } {
  const { offset, byteLength, shape } = columns.find(({ name }) => name === "id")!;
  const values = new Int32Array(bytes.slice(offset, offset + byteLength).buffer);
  return { rows: Array.from({ length: samples }, (_, i) => values[i * shape[1]!]! - 1), length: shape[1]! };
}

test("a batch is padded to the least length that holds its longest row, whatever its shards hold", async () => {
  await fc.assert(
    fc.asyncProperty(lengths, fc.integer({ min: 0, max: 9 }), async (of, seed) => {
      const dataset = await ragged(of);
      const options = { datasetSize: of.length, batchSize: 4, lastBatch: "train", shards: 3, seed } as const;
      const plan = batchPlan({ ...options, sequences: dataset.sequences });
      const reader = openBatches(dataset, plan);
      const shapes = plan.shardShapes().map(({ samples, paddedTo }) => `${samples}x${paddedTo}`);
      for (let step = 0; step < 2 * plan.stepsPerEpoch; step++) {
        const batch = plan.at(step);
        const shards = await Promise.all(batch.shards.map(async (_, i) => unpack(await reader.readShard(step, i))));
        const rows = shards.flatMap((shard) => shard.rows);
        expect(batch.paddedTo).toBe(least(rows.map((row) => of[row]!)));
        for (const { length, rows: own } of shards) {
          expect(length).toBe(batch.paddedTo);
          expect(shapes).toContain(`${own.length}x${length}`);
        }
        expect(rows).toEqual(rows.map((_, i) => plan.row(batch.epoch, batch.firstPosition + i)));
      }
    }),
    { numRuns: 40 },
  );
});

test("an evaluation pads each shard for itself, and has the shapes that occur", async () => {
  await fc.assert(
    fc.asyncProperty(lengths, async (of) => {
      const dataset = await ragged(of);
      const plan = evaluationPlan({ datasetSize: of.length, shardSize: 7, sequences: dataset.sequences });
      const reader = openEvaluation(dataset, plan);
      const seen = new Set<string>();
      for (const [index, { lo, hi, paddedTo }] of plan.shards.entries()) {
        expect(paddedTo).toBe(least(of.slice(lo, hi)));
        const { rows, length } = unpack(await reader.readShard(index));
        expect(length).toBe(paddedTo);
        expect(rows).toEqual(Array.from({ length: hi - lo }, (_, i) => lo + i));
        seen.add(`${hi - lo}x${paddedTo}`);
      }
      const shapes = plan.shardShapes().map(({ samples, paddedTo }) => `${samples}x${paddedTo}`);
      expect(shapes.toSorted()).toEqual([...seen].sort());
    }),
    { numRuns: 40 },
  );
});
