import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { data, type ParquetOptions } from "@tutti/core/data";
import type { TuttiError } from "@tutti/core/errors";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readAll, rejection } from "./read-all.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tutti-parquet-"));
});
afterAll(() => rm(folder, { recursive: true }));

type Columns = Parameters<typeof parquetWriteBuffer>[0]["columnData"];

async function write(columnData: Columns, options: object = {}, name = "rows.parquet"): Promise<void> {
  await writeFile(join(folder, name), new Uint8Array(parquetWriteBuffer({ columnData, ...options })));
}

const opened = (options: ParquetOptions = {}, name = "rows.parquet") =>
  data.parquet(name, options).open({ baseDirectory: folder });

test("reads numbers, words, nulls and lists over many row groups, by their place", async () => {
  const rows = 2500;
  const numbers = Float64Array.from({ length: rows }, (_, row) => row / 8);
  await write(
    [
      { name: "f", data: numbers, type: "DOUBLE" },
      { name: "i", data: Array.from({ length: rows }, (_, row) => row - 7), type: "INT32" },
      { name: "big", data: Array.from({ length: rows }, (_, row) => 2n ** 60n + BigInt(row)), type: "INT64" },
      { name: "w", data: Array.from({ length: rows }, (_, row) => ["b", "a", "ü"][row % 3]!), type: "STRING" },
      { name: "ok", data: Array.from({ length: rows }, (_, row) => row % 2 === 0), type: "BOOLEAN" },
      { name: "hole", data: Array.from({ length: rows }, (_, row) => (row % 5 === 0 ? null : row)), type: "INT32" },
    ],
    { rowGroupSize: 700 },
  );
  const dataset = await opened({
    columns: {
      hole: { dtype: "float32", missing: "mean" },
      pair: { dtype: "float64", from: ["f", "i"] },
      big: "int64",
      w: "category",
      ok: "bool",
    },
  });
  expect(dataset.size).toBe(rows);
  const { hole, pair, big, w, ok } = await readAll(dataset);
  const [holes, pairs] = [new Float32Array(hole!.buffer), new Float64Array(pair!.buffer)];
  const [bigs, words] = [new BigInt64Array(big!.buffer), new Int32Array(w!.buffer)];
  for (let row = 0; row < rows; row++) {
    expect(holes[row]).toBe(row % 5 === 0 ? Number.NaN : row);
    expect([pairs[2 * row], pairs[2 * row + 1]]).toEqual([row / 8, row - 7]);
    expect(bigs[row]).toBe(2n ** 60n + BigInt(row));
    expect(words[row]).toBe([1, 0, 2][row % 3]);
    expect(ok![row]).toBe(Number(row % 2 === 0));
  }
  expect(dataset.table!.columns.hole!.missingCells).toBe(500);
});

test("infers types from the file's and its values: integers as they fit, other numbers as float32", async () => {
  await write([
    { name: "double", data: [1, 2], type: "DOUBLE" },
    { name: "small", data: [1n, -2n], type: "INT64" },
    { name: "large", data: [2n ** 40n, 1n], type: "INT64" },
    { name: "day", data: [new Date(86_400_000), new Date(0)], type: "TIMESTAMP" },
    { name: "word", data: ["x", "y"], type: "STRING" },
  ]);
  const dataset = await opened();
  const dtypes = Object.entries(dataset.columns).map(([name, { dtype }]) => `${name} ${dtype}`);
  expect(dtypes).toEqual(["double float32", "small int32", "large int64", "day int32", "word int32"]);
  expect([...new Int32Array((await readAll(dataset)).day!.buffer)]).toEqual([86_400_000, 0]);
});

test("reads every compression that hyparquet-writer writes alike", async () => {
  const data = Float32Array.from({ length: 5000 }, (_, row) => Math.floor(row / 10) / 4);
  const fingerprints = new Set<string>();
  for (const codec of ["UNCOMPRESSED", "SNAPPY"]) {
    await write([{ name: "x", data, type: "FLOAT" }], { codec });
    fingerprints.add((await opened()).fingerprint);
  }
  expect(fingerprints.size).toBe(1);
});

test("says which row of which file is wrong and what to do", async () => {
  await write([{ name: "a", data: [1, 2], type: "DOUBLE" }], {}, "part-1.parquet");
  await write([{ name: "a", data: [3, null, 5], type: "DOUBLE" }], {}, "part-2.parquet");
  const source = data.parquet("part-*.parquet", { columns: { a: "float32" } });
  expect(await rejection(source.open({ baseDirectory: folder }))).toEqual({
    code: "DATA_INVALID",
    message:
      'part-2.parquet row 2, column "a": expected a number, found null; say what stands for a missing cell: missing: a value, "mean", "median", or "drop" to leave the row out',
  });
  const problems: TuttiError[] = [];
  const rest = await source.open({ baseDirectory: folder, onProblem: (problem) => problems.push(problem) });
  expect(new Float32Array((await readAll(rest)).a!.buffer)).toEqual(Float32Array.of(1, 2, 3, 5));
  expect(rest.table!.locate(3)).toEqual({ file: "part-2.parquet", row: 3 });
  expect(problems).toHaveLength(1);

  await write([{ name: "a", data: [1, Number.NaN], type: "DOUBLE" }]);
  expect((await rejection(opened())).message).toMatch(/^rows\.parquet row 2, column "a": expected a value, found NaN;/);
  await write([{ name: "a", data: [1, 300], type: "INT32" }]);
  expect((await rejection(opened({ columns: { a: "uint8" } }))).message).toBe(
    'rows.parquet row 2, column "a": expected an integer from 0 to 255, found 300',
  );
  expect(await rejection(opened({ columns: { b: "uint8" } }))).toEqual({
    code: "DATA_MISSING",
    message: 'rows.parquet: there is no column "b"; it has "a": name one of them, or give it with from: "…"',
  });
});

test("a file that is no parquet, or a damaged one, is refused by name, wherever it is damaged", async () => {
  await writeFile(join(folder, "rows.parquet"), "a,b\n1,2\n");
  expect((await rejection(opened())).message).toMatch(/^rows\.parquet: no readable parquet file: /);
  await write([{ name: "x", data: Float64Array.from({ length: 300 }, (_, row) => row), type: "DOUBLE" }]);
  const whole = await readFile(join(folder, "rows.parquet"));
  for (let kept = 0; kept < whole.length; kept += 97) {
    await writeFile(join(folder, "rows.parquet"), whole.subarray(0, kept));
    const { code, message } = await rejection(opened());
    expect(code).toBe("DATA_INVALID");
    expect(message, `${kept} bytes`).toMatch(
      /^rows\.parquet: no readable parquet file: .+: copy it again, or write it/,
    );
  }
});

test("no damaged byte hangs the reader or gives another error than one that names the file", async () => {
  const word = Array.from({ length: 60 }, (_, row) => ["a", "b"][row % 2]!);
  await write(
    [
      { name: "x", data: Float64Array.from({ length: 60 }, (_, row) => row), type: "DOUBLE" },
      { name: "n", data: Array.from({ length: 60 }, (_, row) => (row % 7 === 0 ? null : row)), type: "INT32" },
      { name: "w", data: word, type: "STRING" },
    ],
    { rowGroupSize: 20 },
  );
  const whole = await readFile(join(folder, "rows.parquet"));
  const found = new Set<string>();
  for (let at = 0; at < whole.length; at += 3) {
    const damaged = Uint8Array.from(whole);
    damaged[at] = (at * 37) % 256;
    await writeFile(join(folder, "rows.parquet"), damaged);
    const outcome = await opened({
      columns: { x: "float32", n: { dtype: "int32", missing: 0 }, w: "category" },
    }).catch((error: TuttiError) => error);
    if (!(outcome instanceof Error)) continue; // a value that is another one, or a field that nobody reads
    found.add(outcome.code);
    expect(outcome.message).toContain("rows.parquet");
  }
  expect([...found].sort()).toEqual(["DATA_INVALID", "DATA_MISSING"]);
});
