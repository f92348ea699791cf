import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { data, packRows, prepareColumns } from "@tutti/core/data";
import { nn } from "@tutti/core/nn";
import { optim } from "@tutti/core/optim";
import { compileRun, defineRun, differences, exportOnnx, parameterViews } from "@tutti/core/run";
import { Tensor as EngineTensor, InferenceSession } from "onnxruntime-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { execute } from "./execute.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tutti-prepared-"));
});
afterAll(() => rm(folder, { recursive: true }));

const lines = [
  ["12.5", "200", "1700000000123", "1.5", "", "b"],
  ["", "17", "1700000000456", "-2", "4", "a"],
  ["-3", "99", "1699999999999", "0.25", "5", "b"],
  ["40", "3", "1700000001001", "8", "", "c"],
];

function definitionOf(file: string) {
  const model = nn.linear(1, 1);
  return defineRun({
    data: {
      train: data.csv(file, {
        columns: {
          gap: { dtype: "float32", missing: "mean", normalize: "standard" },
          small: { dtype: "uint8", normalize: "minmax" },
          time: { dtype: "int64", normalize: "standard" },
          wide: { dtype: "float64", normalize: "standard" },
          filled: { dtype: "float32", missing: -1 },
          word: "category",
        },
      }),
    },
    model,
    step: ({ gap, small, time, wide, filled, word }) => ({
      loss: model(gap.unsqueeze(1)).squeeze(1).add(small).add(time).add(wide).add(filled).add(word.cast("float32")),
      outputs: {
        joined: gap
          .unsqueeze(1)
          .concat([small.unsqueeze(1), time.unsqueeze(1), wide.unsqueeze(1), filled.unsqueeze(1)], 1),
        word_id: word,
      },
    }),
    optimizer: optim.sgd({ lr: 0 }),
    batchSize: "all",
  });
}

async function compiled(rows: readonly (readonly string[])[], name = "train.csv") {
  const text = [["gap", "small", "time", "wide", "filled", "word"], ...rows].map((row) => row.join(",")).join("\n");
  await writeFile(join(folder, name), text);
  const definition = definitionOf(name);
  const train = await definition.sources.train.open({ baseDirectory: folder });
  return { train, run: compileRun(definition, { train, preparation: await prepareColumns(train) }) };
}

/** (x − mean) / deviation of the population, in float64. */
function standard(column: readonly number[], x: number): number {
  const mean = column.reduce((sum, value) => sum + value, 0) / column.length;
  const variance = column.reduce((sum, value) => sum + (value - mean) ** 2, 0) / column.length;
  return (x - mean) / Math.sqrt(variance);
}

test("the exported model takes raw values of every dtype, and NaN, and scales them as the formula does", async () => {
  const { run } = await compiled(lines);
  const model = exportOnnx(run.inferenceGraph!, parameterViews(run.layout, run.initialParameters()));
  const session = await InferenceSession.create(model, { intraOpNumThreads: 1 });
  const { joined, word_id: words } = await session.run({
    gap: new EngineTensor("float32", Float32Array.of(12.5, Number.NaN, 7), [3]),
    small: new EngineTensor("uint8", Uint8Array.of(200, 3, 255), [3]),
    time: new EngineTensor("int64", BigInt64Array.of(1_700_000_000_123n, 1_700_000_001_001n, 0n), [3]),
    wide: new EngineTensor("float64", Float64Array.of(1.5, 1e9, -2), [3]),
    filled: new EngineTensor("float32", Float32Array.of(4, Number.NaN, 0), [3]),
    word: new EngineTensor("int32", Int32Array.of(2, 0, 1), [3]),
  });
  const gaps = [12.5, -3, 40];
  const times = lines.map((row) => Number(row[2]));
  const wides = lines.map((row) => Number(row[3]));
  const expected = [
    [standard(gaps, 12.5), 1, standard(times, times[0]!), standard(wides, 1.5), 4],
    [0, 0, standard(times, times[3]!), standard(wides, 1e9), -1],
    [standard(gaps, 7), 252 / 197, standard(times, 0), standard(wides, -2), 0],
  ].flat();
  for (const [index, value] of (joined!.data as Float32Array).entries()) {
    expect(Math.abs(value - expected[index]!), `${index}`).toBeLessThanOrEqual(2e-6 * Math.max(1, Math.abs(value)));
  }
  expect([...(words!.data as Int32Array)]).toEqual([2, 0, 1]);
  await session.release();
});

test("training sees the same values: its loss is the formula's", async () => {
  const { run, train } = await compiled(lines);
  const program = run.training.programs.get(4)!;
  const parameters = run.initialParameters();
  const rows = await packRows(train, [0, 1, 2, 3]);
  const { scalars } = await execute(program, parameters, rows);
  const [weight, bias] = run.layout.entries.map(({ offset }) => parameters[offset]!);
  const column = (at: number) => lines.map((row) => Number(row[at]));
  const gaps = [12.5, -3, 40];
  const sum = lines.reduce((total, row, i) => {
    const gap = row[0] === "" ? 0 : standard(gaps, Number(row[0]));
    const small = (column(1)[i]! - 3) / 197;
    const filled = row[4] === "" ? -1 : Number(row[4]);
    const others = standard(column(2), column(2)[i]!) + standard(column(3), column(3)[i]!) + filled;
    return total + weight! * gap + bias! + small + others + ["a", "b", "c"].indexOf(row[5]!);
  }, 0);
  expect(scalars[0]).toBeCloseTo(sum, 4);
});

test("other statistics or other words are another run, and the difference says which", async () => {
  const { run } = await compiled(lines);
  expect((await compiled(lines)).run.digest).toBe(run.digest);
  const words = lines.map((row) => [...row.slice(0, 5), row[5] === "c" ? "d" : row[5]!]);
  const renamed = (await compiled(words)).run;
  expect(renamed.record.fingerprints).toEqual(run.record.fingerprints);
  expect(differences(run.record, renamed.record)).toEqual(['columns.word.categories: ["a","b","c"] → ["a","b","d"]']);
  expect(renamed.digest).not.toBe(run.digest);
});
