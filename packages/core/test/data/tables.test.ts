import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  alignedCategories,
  type CsvOptions,
  type Dataset,
  data,
  prepareColumns,
  type TableColumn,
} from "@tutti/core/data";
import type { TuttiError } from "@tutti/core/errors";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readAll, readRows, rejection } from "./read-all.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tutti-tables-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function opened(text: string, options: CsvOptions = {}, name = "table.csv"): Promise<Dataset> {
  await writeFile(join(folder, name), text);
  return data.csv(name, options).open({ baseDirectory: folder });
}

const int32 = (bytes: Uint8Array | undefined): readonly number[] => [...new Int32Array(bytes!.buffer)];
const float32 = (bytes: Uint8Array | undefined): readonly number[] => [...new Float32Array(bytes!.buffer)];

test("categories are the words of all rows, sorted by code units, whatever order they come in", async () => {
  const { columns, table, ...rest } = await opened("w\nb\nä\nZ\n10\n9\nb\n", { columns: { w: "category" } });
  expect(table!.columns.w).toEqual({ missingCells: 0, categories: ["10", "9", "Z", "b", "ä"] });
  expect(columns.w).toEqual({ dtype: "int32", shape: [] });
  const dataset = await opened("w\nb\nä\nZ\n10\n9\nb\n", { columns: { w: "category" } });
  expect(int32((await readAll(dataset)).w)).toEqual([3, 4, 2, 0, 1, 3]);
  const shuffled = await opened("w\n9\nb\nb\nZ\nä\n10\n", { columns: { w: "category" } });
  expect(shuffled.table!.columns.w!.categories).toEqual(table!.columns.w!.categories);
  expect(rest.size).toBe(6);
});

test("a list of categories fixes their places, missing and unknown words", async () => {
  const columns = {
    w: { dtype: "category", categories: ["small", "large", "other"], missing: "small", unknown: "other" },
  } as const;
  const dataset = await opened("w,x\nlarge,1\n,2\nhuge,3\n small ,4\n", { columns });
  expect(int32((await readAll(dataset)).w)).toEqual([1, 0, 2, 0]);
  expect(dataset.table!.columns.w).toEqual({
    ...{ missingCells: 1, categories: ["small", "large", "other"], unknown: 2 },
  });
});

test("has the fingerprint of its values, as a file of the same columns has", async () => {
  const table = await opened("w,x\nb,1\na,2\nb,3\n", { columns: { w: "category", x: "float32" } });
  const same = await data
    .arrays({ w: Int32Array.of(1, 0, 1), x: Float32Array.of(1, 2, 3) })
    .open({ baseDirectory: folder });
  expect(table.fingerprint).toBe(same.fingerprint);
});

test("what stands for a missing cell depends on the column, and rows left out keep the others' numbers", async () => {
  const text = "f,i,b,c,d\n,,,,1\n2,7,true,x,\n3,8,false,y,3\nNA,9,false,y,4\n";
  const columns = {
    f: { dtype: "float32", missing: "mean" },
    i: { dtype: "uint8", missing: 255 },
    b: { dtype: "bool", missing: true },
    c: { dtype: "category", missing: "none" },
    d: { dtype: "float64", missing: "drop" },
  } as const;
  const dataset = await opened(text, { columns, missingText: ["", "NA"] });
  const { f, i, b, c, d } = await readAll(dataset);
  expect(dataset.size).toBe(3);
  expect(float32(f)).toEqual([Number.NaN, 3, Number.NaN]);
  expect([...i!]).toEqual([255, 8, 9]);
  expect([...b!]).toEqual([1, 0, 0]);
  expect(int32(c)).toEqual([0, 2, 2]); // none, x, y
  expect([...new Float64Array(d!.buffer)]).toEqual([1, 3, 4]);
  expect(dataset.table!.rowsLeftOut).toBe(1);
  expect(dataset.table!.columns.f).toEqual({ missingCells: 2, fill: "mean" });
  expect([0, 1, 2].map((row) => dataset.table!.locate(row))).toEqual(
    [1, 3, 4].map((row) => ({ file: "table.csv", row })),
  );
  // NaN has one pattern of bits, whoever wrote it.
  expect([...new Uint32Array(f!.buffer.slice(0, 4))]).toEqual([0x7fc00000]);
});

test("statistics are of the values that are there, as Python computes them", async () => {
  // Of x = [1, 4, 6, 9.5]: mean 5.125, deviation (of the population) 3.0898017735770686, median 5.
  const text = "x,y,z\n1,10,2\n,20,3\n4,10,7\n6,10,7\n9.5,50,11\n";
  const dataset = await opened(text, {
    columns: {
      x: { dtype: "float64", missing: "median", normalize: "standard" },
      y: { dtype: "int32", normalize: "minmax" },
      pair: { dtype: "float32", from: ["z", "x"], missing: 0, normalize: "standard" },
      z: "float32",
    },
  });
  const { x, y, pair, ...rest } = await prepareColumns(dataset);
  expect(rest).toEqual({});
  expect(x).toEqual({ fill: [5], offset: [5.125], scale: [3.0898017735770686] });
  expect(y).toEqual({ offset: [10], scale: [40] });
  expect(pair!.fill).toEqual([0, 0]);
  expect(pair!.offset).toEqual([6, 5.125]);
  expect(pair!.scale![0]).toBeCloseTo(3.2249030993194197, 12);
});

test("a column that cannot be scaled, and one that is missing everywhere, are refused by name", async () => {
  const constant = await opened("x\n3\n3\n", { columns: { x: { dtype: "float32", normalize: "minmax" } } });
  expect(await rejection(prepareColumns(constant))).toEqual({
    code: "DATA_INVALID",
    message:
      'column "x": normalize: "minmax" needs different values in the training rows, found 3 in all 2: leave the column out, or do not normalize it',
  });
  const empty = await opened("x,y\n,1\n,2\n", { columns: { x: { dtype: "float32", missing: "mean" } } });
  expect((await rejection(prepareColumns(empty))).message).toBe('column "x": is missing in all 2 rows: leave it out');
});

test("reads several files as one table, and says which one a row is of", async () => {
  await writeFile(join(folder, "part-1.csv"), "a,b\n1,x\n2,y\n");
  await writeFile(join(folder, "part-2.csv"), "b,a\nz,3\n");
  const dataset = await data.csv("part-*.csv").open({ baseDirectory: folder });
  const { a, b } = await readAll(dataset);
  expect(int32(a)).toEqual([1, 2, 3]);
  expect(int32(b)).toEqual([0, 1, 2]);
  expect(dataset.table!.locate(2)).toEqual({ file: "part-2.csv", row: 1 });
  await writeFile(join(folder, "part-3.csv"), "a,c\n1,x\n");
  expect((await rejection(data.csv("part-*.csv").open({ baseDirectory: folder }))).message).toBe(
    'part-3.csv: expected the columns of part-2.csv, "a", "b"; found "a", "c": declare the columns that both have',
  );
  await writeFile(join(folder, "part-3.csv"), "a,b\n1,x\nold,y\n");
  expect((await rejection(data.csv(["part-1.csv", "part-3.csv"]).open({ baseDirectory: folder }))).message).toMatch(
    /^part-3\.csv row 2, column "a": expected a number, as in the rows before, found "old" \(line 3\)/,
  );
});

test("what does not fit into memory is kept in a file, and gives the same rows", async () => {
  const rows = 150_000;
  const text = `f,w,i\n${Array.from({ length: rows }, (_, row) => `${row % 9 === 0 ? "" : row / 4},${["b", "a", "c"][row % 3]},${row}`).join("\n")}\n`;
  await writeFile(join(folder, "many.csv"), text);
  const declared = { f: { dtype: "float32", missing: "mean" }, w: "category", i: "int64" } as const;
  const inferred = text.replaceAll(/^,/gm, "0,");
  await writeFile(join(folder, "many-whole.csv"), inferred);
  for (const source of [data.csv("many.csv", { columns: declared }), data.csv("many-whole.csv")]) {
    const memory = await source.open({ baseDirectory: folder });
    const file = await source.open({ baseDirectory: folder, memoryBytes: 600_000 });
    expect(file.fingerprint).toBe(memory.fingerprint);
    expect(file.columns).toEqual(memory.columns);
    const some = Array.from({ length: 500 }, (_, index) => (index * 7919) % rows);
    expect(await readRows(file, some)).toEqual(await readRows(memory, some));
    await file.close();
  }
  const onDisk = await data
    .csv("many.csv", { columns: declared })
    .open({ baseDirectory: folder, memoryBytes: 600_000 });
  const reading = onDisk.read([0], { w: new Uint8Array(4) });
  expect(reading).toBeInstanceOf(Promise); // and not undefined, as in memory
  await reading;
  await onDisk.close();
});

test("collects what is wrong and leaves those rows out, for whoever asks", async () => {
  await writeFile(join(folder, "bad.csv"), "a,b\n1,x\nold,y\n3\n,z\n5,w\n");
  const problems: TuttiError[] = [];
  const source = data.csv("bad.csv", { columns: { a: "int32", b: "category" } });
  const dataset = await source.open({ baseDirectory: folder, onProblem: (problem) => problems.push(problem) });
  expect(int32((await readAll(dataset)).a)).toEqual([1, 5]);
  expect(problems.map(({ message }) => message.split(":")[0])).toEqual([
    'bad.csv row 2, column "a"',
    "bad.csv row 3",
    'bad.csv row 4, column "a"',
  ]);
  expect(problems[0]!.details).toMatchObject({ row: 2, line: 3, column: "a" });
  expect(dataset.table!.locate(1)).toEqual({ file: "bad.csv", row: 5 });
  expect(dataset.table).toMatchObject({ rowsLeftOut: 3, columns: { a: { missingCells: 1 } } });
});

test("validation data counts words as the training data does, and says where a new one is", async () => {
  const columns = { w: "category" } as const;
  const train = await opened("w\nb\nc\na\n", { columns }, "train.csv");
  const validation = await opened("w\nc\nb\n", { columns }, "test.csv");
  const aligned = await alignedCategories(train, validation);
  expect(int32((await readRows(aligned, [0, 1, 0])).w)).toEqual([2, 1, 2]);
  const other = await opened("w\nc\nb\nd\n", { columns }, "test.csv");
  expect(await rejection(alignedCategories(train, other))).toEqual({
    code: "DATA_INVALID",
    message:
      'test.csv row 3, column "w": expected a category of the training data, "a", "b", "c"; found "d": list the categories of both, or name one that stands for it: unknown: "…"',
  });
  const tolerant = await opened("w\nb\nc\n", { columns: { w: { dtype: "category", unknown: "?" } } }, "train.csv");
  expect(tolerant.table!.columns.w).toMatchObject({ categories: ["?", "b", "c"], unknown: 0 });
  expect(int32((await readAll(await alignedCategories(tolerant, other))).w)).toEqual([2, 1, 0]);
});

test("refuses options of columns that make no sense", () => {
  const csv = (column: object) => () => data.csv("x.csv", { columns: { a: column as TableColumn } });
  const cases: readonly [object, string][] = [
    [{ dtype: "int32", missing: "mean" }, 'missing: expected a number that fits int32 or "drop", found "mean"'],
    [{ dtype: "uint8", missing: 256 }, 'missing: expected a number that fits uint8 or "drop", found 256'],
    [{ dtype: "float32", missing: "mode" }, '"mean", "median" or "drop", found "mode"'],
    [{ dtype: "bool", missing: 1 }, 'missing: expected true, false or "drop", found 1'],
    [{ dtype: "bool", normalize: "standard" }, "expected no normalize for bool"],
    [{ dtype: "float32", normalize: "l2" }, 'expected normalize: "standard" or "minmax", found "l2"'],
    [{ dtype: "float32", categories: ["a"] }, 'unknown option "categories"; there are dtype, from, missing, normalize'],
    [{ dtype: "category", normalize: "minmax" }, 'unknown option "normalize"'],
    [{ dtype: "category", categories: ["a", "a"] }, "categories: expected a list of different words"],
    [{ dtype: "category", categories: ["a"], missing: "b" }, 'missing: expected one of the categories a, found "b"'],
    [{ dtype: "category", from: ["a", "b"] }, 'expected "from" to name one column of the file'],
  ];
  for (const [column, message] of cases) expect(csv(column), message).toThrow(message);
});
