import { data } from "@tutti/core/data";
import type { Tensor } from "@tutti/core/graph";
import { nn } from "@tutti/core/nn";
import { optim } from "@tutti/core/optim";
import { applyOverrides, defineRun } from "@tutti/core/run";
import { expect, test } from "vitest";
import { readAll, rejection } from "./read-all.ts";

const context = { baseDirectory: "/" };
const rows = 1000;
const table = data.arrays({
  id: Int32Array.from({ length: rows }, (_, row) => row),
  customer: Int32Array.from({ length: rows }, (_, row) => (row * 7) % 50),
  fold: Uint8Array.from({ length: rows }, (_, row) => row % 5),
  flag: { dtype: "bool", shape: [], values: Array.from({ length: rows }, (_, row) => row % 10 === 0) },
});

async function ids(split: ReturnType<typeof data.split>): Promise<{ train: number[]; validation: number[] }> {
  const read = async (part: "train" | "validation") => {
    const dataset = await split[part].open(context);
    const { id } = await readAll(dataset);
    await dataset.close();
    return [...new Int32Array(id!.buffer)];
  };
  return { train: await read("train"), validation: await read("validation") };
}

test("splits by fraction: every row on one side, in its order, the same for a seed on any machine", async () => {
  const { train, validation } = await ids(data.split(table, { fraction: 0.2, seed: 1 }));
  expect(validation).toHaveLength(200);
  expect([...train, ...validation].sort((a, b) => a - b)).toEqual(Array.from({ length: rows }, (_, row) => row));
  expect(validation).toEqual(validation.toSorted((a, b) => a - b));
  // Pinned: another split of the same data would silently leak validation rows into a resumed or repeated run.
  expect(validation.slice(0, 12)).toEqual(pinned);
  expect(await ids(data.split(table, { fraction: 0.2, seed: 1 }))).toEqual({ train, validation });
  const other = await ids(data.split(table, { fraction: 0.2, seed: 2 }));
  const common = other.validation.filter((id) => validation.includes(id)).length;
  expect(common).toBeGreaterThan(15); // 40 ± 5.7 by chance
  expect(common).toBeLessThan(65);
});
const pinned = [5, 11, 14, 27, 30, 42, 44, 51, 56, 59, 62, 64];

test("splits by the value of a column", async () => {
  const { validation } = await ids(data.split(table, { column: "fold", validation: [1, 3] }));
  expect(validation).toHaveLength(400);
  expect(validation.every((id) => id % 5 === 1 || id % 5 === 3)).toBe(true);
  expect((await ids(data.split(table, { column: "flag", validation: true }))).validation).toHaveLength(100);
});

test("splits by hash: rows of one value stay together, and more rows move none", async () => {
  const options = { hash: "customer", fraction: 0.3 } as const;
  const { train, validation } = await ids(data.split(table, options));
  const customers = (list: readonly number[]) => new Set(list.map((id) => (id * 7) % 50));
  const [left, right] = [customers(train), customers(validation)];
  expect(left.size + right.size).toBe(50);
  // SHA-256 of "0\n<customer>" below 0.3 · 2^32, by Python's hashlib.
  expect([...right].sort((a, b) => a - b)).toEqual(hashed);
  const longer = data.arrays({
    id: Int32Array.from({ length: 2 * rows }, (_, row) => row),
    customer: Int32Array.from({ length: 2 * rows }, (_, row) => (row * 7) % 50),
  });
  const more = await ids(data.split(longer, options));
  expect(more.validation.filter((id) => id < rows)).toEqual(validation);
});
const hashed = [1, 4, 6, 8, 9, 11, 13, 15, 21, 23, 26, 27, 30, 36, 41, 43, 49];

test("opens the source once for both parts, and closes it when both are closed", async () => {
  const log: string[] = [];
  const source = {
    ...table,
    open: async () => {
      log.push("open");
      const dataset = await table.open(context);
      const { size, columns, fingerprint } = dataset;
      return {
        ...{ size, columns, fingerprint },
        read: (wanted: ArrayLike<number>, target: Readonly<Record<string, Uint8Array>>) => dataset.read(wanted, target),
        close: async () => void log.push("close"),
      };
    },
  };
  const { train, validation } = data.split(source, { fraction: 0.5 });
  const [one, other] = [await train.open(context), await validation.open(context)];
  expect(one.fingerprint).not.toBe(other.fingerprint);
  await one.close();
  expect(log).toEqual(["open"]);
  await other.close();
  expect(log).toEqual(["open", "close"]);
  await (await train.open(context)).close();
  expect(log).toEqual(["open", "close", "open", "close"]);
});

test("keeps sequences, padded to the lengths that the part needs", async () => {
  const source = data.from(() => [[1], [2, 3], [4, 5, 6], [7]].map((tokens, row) => ({ tokens, row })), {
    columns: { tokens: { dtype: "int32", shape: ["length"] }, row: "uint8" },
    padTo: [1, 2, 4],
  });
  const { train, validation } = data.split(source, { column: "row", validation: [1, 3] });
  const [left, right] = [await train.open(context), await validation.open(context)];
  expect([left.sequences!.lengths, right.sequences!.lengths]).toEqual([
    [1, 4],
    [1, 2],
  ]);
  expect(right.sequences!.lengthOf(0)).toBe(2);
  const { tokens } = await readAll(left.sequences!.paddedTo(4));
  expect([...new Int32Array(tokens!.buffer)]).toEqual([1, 0, 0, 0, 4, 5, 6, 0]);
});

test("refuses what leaves no rows, and options that make no sense", async () => {
  const open = (options: Parameters<typeof data.split>[1]) => data.split(table, options as never).train.open(context);
  expect(await rejection(open({ column: "fold", validation: 9 }))).toEqual({
    code: "DATA_INVALID",
    message: 'data.split: no rows would be left for validation, of 1000 rows: {"column":"fold","validation":9}',
  });
  expect((await rejection(open({ column: "folds", validation: 9 }))).message).toBe(
    'data.split: expected a column with one value a row, found for "folds": no such column; there are id, customer, fold, flag',
  );
  const split = (options: object) => () => data.split(table, options as { fraction: number });
  expect(split({ fraction: 1 })).toThrow("fraction: expected a share between 0 and 1, such as 0.2, found 1");
  expect(split({ fraction: 0.2, hash: "id", column: "id" })).toThrow('unknown option "fraction" beside column');
  expect(split({ fraction: 0.2, seed: 0.5 })).toThrow("seed: expected an integer, found 0.5");
  expect(split({ column: "id" })).toThrow("validation: expected the value of rows for validation");
});

test("a value that is set for one part holds for both, and no row is on two sides", async () => {
  const step = ({ id }: { id: Tensor }) => ({ loss: model(id.cast("float32").reshape([-1, 1])).squeeze(1) });
  const model = nn.linear(1, 1);
  const definition = defineRun({
    ...{ data: data.split(table, { fraction: 0.2, seed: 1 }), model, step },
    ...{ optimizer: optim.sgd({ lr: 0.1 }), batchSize: 10 },
  });
  const sides = async (...assignments: string[]) => {
    const { sources, plain } = applyOverrides(definition, assignments);
    expect(plain.data).toEqual({ train: sources.train.describe, validation: sources.validation!.describe });
    return ids({ train: sources.train, validation: sources.validation! } as ReturnType<typeof data.split>);
  };
  const expected = await ids(data.split(table, { fraction: 0.3, seed: 1 }));
  expect(expected.validation).toHaveLength(300);
  expect(await sides("data.train.fraction=0.3")).toEqual(expected);
  expect(await sides("data.validation.fraction=0.3")).toEqual(expected);
  expect(await sides("data.train.fraction=0.3", "data.validation.fraction=0.3")).toEqual(expected);
  const refused = (...assignments: string[]) => expect(() => applyOverrides(definition, assignments));
  refused("data.train.fraction=0.3", "data.validation.fraction=0.4").toThrow("parts of one data.split");
  refused("data.train.fraction=3").toThrow("fraction: expected a share between 0 and 1");
  refused('data.train.part="validation"').toThrow("data.train.part: cannot be set");
  refused('data.train.source.kind="csv"').toThrow('source.kind: is "arrays" and cannot be set');
});

test("the columns of a split are known to the type checker", () => {
  // @ts-expect-error there is no column "folds"
  expect(() => data.split(table, { column: "folds", validation: 1 })).not.toThrow();
});
