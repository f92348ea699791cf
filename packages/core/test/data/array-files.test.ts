import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeSafetensors } from "@tutti/core/checkpoint";
import { data } from "@tutti/core/data";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readAll, readRows, rejection } from "./read-all.ts";

/** Written by NumPy: test/parity/numpy-files.py. */
const recorded = JSON.parse(await readFile(new URL("numpy-files.json", import.meta.url), "utf8")) as Readonly<
  Record<string, string>
>;

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tutti-arrays-"));
  for (const [name, content] of Object.entries(recorded)) {
    const ending = name.startsWith("npz") ? "npz" : "npy";
    await writeFile(join(folder, `${name}.${ending}`), Buffer.from(content, "base64"));
  }
});
afterAll(() => rm(folder, { recursive: true }));

const context = () => ({ baseDirectory: folder });
/** Nothing is kept in memory: all is read by position. */
const fromDisk = () => ({ baseDirectory: folder, memoryBytes: 0 });
const numpyX = Float32Array.from({ length: 12 }, (_, i) => i / 8 - 1);
const numpyY = [5n, -6n, 2n ** 40n];

test("reads what numpy.save wrote, in memory and by position alike", async () => {
  const source = data.npy({ x: "float32.npy", y: "int64.npy", z: "bool.npy" });
  const [inMemory, onDisk] = [await source.open(context()), await source.open(fromDisk())];
  for (const dataset of [inMemory, onDisk]) {
    expect(dataset.size).toBe(3);
    expect(dataset.columns).toEqual({
      x: { dtype: "float32", shape: [2, 2] },
      y: { dtype: "int64", shape: [] },
      z: { dtype: "bool", shape: [] },
    });
    const { x, y, z } = await readAll(dataset);
    expect(new Float32Array(x!.buffer)).toEqual(numpyX);
    expect([...new BigInt64Array(y!.buffer)]).toEqual(numpyY);
    expect([...z!]).toEqual([1, 0, 1]);
    const shuffled = await readRows(dataset, [2, 0, 2]);
    expect([...new BigInt64Array(shuffled.y!.buffer)]).toEqual([2n ** 40n, 5n, 2n ** 40n]);
  }
  expect(onDisk.fingerprint).toBe(inMemory.fingerprint);
  const arrays = data.arrays({
    x: { dtype: "float32", shape: [2, 2], values: numpyX },
    y: BigInt64Array.from(numpyY),
    z: { dtype: "bool", shape: [], values: [true, false, true] },
  });
  expect(onDisk.fingerprint).toBe((await arrays.open(context())).fingerprint);
  await onDisk.close();
});

test("reads the second version of the format", async () => {
  const { x } = await readAll(await data.npy({ x: "version2.npy" }).open(context()));
  expect(new Float32Array(x!.buffer)).toEqual(numpyX);
});

test("joins the files of a pattern, in the order of their names", async () => {
  await writeFile(join(folder, "part-1.npy"), Buffer.from(recorded.int64!, "base64"));
  await writeFile(join(folder, "part-0.npy"), Buffer.from(recorded.int64!, "base64"));
  const dataset = await data.npy({ y: "part-*.npy" }).open(fromDisk());
  const { y } = await readRows(dataset, [5, 1, 3, 2]);
  expect([...new BigInt64Array(y!.buffer)]).toEqual([2n ** 40n, -6n, 5n, 2n ** 40n]);
  await dataset.close();
  const mixed = data.npy({ y: ["int64.npy", "float32.npy"] });
  expect((await rejection(mixed.open(context()))).message).toBe(
    'float32.npy: column "y": expected int64 [] a row as in int64.npy, found float32 [2, 2]',
  );
});

test("says which .npy file it cannot take, and what to do in NumPy", async () => {
  const cases: readonly [string, RegExp][] = [
    [
      "bigEndian",
      /^bigEndian\.npy: holds elements of NumPy's type >f4; expected one of <f4, .*array\.astype\("<f4"\)$/,
    ],
    ["half", /^half\.npy: holds elements of NumPy's type <f2;/],
    ["structured", /^structured\.npy: holds elements of NumPy's type of several fields;/],
    ["fortran", /^fortran\.npy: is in Fortran's order; save numpy\.ascontiguousarray\(array\) instead$/],
    ["scalar", /^scalar\.npy: holds a single value; expected an array whose first axis counts rows$/],
  ];
  for (const [name, message] of cases) {
    const error = await rejection(data.npy({ x: `${name}.npy` }).open(context()));
    expect(error).toEqual({ code: "DATA_INVALID", message: expect.stringMatching(message) });
  }
  const whole = Buffer.from(recorded.float32!, "base64");
  await writeFile(join(folder, "cut.npy"), whole.subarray(0, -1));
  expect((await rejection(data.npy({ x: "cut.npy" }).open(context()))).message).toBe(
    "cut.npy: its header says float32 (3, 2, 2), 176 bytes in all; found 175: is it cut off?",
  );
  await writeFile(join(folder, "text.npy"), "0.5,1.5\n");
  expect((await rejection(data.npy({ x: "text.npy" }).open(context()))).message).toMatch(
    /^text\.npy: expected a \.npy file/,
  );
  expect((await rejection(data.npy({ x: "float32.npy", y: "part-*.npy" }).open(context()))).message).toMatch(
    /column "y": expected 3 rows as in column "x", found 6$/,
  );
  expect((await rejection(data.npy({ x: "none.npy" }).open(context()))).code).toBe("DATA_MISSING");
});

test("reads what numpy.savez wrote, compressed or not", async () => {
  const plain = await data.npz("npz.npz").open(context());
  const { x, y } = await readAll(plain);
  expect(new Float32Array(x!.buffer)).toEqual(numpyX);
  expect([...new BigInt64Array(y!.buffer)]).toEqual(numpyY);
  const compressed = await data.npz(["npzCompressed.npz"], { columns: { label: "y" } }).open(context());
  expect(compressed.columns).toEqual({ label: { dtype: "int64", shape: [] } });
  const { label } = await readRows(compressed, [149, 0]);
  expect([...new BigInt64Array(label!.buffer)]).toEqual([2n ** 40n, 5n]);
  const joined = await data.npz(["npz.npz", "npzCompressed.npz"]).open(fromDisk());
  expect(joined.size).toBe(153);
  expect([...new BigInt64Array((await readRows(joined, [3, 152])).y!.buffer)]).toEqual([5n, 2n ** 40n]);
  await joined.close();
});

test("notices a damaged .npz archive by its checksum", async () => {
  const bytes = Buffer.from(recorded.npz!, "base64");
  bytes[bytes.indexOf("NUMPY") + 130]! ^= 1; // in the elements of x
  await writeFile(join(folder, "damaged.npz"), bytes);
  expect(await rejection(data.npz("damaged.npz").open(context()))).toEqual({
    code: "DATA_INVALID",
    message:
      'damaged.npz: array "x": no readable .npz archive (its CRC-32 does not fit its content): fetch or write it again',
  });
  await writeFile(join(folder, "half.npz"), Buffer.from(recorded.npz!, "base64").subarray(0, 300));
  expect((await rejection(data.npz("half.npz").open(context()))).message).toMatch(
    /^half\.npz: no readable \.npz archive/,
  );
  expect((await rejection(data.npz("npz.npz", { columns: { a: "b" } }).open(context()))).message).toBe(
    'npz.npz: there is no array "b"; it has "x", "y"',
  );
});

async function writeTensors(name: string, rows: number, dtype: "float32" | "float64" = "float32") {
  const values = dtype === "float32" ? new Float32Array(rows * 2) : new Float64Array(rows * 2);
  for (let i = 0; i < values.length; i++) values[i] = i / 4;
  const labels = Uint8Array.from({ length: rows }, (_, row) => row + 100);
  const { header, data: bytes } = encodeSafetensors(
    [
      { name: "features", dtype, shape: [rows, 2], data: new Uint8Array(values.buffer) },
      { name: "label", dtype: "uint8", shape: [rows], data: labels },
    ],
    {},
  );
  await writeFile(join(folder, name), Buffer.concat([header, ...bytes]));
}

test("reads the tensors of safetensors files by position", async () => {
  await writeTensors("a.safetensors", 3);
  await writeTensors("b.safetensors", 2);
  const dataset = await data.safetensors("[ab].safetensors").open(fromDisk());
  expect(dataset.size).toBe(5);
  expect(dataset.columns).toEqual({
    features: { dtype: "float32", shape: [2] },
    label: { dtype: "uint8", shape: [] },
  });
  const { features, label } = await readRows(dataset, [4, 2, 0]);
  expect([...label!]).toEqual([101, 102, 100]);
  expect([...new Float32Array(features!.buffer)]).toEqual([0.5, 0.75, 1, 1.25, 0, 0.25]);
  await dataset.close();
  const renamed = await data.safetensors("a.safetensors", { columns: { y: "label" } }).open(context());
  expect(Object.keys(renamed.columns)).toEqual(["y"]);
});

test("says why a safetensors file is none of data", async () => {
  await writeTensors("double.safetensors", 2, "float64");
  expect((await rejection(data.safetensors(["a.safetensors", "double.safetensors"]).open(context()))).message).toBe(
    'double.safetensors: column "features": expected float32 [2] a row as in a.safetensors, found float64 [2]',
  );
  const bytes = await readFile(join(folder, "a.safetensors"));
  await writeFile(join(folder, "cut.safetensors"), bytes.subarray(0, -1));
  expect(await rejection(data.safetensors("cut.safetensors").open(context()))).toEqual({
    code: "DATA_INVALID",
    message: expect.stringMatching(/^cut\.safetensors: no valid safetensors file: tensor "label" ends at byte 27/),
  });
  const half = bytes.toString("latin1").replace('"F32"', '"F16"').replace("[3,2]", "[6,2]");
  await writeFile(join(folder, "half.safetensors"), Buffer.from(half, "latin1"));
  expect((await rejection(data.safetensors("half.safetensors").open(context()))).message).toMatch(
    /tensor "features" has the dtype "F16", which is not read here/,
  );
  expect(
    (await rejection(data.safetensors("a.safetensors", { columns: { y: "labels" } }).open(context()))).message,
  ).toBe('a.safetensors: there is no array "labels"; it has "features", "label"');
});

test("keeps small columns in memory and reads large ones from a file that is cut off meanwhile as an error", async () => {
  const rows = 1_000;
  await writeTensors("long.safetensors", rows);
  const dataset = await data.safetensors("long.safetensors").open({ baseDirectory: folder, memoryBytes: 2 * rows });
  await writeFile(join(folder, "long.safetensors"), "");
  const labels = { label: new Uint8Array(1) };
  await dataset.read([999], labels);
  expect(labels.label[0]).toBe((999 + 100) % 256);
  expect((await rejection(Promise.resolve(dataset.read([999], { features: new Uint8Array(8) })))).message).toMatch(
    /^long\.safetensors: cannot be read \(it ends at byte \d+\): was it changed or cut off while it is in use\?$/,
  );
  await dataset.close();
});

test("spills rows of unknown number to a temporary file beyond the bound, with the same content", async () => {
  const rows = 3_000;
  const source = data.from(
    function* () {
      for (let row = 0; row < rows; row++) yield { x: new Float32Array(600).fill(row), label: row % 7 };
    },
    { columns: { x: { dtype: "float32", shape: [600] }, label: "uint8" } },
  );
  const inMemory = await source.open({ baseDirectory: folder });
  const spilled = await source.open({ baseDirectory: folder, memoryBytes: 2_000_000 });
  expect(spilled.fingerprint).toBe(inMemory.fingerprint);
  const some = [2_999, 0, 1_500, 1_501, 437, 436];
  expect(await readRows(spilled, some)).toEqual(await readRows(inMemory, some));
  expect(
    (await rejection(Promise.resolve().then(() => spilled.read([rows], { x: new Uint8Array(2_400) })))).message,
  ).toBe("row 3000 was asked for; the data set has rows 0 to 2999");
  await spilled.close();
});
