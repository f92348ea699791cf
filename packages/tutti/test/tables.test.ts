import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readCheckpoint } from "@tutti/core/checkpoint";
import { afterAll, expect, test } from "vitest";
import { data, defineRun, nn, optim, predict, type RunDefinition, type TrainOptions, train } from "../src/index.ts";

const folder = mkdtempSync(join(tmpdir(), "tutti-table-runs-"));
afterAll(() => rmSync(folder, { recursive: true }));

const columns = {
  x: { dtype: "float32", from: ["a", "b"], missing: "median", normalize: "standard" },
  word: "category",
  y: "float32",
} as const;

/** Rows 1 … n of y = (a − 2b)/1000 and a word; every seventh a is missing. */
function csvText(rows: number): string {
  const lines = Array.from({ length: rows }, (_, row) => {
    const [a, b] = [(row * 37) % 101, (row * 53) % 97];
    return `${row % 7 === 3 ? "" : a},${b},${["red", "green", "blue"][row % 3]},${(a - 2 * b) / 1000}`;
  });
  return `a,b,word,y\n${lines.join("\n")}\n`;
}

function definitionOf(source: ReturnType<typeof data.csv<typeof columns>>): RunDefinition {
  const model = { word: nn.embedding(3, 2), out: nn.linear(4, 1) };
  return defineRun({
    data: data.split(source, { fraction: 0.25, seed: 3 }),
    model,
    step({ x, word, y }) {
      const prediction = model.out(x.concat([model.word(word)], 1)).squeeze(1);
      return { loss: nn.mse(prediction, y), outputs: { prediction } };
    },
    sampling: { balance: "word" },
    optimizer: optim.sgd({ lr: 0.05 }),
    batchSize: 24,
    shards: 4,
    epochs: 4,
    seed: 2,
  });
}

const finished = async (definition: RunDefinition, options: TrainOptions = {}) =>
  (await train(definition, { baseDirectory: folder, ...options })).done;

writeFileSync(join(folder, "all.csv"), csvText(200));

test("gives the same bits on any number of workers, and however the rows are cut into files", async () => {
  const [header, ...lines] = csvText(200).trimEnd().split("\n");
  for (const [part, from, to] of [[1, 0, 70] as const, [2, 70, 200] as const]) {
    writeFileSync(join(folder, `part-${part}.csv`), `${[header, ...lines.slice(from, to)].join("\n")}\n`);
  }
  const whole = await finished(definitionOf(data.csv("all.csv", { columns })));
  const parts = await finished(definitionOf(data.csv("part-*.csv", { columns })));
  const three = await finished(definitionOf(data.csv("all.csv", { columns })), { workers: 3 });
  expect(parts.weightsSha256).toBe(whole.weightsSha256);
  expect(three.weightsSha256).toBe(whole.weightsSha256);
  expect(parts.validation).toEqual(whole.validation);
});

test("the checkpoint holds the statistics of the training rows and the words", async () => {
  const out = join(folder, "out");
  const definition = definitionOf(data.csv("all.csv", { columns }));
  const { out: files } = await train(definition, { baseDirectory: folder, out });
  const { definition: record } = await readCheckpoint(files!.checkpoint!);
  const dataset = await definition.sources.train.open({ baseDirectory: folder });
  const rows = Array.from({ length: dataset.size }, (_, row) => dataset.table!.locate(row).row);
  await dataset.close();
  expect(rows).toHaveLength(150);
  const lines = readFileSync(join(folder, "all.csv"), "utf8").split("\n");
  const second = rows.map((row) => Number(lines[row]!.split(",")[1]));
  const mean = second.reduce((sum, value) => sum + value, 0) / second.length;
  const known = record.columns as Record<string, Record<string, readonly number[]>>;
  expect(known.word!.categories).toEqual(["blue", "green", "red"]);
  expect(known.x!.offset![1]).toBe(mean);
  const sorted = second.toSorted((a, b) => a - b);
  expect(known.x!.fill![1]).toBe((sorted[74]! + sorted[75]!) / 2);
});

test("predict takes words, raw values and NaN, and says which word a model does not know", async () => {
  const out = join(folder, "predict");
  await train(definitionOf(data.csv("all.csv", { columns })), { baseDirectory: folder, out });
  const x = Float32Array.of(5, 7, Number.NaN, 7, 80, Number.NaN);
  const { prediction: byWord } = await predict(out, { x, word: ["red", "blue", "green"] });
  const { prediction: byPlace } = await predict(join(out, "model.onnx"), { x, word: Int32Array.of(2, 0, 1) });
  expect(byWord).toEqual(byPlace);
  expect(byWord!.values.every(Number.isFinite)).toBe(true);
  await expect(predict(out, { x, word: ["red", "mauve", "green"] })).rejects.toThrow(
    'column "word", sample 2: expected one of "blue", "green", "red", found "mauve": leave the sample out, or train with a word',
  );
  await expect(predict(out, { x: ["1"], word: ["red"] })).rejects.toThrow(
    'column "x": expected a typed array, found a list; it has no categories',
  );
});

test("predict reads files as training does: words in any order, missing cells, without the label", async () => {
  const out = join(folder, "from-file");
  await train(definitionOf(data.csv("all.csv", { columns })), { baseDirectory: folder, out });
  const { x, word } = columns;
  // "blue" is in no row, and the words would be counted otherwise.
  writeFileSync(join(folder, "new.csv"), "word,b,a\nred,7,5\ngreen,7,\nred,,80\n");
  const { prediction } = await predict(out, data.csv("new.csv", { columns: { x, word } }), { baseDirectory: folder });
  const values = Float32Array.of(5, 7, Number.NaN, 7, 80, Number.NaN);
  expect(prediction).toEqual((await predict(out, { x: values, word: ["red", "green", "red"] })).prediction);
  writeFileSync(join(folder, "other.csv"), "a,b,word\n1,2,red\n3,4,mauve\n");
  const other = data.csv(join(folder, "other.csv"), { columns: { x, word } });
  await expect(predict(out, other)).rejects.toThrow(
    'other.csv row 2, column "word": expected a category of the training data, "blue", "green", "red"; found "mauve"',
  );
});

test("a label without a place, and a row that makes the loss infinite, are named by file and row", async () => {
  const model = nn.linear(1, 2);
  const options = { model, optimizer: optim.sgd({ lr: 0.1 }), batchSize: "all", shards: 1 } as const;
  const labels = defineRun({
    ...options,
    data: { train: data.csv("all.csv", { columns: { b: "float32", word: "category" } }) },
    step: ({ b, word }) => ({ loss: nn.crossEntropy(model(b.unsqueeze(1)), word) }),
  });
  await expect(finished(labels)).rejects.toThrow(
    'all.csv row 1, column "word": found 2, the step function uses it as an index from 0 to 1',
  );
  writeFileSync(join(folder, "large.csv"), "a,b\n1,1\n,2\n1e30,3\n4,4\n");
  const line = nn.linear(1, 1);
  const large = defineRun({
    ...options,
    model: line,
    data: { train: data.csv("large.csv", { columns: { a: { dtype: "float32", missing: "drop" } } }) },
    step: ({ a }) => ({ loss: nn.mse(line(a.unsqueeze(1)), a.unsqueeze(1)) }),
  });
  await expect(finished(large)).rejects.toThrow(/Alone, these rows of the training data give it: large\.csv row 3$/);
});
