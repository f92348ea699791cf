import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { type CsvOptions, data } from "@tutti/core/data";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readAll, rejection } from "./read-all.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tutti-csv-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function opened(text: string | Uint8Array, options: CsvOptions = {}) {
  await writeFile(join(folder, "train.csv"), text);
  return data.csv("train.csv", options).open({ baseDirectory: folder });
}

test("reads every column as float32 when none is declared", async () => {
  const dataset = await opened("a,b\n1,0.1\n-2.5e3,.5\n");
  expect(dataset.columns).toEqual({ a: { dtype: "float32", shape: [] }, b: { dtype: "float32", shape: [] } });
  const { a, b } = await readAll(dataset);
  expect(new Float32Array(a!.buffer)).toEqual(Float32Array.of(1, -2500));
  expect(new Float32Array(b!.buffer)).toEqual(Float32Array.of(0.1, 0.5));
});

test("reads declared dtypes and joins several csv columns into one vector", async () => {
  const dataset = await opened("id,a,b,y,flag,skipped\n9007199254740993,1,2,-7,true,word\n-5,3,4,8,0,word\n", {
    columns: {
      x: { dtype: "float64", from: ["b", "a"] },
      target: { dtype: "int8", from: "y" },
      id: "int64",
      flag: "bool",
    },
  });
  expect(dataset.size).toBe(2);
  expect(dataset.columns.x).toEqual({ dtype: "float64", shape: [2] });
  const { x, target, id, flag } = await readAll(dataset);
  expect(new Float64Array(x!.buffer)).toEqual(Float64Array.of(2, 1, 4, 3));
  expect(new Int8Array(target!.buffer)).toEqual(Int8Array.of(-7, 8));
  expect(new BigInt64Array(id!.buffer)).toEqual(BigInt64Array.of(9_007_199_254_740_993n, -5n));
  expect([...flag!]).toEqual([1, 0]);
});

test("reads quotes, other delimiters, CRLF, a byte order mark, blank lines and gzip", async () => {
  const text = '\u{feff}"a; b";c\r\n"1";2\r\n\r\n 3 ;4\r\n';
  for (const content of [text, gzipSync(text)]) {
    const { "a; b": quoted, c } = await readAll(await opened(content, { delimiter: ";" }));
    expect(new Float32Array(quoted!.buffer)).toEqual(Float32Array.of(1, 3));
    expect(new Float32Array(c!.buffer)).toEqual(Float32Array.of(2, 4));
  }
});

test("reads a file without header by position or by given names", async () => {
  const byPosition = await opened("1,2\n3,4\n", {
    header: false,
    columns: { x: { dtype: "uint8", from: ["1", "0"] } },
  });
  expect([...(await readAll(byPosition)).x!]).toEqual([2, 1, 4, 3]);
  const named = await opened("1,2\n3,4\n", { header: ["p", "q"], columns: { q: "uint8" } });
  expect([...(await readAll(named)).q!]).toEqual([2, 4]);
});

test("keeps the order of 200,000 rows across chunks", async () => {
  const rows = 200_000;
  const text = `v,w\n${Array.from({ length: rows }, (_, row) => `${row},${(row * 7) % 13}`).join("\n")}\n`;
  const dataset = await opened(text, { columns: { v: { dtype: "int32", from: ["v", "w"] } } });
  const values = new Int32Array((await readAll(dataset)).v!.buffer);
  expect(dataset.size).toBe(rows);
  expect(values.every((value, index) => value === (index % 2 === 0 ? index / 2 : (((index - 1) / 2) * 7) % 13))).toBe(
    true,
  );
});

test("points at row and column of a value that cannot be read", async () => {
  const rows = Array.from({ length: 16 }, (_, row) => `${row},30`).join("\n");
  expect(await rejection(opened(`id,age\n${rows}\n16,old\n`))).toEqual({
    code: "DATA_INVALID",
    message: 'train.csv row 17, column "age": expected a number, found "old" (line 18)',
  });
  const cases: readonly [string, CsvOptions, string][] = [
    ["a\n1\n\n2,3\n", {}, "train.csv row 2: expected 1 fields, found 2 (line 4)"],
    ["a,b\n1,2\n3\n", {}, "train.csv row 2: expected 2 fields, found 1 (line 3)"],
    ["a,b\n1,\n", {}, 'train.csv row 1, column "b": expected a number, found an empty field (line 2)'],
    ["a\nnan\n", {}, 'train.csv row 1, column "a": expected a number, found "nan" (line 2)'],
    ["a\nInfinity\n", {}, 'train.csv row 1, column "a": expected a number, found "Infinity" (line 2)'],
    ["a\n0x10\n", {}, 'train.csv row 1, column "a": expected a number, found "0x10" (line 2)'],
    [
      "a\n1e39\n",
      {},
      'train.csv row 1, column "a": expected a number within the range of float32, found "1e39" (line 2)',
    ],
    [
      "a\n1.5\n",
      { columns: { a: "int32" } },
      'train.csv row 1, column "a": expected an integer from -2147483648 to 2147483647, found "1.5" (line 2)',
    ],
    [
      "a\n256\n",
      { columns: { a: "uint8" } },
      'train.csv row 1, column "a": expected an integer from 0 to 255, found "256" (line 2)',
    ],
    [
      "a\n9223372036854775808\n",
      { columns: { a: "int64" } },
      'train.csv row 1, column "a": expected an integer of 64 bits, found "9223372036854775808" (line 2)',
    ],
    [
      "a\nyes\n",
      { columns: { a: "bool" } },
      'train.csv row 1, column "a": expected true, false, 0 or 1, found "yes" (line 2)',
    ],
    [
      "a,b\n1,x\n",
      { columns: { v: { dtype: "float32", from: ["a", "b"] } } },
      'train.csv row 1, column "b": expected a number, found "x" (line 2)',
    ],
    ["a,a\n1,2\n", {}, 'train.csv: column "a" is there twice'],
    ["a,b\n", {}, "train.csv: expected rows, found none"],
    ["", {}, "train.csv: expected rows, found none"],
  ];
  for (const [text, options, message] of cases) {
    expect(await rejection(opened(text, options)), text).toEqual({ code: "DATA_INVALID", message });
  }
  const quote = await rejection(opened('a\n"1\n'));
  expect(quote).toMatchObject({ code: "DATA_INVALID", message: expect.stringMatching(/^train\.csv: no valid csv: /) });
});

test("names a missing file and a missing column", async () => {
  const file = await rejection(data.csv("none.csv").open({ baseDirectory: folder }));
  expect(file).toEqual({
    code: "DATA_MISSING",
    message: `none.csv: no such file (looked for ${join(folder, "none.csv")})`,
  });
  const column = await rejection(opened("a,b\n1,2\n", { columns: { c: "float32" } }));
  expect(column).toEqual({ code: "DATA_MISSING", message: 'train.csv: there is no column "c"; it has "a", "b"' });
});

test("refuses options it does not know or cannot use", () => {
  const csv = (options: object) => () => data.csv("x.csv", options);
  expect(csv({ separator: ";" })).toThrow(
    'data.csv: unknown option "separator"; there are columns, header and delimiter',
  );
  expect(csv({ delimiter: "" })).toThrow("delimiter: expected a text");
  expect(csv({ header: 1 })).toThrow("header: expected true, false or a list of names, found 1");
  expect(csv({ columns: {} })).toThrow("expected an object with at least one column");
  expect(csv({ columns: { a: "float16" } })).toThrow('column "a": expected a dtype');
  expect(csv({ columns: { a: { dtype: "float32", from: [] } } })).toThrow('expected "from" to name one csv column');
  expect(() => data.csv("")).toThrow("expected the path of a csv file");
});

test("takes another delimiter or path from a description", async () => {
  await writeFile(join(folder, "other.csv"), "a|b\n1|2\n");
  const source = data.csv("train.csv", { columns: { b: "uint8" } });
  expect(source.describe).toEqual({ path: "train.csv", columns: { b: "uint8" } });
  const other = source.withDescription({ ...source.describe, path: "other.csv", delimiter: "|" });
  expect([...(await readAll(await other.open({ baseDirectory: folder }))).b!]).toEqual([2]);
  expect(() => source.withDescription({ ...source.describe, rows: 3 })).toThrow('unknown option "rows"');
});

test("stops cleanly at an early mistake in a large file, plain or zipped", async () => {
  const text = `a\nword\n${"1\n".repeat(3_000_000)}`;
  for (const content of [text, gzipSync(text)]) {
    const error = await rejection(opened(content));
    expect(error.message).toBe('train.csv row 1, column "a": expected a number, found "word" (line 2)');
  }
  const cut = gzipSync(Array.from({ length: 100_000 }, (_, row) => row * 7919).join("\n"));
  const torn = await rejection(opened(cut.subarray(0, cut.length / 2), { header: false }));
  expect(torn).toMatchObject({ code: "DATA_INVALID", message: expect.stringContaining("cannot be read to its end") });
});
