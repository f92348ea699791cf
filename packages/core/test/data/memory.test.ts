import { type ColumnsOf, data } from "@tutti/core/data";
import { expect, expectTypeOf, test } from "vitest";
import { readAll, readRows, rejection } from "./read-all.ts";

const context = { baseDirectory: "/" };

test("keeps the dtype of typed arrays and the shape of shaped columns", async () => {
  const source = data.arrays({
    image: { dtype: "uint8", shape: [2, 2], values: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) },
    label: BigInt64Array.of(3n, -4n),
    weight: { dtype: "float32", shape: [], values: [0.1, 2] },
    mask: { dtype: "bool", shape: [1], values: [true, false] },
  });
  const dataset = await source.open(context);
  expect(dataset.size).toBe(2);
  expect(dataset.columns).toEqual({
    image: { dtype: "uint8", shape: [2, 2] },
    label: { dtype: "int64", shape: [] },
    weight: { dtype: "float32", shape: [] },
    mask: { dtype: "bool", shape: [1] },
  });
  const { image, label, weight, mask } = await readRows(dataset, [1, 0]);
  expect([...image!]).toEqual([5, 6, 7, 8, 1, 2, 3, 4]);
  expect(new BigInt64Array(label!.buffer)).toEqual(BigInt64Array.of(-4n, 3n));
  expect(new Float32Array(weight!.buffer)).toEqual(Float32Array.of(2, 0.1));
  expect([...mask!]).toEqual([0, 1]);
});

test("reads a view into a larger buffer from where it starts", async () => {
  const view = new Float32Array(Float32Array.of(9, 1, 2, 9).buffer, 4, 2);
  const { x } = await readAll(await data.arrays({ x: view }).open(context));
  expect(new Float32Array(x!.buffer)).toEqual(Float32Array.of(1, 2));
});

test("knows the names and dtypes of columns as types", () => {
  const arrays = data.arrays({ x: new Float32Array(2), y: { dtype: "int64", shape: [1], values: [1, 2] } });
  expectTypeOf<ColumnsOf<typeof arrays>["x"]["dtype"]>().toEqualTypeOf<"float32">();
  expectTypeOf<ColumnsOf<typeof arrays>["y"]["dtype"]>().toEqualTypeOf<"int64">();
  const csv = data.csv("a.csv", { columns: { v: { dtype: "float32", from: ["a", "b"] }, n: "int32" } });
  expectTypeOf<keyof ColumnsOf<typeof csv>>().toEqualTypeOf<"v" | "n">();
  expectTypeOf<ColumnsOf<typeof csv>["n"]["dtype"]>().toEqualTypeOf<"int32">();
  const idx = data.idx({ image: "i", label: "l" });
  expectTypeOf<keyof ColumnsOf<typeof idx>>().toEqualTypeOf<"image" | "label">();
  const rows = data.from(() => [{ a: 1, b: [1, 2] }], { columns: { a: "bool", b: { dtype: "uint8", shape: [2] } } });
  expectTypeOf<ColumnsOf<typeof rows>["b"]["dtype"]>().toEqualTypeOf<"uint8">();
  // @ts-expect-error the row lacks the declared column "b"
  data.from(() => [{ a: 1 }], { columns: { a: "bool", b: "bool" } });
});

test("refuses arrays that are no columns", async () => {
  expect(() => data.arrays({})).toThrow("expected an object with at least one column");
  expect(() => data.arrays({ x: new Float32Array(3), y: new Float32Array(2) })).toThrow(
    'data.arrays: column "y": expected 3 rows as in column "x", found 2',
  );
  expect(() => data.arrays({ x: { dtype: "uint8", shape: [2], values: [1, 2, 3] } })).toThrow(
    "3 values are no positive multiple of a sample of shape [2]",
  );
  expect(() => data.arrays({ x: new Float32Array(0) })).toThrow("0 values are no positive multiple");
  expect(() => data.arrays({ x: { dtype: "uint8", shape: [0], values: [] } })).toThrow("a shape of positive integers");
  expect(() => data.arrays({ x: new Uint32Array(1) as never })).toThrow("Uint32Array has no dtype here");
  expect(() => data.arrays({ x: [1, 2] as never })).toThrow("expected a typed array or { dtype, shape, values }");
  expect(() => data.arrays({ x: null as never })).toThrow("expected a typed array or { dtype, shape, values }");
  expect(() => data.arrays({ x: { dtype: "uint8", shape: [] } as never })).toThrow('expected "values" to be an array');
  const source = data.arrays({ x: { dtype: "uint8", shape: [2], values: [1, 2, 3, 2.5] } });
  expect(await rejection(source.open(context))).toEqual({
    code: "DATA_INVALID",
    message: 'data.arrays row 2, column "x": expected an integer from 0 to 255, found 2.5',
  });
});

test("has a fingerprint of content and types, whatever the source", async () => {
  const fingerprint = async (source: { open(c: typeof context): Promise<{ fingerprint: string }> }) =>
    (await source.open(context)).fingerprint;
  const arrays = await fingerprint(data.arrays({ x: Uint8Array.of(1, 2), y: Float32Array.of(3, 4) }));
  const swapped = await fingerprint(data.arrays({ y: Float32Array.of(3, 4), x: Uint8Array.of(1, 2) }));
  const rows = await fingerprint(
    data.from(
      () => [
        { x: 1, y: 3 },
        { x: 2, y: 4 },
      ],
      { columns: { x: "uint8", y: "float32" } },
    ),
  );
  expect(swapped).toBe(arrays);
  expect(rows).toBe(arrays);
  expect(await fingerprint(data.arrays({ x: Int8Array.of(1, 2), y: Float32Array.of(3, 4) }))).not.toBe(arrays);
  expect(await fingerprint(data.arrays({ z: Uint8Array.of(1, 2), y: Float32Array.of(3, 4) }))).not.toBe(arrays);
  expect(await fingerprint(data.arrays({ x: Uint8Array.of(1, 2), y: Float32Array.of(3, 5) }))).not.toBe(arrays);
});

test("spools an async iterable once, over many chunks", async () => {
  let runs = 0;
  const rows = 30_000;
  async function* generate() {
    runs++;
    for (let row = 0; row < rows; row++) yield { x: Float32Array.of(row, -row), y: BigInt(row), extra: 1 };
  }
  const source = data.from(generate, { columns: { x: { dtype: "float32", shape: [2] }, y: "int64" } });
  expect(runs).toBe(0);
  const dataset = await source.open(context);
  const { x, y } = await readAll(dataset);
  expect(runs).toBe(1);
  expect(dataset.size).toBe(rows);
  expect(new Float32Array(x!.buffer)).toEqual(
    Float32Array.from({ length: 2 * rows }, (_, i) => (i % 2 ? -(i - 1) / 2 : i / 2)),
  );
  expect(new BigInt64Array(y!.buffer)).toEqual(BigInt64Array.from({ length: rows }, (_, row) => BigInt(row)));
});

test("accepts samples larger than a chunk", async () => {
  const length = 300_000;
  const source = data.from(() => [1, 2, 3].map((value) => ({ x: new Float32Array(length).fill(value) })), {
    columns: { x: { dtype: "float32", shape: [length] } },
  });
  const { x } = await readRows(await source.open(context), [2, 1]);
  expect(new Float32Array(x!.buffer)).toEqual(new Float32Array(2 * length).fill(3, 0, length).fill(2, length));
});

test("lets timers in while it spools a synchronous iterable", async () => {
  let ticks = 0;
  const timer = setInterval(() => ticks++, 0);
  function* generate() {
    for (let row = 0; ticks < 2; row++) yield { x: row % 2 };
  }
  const dataset = await data.from(generate, { columns: { x: "bool" } }).open(context);
  clearInterval(timer);
  expect(dataset.size).toBeGreaterThan(4096);
});

test("points at the row and column that does not fit", async () => {
  const columns = { a: "uint8", v: { dtype: "float32", shape: [2] } } as const;
  const good = { a: 1, v: [1, 2] };
  const cases: readonly [object, string][] = [
    [{ a: 1 }, 'data.from row 2, column "v": expected a value, found none'],
    [{ a: 256, v: [1, 2] }, 'data.from row 2, column "a": expected an integer from 0 to 255, found 256'],
    [{ a: Number.NaN, v: [1, 2] }, 'data.from row 2, column "a": expected an integer from 0 to 255, found NaN'],
    [{ a: "1", v: [1, 2] }, 'data.from row 2, column "a": expected an integer from 0 to 255, found "1"'],
    [{ a: [1, 2], v: [1, 2] }, 'data.from row 2, column "a": expected one value, found 2'],
    [{ a: 1, v: [1, 2, 3] }, 'data.from row 2, column "v": expected 2 values (shape [2]), found 3'],
    [{ a: 1, v: 1 }, 'data.from row 2, column "v": expected 2 values (shape [2]), found 1'],
    [{ a: 1, v: [1, "x"] }, 'data.from row 2, column "v": expected a number, found "x" at position 1'],
    [
      { a: 1, v: [1, 1e39] },
      'data.from row 2, column "v": expected a number within the range of float32, found 1e+39 at position 1',
    ],
    [{ a: 1, v: { x: 1 } }, 'data.from row 2, column "v": expected 2 values (shape [2]), found an object'],
    [7 as unknown as object, 'data.from row 2, column "a": expected a value, found none'],
  ];
  for (const [row, message] of cases) {
    const error = await rejection(data.from(() => [good, row as typeof good], { columns }).open(context));
    expect(error).toEqual({ code: "DATA_INVALID", message });
  }
});

test("reports an iterable that fails, is empty or is none", async () => {
  const columns = { x: "uint8" } as const;
  function* broken() {
    yield { x: 1 };
    throw new Error("disk gone");
  }
  expect(await rejection(data.from(broken, { columns }).open(context))).toEqual({
    code: "DATA_INVALID",
    message: "data.from row 2: the iterable failed: disk gone",
  });
  expect((await rejection(data.from(() => [], { columns }).open(context))).message).toMatch(/the iterable gave none/);
  expect((await rejection(data.from(() => 3 as never, { columns }).open(context))).code).toBe("DATA_INVALID");
  expect(() => data.from([{ x: 1 }] as never, { columns })).toThrow(
    "expected a function that returns an (async) iterable",
  );
  expect(() => data.from(() => [], { columns: { x: "text" as never } })).toThrow('column "x": expected a dtype');
});

test("refuses a changed description of columns that are given in code", () => {
  const source = data.arrays({ x: Uint8Array.of(1) });
  expect(source.withDescription({ x: { dtype: "uint8", shape: [] } })).toBe(source);
  expect(() => source.withDescription({ x: { dtype: "int8", shape: [] } })).toThrow("given in code and cannot be set");
});

test("refuses rows that do not exist and targets of another size", async () => {
  const dataset = await data.arrays({ x: Uint8Array.of(1, 2) }).open(context);
  expect(() => dataset.read([2], { x: new Uint8Array(1) })).toThrow(
    "row 2 was asked for; the data set has rows 0 to 1",
  );
  expect(() => dataset.read([-1], { x: new Uint8Array(1) })).toThrow("row -1 was asked for");
  expect(() => dataset.read([0], { x: new Uint8Array(2) })).toThrow(
    'reading column "x" needs 1 bytes, the target has 2',
  );
  expect(() => dataset.read([0], { y: new Uint8Array(1) })).toThrow('column "y" was asked for');
});
