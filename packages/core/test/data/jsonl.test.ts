import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { data, type JsonlOptions } from "@tutti/core/data";
import type { TuttiError } from "@tutti/core/errors";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readAll, rejection } from "./read-all.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tutti-jsonl-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function opened(text: string | Uint8Array, options: JsonlOptions = {}) {
  await writeFile(join(folder, "rows.jsonl"), text);
  return data.jsonl("rows.jsonl", options).open({ baseDirectory: folder });
}

test("reads numbers, lists, words and what is missing, plain or zipped", async () => {
  const text =
    '{"x":[1,2.5],"id":"9007199254740993","w":"é","y":1}\n\n{"y":null,"x":[3,null],"id":-4,"w":"a","z":{"deep":[1]}}\r\n{"x":[0,0],"id":5,"w":"b"}';
  for (const content of [text, gzipSync(text)]) {
    const dataset = await opened(content, {
      columns: {
        x: { dtype: "float32", shape: [2], missing: 0 },
        id: "int64",
        w: "category",
        y: { dtype: "float64", missing: "mean" },
      },
    });
    const { x, id, w, y } = await readAll(dataset);
    expect(dataset.columns.x).toEqual({ dtype: "float32", shape: [2] });
    expect(new Float32Array(x!.buffer)).toEqual(Float32Array.of(1, 2.5, 3, Number.NaN, 0, 0));
    expect(new BigInt64Array(id!.buffer)).toEqual(BigInt64Array.of(9_007_199_254_740_993n, -4n, 5n));
    expect([...new Int32Array(w!.buffer)]).toEqual([2, 0, 1]);
    expect(new Float64Array(y!.buffer)).toEqual(Float64Array.of(1, Number.NaN, Number.NaN));
    expect(dataset.table!.columns.y!.missingCells).toBe(2);
  }
});

test("infers what is not declared from all rows", async () => {
  const dataset = await opened('{"a":1,"b":true,"c":"x","d":2}\n{"d":2.5,"c":"w","b":false,"a":-1}\n');
  const dtypes = Object.entries(dataset.columns).map(([name, { dtype }]) => `${name} ${dtype}`);
  expect(dtypes).toEqual(["a int32", "b bool", "c int32", "d float32"]);
  expect(dataset.table!.columns.c!.categories).toEqual(["w", "x"]);
});

test("says where a row is wrong and what to do", async () => {
  const a = { columns: { a: "float32" } } as const;
  const cases: readonly [string, JsonlOptions, string | RegExp][] = [
    [
      '{"a":1}\n{"a":2,}\n',
      a,
      /^rows\.jsonl row 2: expected one JSON object a line, found no JSON: .* \(line 2\); write one object on each line, without commas between$/,
    ],
    ["[1,2]\n", a, /^rows\.jsonl row 1: expected one JSON object a line, found a list \(line 1\)/],
    [
      '{"a":1}\n\n{"b":2}\n',
      a,
      'rows.jsonl row 2, column "a": expected a number, found no key "a" (line 3); say what stands for a missing cell: missing: a value, "mean", "median", or "drop" to leave the row out',
    ],
    ['{"a":"1"}\n', a, 'rows.jsonl row 1, column "a": expected a number, found "1" (line 1)'],
    ['{"a":{"b":1}}\n', a, 'rows.jsonl row 1, column "a": expected one value, found an object (line 1)'],
    ['{"a":[1]}\n', a, 'rows.jsonl row 1, column "a": expected one value, found a list (line 1)'],
    [
      '{"a":[1,2,3]}\n',
      { columns: { a: { dtype: "float32", shape: [2] } } },
      'rows.jsonl row 1, column "a": expected 2 values, found 3 (line 1)',
    ],
    [
      '{"a":[1,[2]]}\n',
      { columns: { a: { dtype: "float32", shape: [2] } } },
      'rows.jsonl row 1, column "a": expected a flat list of 2 numbers, found a list of other things (line 1)',
    ],
    [
      '{"a":9007199254740993}\n',
      { columns: { a: "int64" } },
      'rows.jsonl row 1, column "a": expected an integer of 64 bits, found 9007199254740992 (line 1)',
    ],
    [
      '{"a":1}\n{"a":1,"b":2}\n',
      {},
      'rows.jsonl row 2: has a key "b", which the first row lacks (line 2); declare the columns to read',
    ],
    ["\n", {}, "rows.jsonl: expected rows, found none"],
  ];
  for (const [text, options, message] of cases) {
    const found = await rejection(opened(text, options));
    expect(found.code).toBe("DATA_INVALID");
    expect(found.message, text).toMatch(message);
    if (typeof message === "string") expect(found.message).toBe(message);
  }
  const latin1 = await rejection(opened(Buffer.from('{"a":1}\n{"a":"é"}\n', "latin1"), a));
  expect(latin1.message).toContain("expected UTF-8, found other bytes: save the file as UTF-8");
});

test("collects a broken line and goes on", async () => {
  await writeFile(join(folder, "bad.jsonl"), '{"a":1}\n{"a":\n{"a":3}\n');
  const problems: TuttiError[] = [];
  const source = data.jsonl("bad.jsonl", { columns: { a: "uint8" } });
  const dataset = await source.open({ baseDirectory: folder, onProblem: (problem) => problems.push(problem) });
  expect([...(await readAll(dataset)).a!]).toEqual([1, 3]);
  expect(problems.map(({ details }) => [details.row, details.line])).toEqual([[2, 2]]);
});
