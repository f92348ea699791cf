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

test("infers what is not declared from all rows", async () => {
  const dataset = await opened(
    "float,int,late,large,flag,word,mixed\n1,7,1,-9223372036854775808,true,b,b\n-2.5e3,-0,2,3,false,a,1\n.5,+8,0.1,4,true,b,b\n",
  );
  const dtypes = Object.fromEntries(Object.entries(dataset.columns).map(([name, { dtype }]) => [name, dtype]));
  expect(dtypes).toEqual({
    ...{ float: "float32", int: "int32", late: "float32", large: "int64" },
    ...{ flag: "bool", word: "int32", mixed: "int32" },
  });
  const { float, int, late, large, flag, word, mixed } = await readAll(dataset);
  expect(new Float32Array(float!.buffer)).toEqual(Float32Array.of(1, -2500, 0.5));
  expect(new Int32Array(int!.buffer)).toEqual(Int32Array.of(7, 0, 8));
  expect(new Float32Array(late!.buffer)).toEqual(Float32Array.of(1, 2, 0.1));
  expect(new BigInt64Array(large!.buffer)).toEqual(BigInt64Array.of(-(2n ** 63n), 3n, 4n));
  expect([...flag!]).toEqual([1, 0, 1]);
  expect(new Int32Array(word!.buffer)).toEqual(Int32Array.of(1, 0, 1));
  expect(dataset.table!.columns.mixed!.categories).toEqual(["1", "b"]);
  expect(new Int32Array(mixed!.buffer)).toEqual(Int32Array.of(1, 0, 1));
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
    expect(new Int32Array(quoted!.buffer)).toEqual(Int32Array.of(1, 3));
    expect(new Int32Array(c!.buffer)).toEqual(Int32Array.of(2, 4));
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

test("points at row and column of a value that cannot be read, and says what to do", async () => {
  const rows = Array.from({ length: 16 }, (_, row) => `${row},30`).join("\n");
  expect(await rejection(opened(`id,age\n${rows}\n16,old\n`))).toEqual({
    code: "DATA_INVALID",
    message:
      'train.csv row 17, column "age": expected a number, as in the rows before, found "old" (line 18); declare the columns: { "age": "category" if it holds words }',
  });
  const a = (dtype: "float32" | "int32" | "uint8" | "int64" | "bool") => ({ columns: { a: dtype } });
  const cases: readonly [string, CsvOptions, string][] = [
    ["a\n1\n\n2,3\n", {}, 'train.csv row 2: expected 1 fields, found 2 (line 4); quote a field that has "," in it'],
    ["a,b\n1,2\n3\n", {}, 'train.csv row 2: expected 2 fields, found 1 (line 3); quote a field that has "," in it'],
    [
      "a,b\n1,\n",
      {},
      'train.csv row 1, column "b": expected a value, found an empty field (line 2); declare the columns, this one with what stands for a missing cell: missing: …',
    ],
    [
      "a,b\n1,\n",
      { columns: { b: "float32" } },
      'train.csv row 1, column "b": expected a number, found an empty field (line 2); say what stands for a missing cell: missing: a value, "mean", "median", or "drop" to leave the row out',
    ],
    [
      "a,b\n1,\n",
      { columns: { b: "category" } },
      'train.csv row 1, column "b": expected a word, found an empty field (line 2); say what stands for a missing cell: missing: a word, or "drop" to leave the row out',
    ],
    [
      "a\nnan\n",
      a("float32"),
      'train.csv row 1, column "a": expected a number, found "nan" (line 2); if it stands for a missing value, name it: missingText: ["", "nan"]',
    ],
    [
      "id\n1\n9007199254740993\n",
      {},
      'train.csv row 2, column "id": expected an integer that float64 holds exactly, as the rows before, found "9007199254740993" (line 3); declare the columns: { "id": "int64" }',
    ],
    ["a\nInfinity\n", a("float32"), 'train.csv row 1, column "a": expected a number, found "Infinity" (line 2)'],
    ["a\n0x10\n", a("float32"), 'train.csv row 1, column "a": expected a number, found "0x10" (line 2)'],
    [
      "a\n1e39\n",
      a("float32"),
      'train.csv row 1, column "a": expected a number within the range of float32, found "1e39" (line 2)',
    ],
    [
      "a\n1.5\n",
      a("int32"),
      'train.csv row 1, column "a": expected an integer from -2147483648 to 2147483647, found 1.5 (line 2)',
    ],
    ["a\n256\n", a("uint8"), 'train.csv row 1, column "a": expected an integer from 0 to 255, found 256 (line 2)'],
    [
      "a\n9223372036854775808\n",
      a("int64"),
      'train.csv row 1, column "a": expected an integer of 64 bits, found "9223372036854775808" (line 2)',
    ],
    ["a\nyes\n", a("bool"), 'train.csv row 1, column "a": expected true, false, 0 or 1, found "yes" (line 2)'],
    [
      "a,b\n1,x\n",
      { columns: { v: { dtype: "float32", from: ["a", "b"] } } },
      'train.csv row 1, column "b": expected a number, found "x" (line 2)',
    ],
    [
      "a\ncat\ncow\n",
      { columns: { a: { dtype: "category", categories: ["cat", "dog"] } } },
      'train.csv row 2, column "a": expected one of "cat", "dog", found "cow" (line 3); add it to the categories, or name one that stands for it: unknown: "…"',
    ],
    ["a,a\n1,2\n", {}, 'train.csv: column "a" is there twice; rename one'],
    ["a,b\n", {}, "train.csv: expected rows, found none"],
    ["", {}, "train.csv: expected rows, found none"],
    ['a\n"1\n', {}, "train.csv row 1: a quoted field starts here and does not end: is there a quote too few? (line 2)"],
    [
      'a,b\n1,2\n"x\n"y,3\n',
      {},
      "train.csv row 2: a quoted field goes on after its closing quote: double a quote that belongs to the text (line 4)",
    ],
    [
      'a,b\n1,5" disk\n',
      {},
      "train.csv row 1: a quote inside a field that is not quoted: quote the whole field and double the quotes in it (line 2)",
    ],
  ];
  for (const [text, options, message] of cases) {
    expect(await rejection(opened(text, options)), text).toEqual({ code: "DATA_INVALID", message });
  }
  const latin1 = await rejection(opened(Buffer.from("a\nM\u00fcller\n", "latin1")));
  expect(latin1.message).toBe("train.csv row 1: expected UTF-8, found other bytes: save the file as UTF-8 (line 2)");
  const utf16 = await rejection(opened(Buffer.from("\u{feff}a\n1\n", "utf16le")));
  expect(utf16.message).toBe("train.csv: expected UTF-8, found UTF-16: save the file as UTF-8 (line 1)");
});

test("names a missing file and a missing column", async () => {
  const file = await rejection(data.csv("none.csv").open({ baseDirectory: folder }));
  expect(file).toEqual({
    code: "DATA_MISSING",
    message: `none.csv: no such file (looked for ${join(folder, "none.csv")})`,
  });
  const column = await rejection(opened("a,b\n1,2\n", { columns: { c: "float32" } }));
  expect(column).toEqual({
    code: "DATA_MISSING",
    message: 'train.csv: there is no column "c"; it has "a", "b": name one of them, or give it with from: "…"',
  });
});

test("refuses options it does not know or cannot use", () => {
  const csv = (options: object) => () => data.csv("x.csv", options);
  expect(csv({ separator: ";" })).toThrow(
    'data.csv: unknown option "separator"; there are columns, header, delimiter, missingText',
  );
  expect(csv({ delimiter: "" })).toThrow("delimiter: expected one ASCII character");
  expect(csv({ header: 1 })).toThrow("header: expected true, false or a list of names, found 1");
  expect(csv({ columns: {} })).toThrow("expected an object with at least one column");
  expect(csv({ columns: { a: "float16" } })).toThrow('column "a": expected a dtype');
  expect(csv({ columns: { a: { dtype: "float32", from: [] } } })).toThrow(
    'expected "from" to name one column of the file',
  );
  expect(() => data.csv("")).toThrow("expected the path of a file, a pattern such as");
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
    const error = await rejection(opened(content, { columns: { a: "float32" } }));
    expect(error.message).toBe('train.csv row 1, column "a": expected a number, found "word" (line 2)');
  }
  const cut = gzipSync(Array.from({ length: 100_000 }, (_, row) => row * 7919).join("\n"));
  const torn = await rejection(opened(cut.subarray(0, cut.length / 2), { header: false }));
  expect(torn).toMatchObject({ code: "DATA_INVALID", message: expect.stringContaining("cannot be read to its end") });
});
