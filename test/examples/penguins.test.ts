import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readOnnx } from "@tutti/core/graph";
import { parse } from "csv-parse/sync";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { expect, test } from "vitest";
import definition from "../../examples/penguins.ts";
import { root } from "../system/tutti-process.ts";
import { trainedExample } from "./trained-example.ts";

const measurements = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"];
const species = ["Adelie", "Chinstrap", "Gentoo"];

/** The file's own rows, by another reader. */
const rows: readonly Readonly<Record<string, string>>[] = parse(readFileSync(join(root, "examples/penguins.csv")), {
  columns: true,
});

/** Rows of one part of the split, from 0. */
async function partOf(source: typeof definition.sources.train): Promise<readonly number[]> {
  const dataset = await source.open({ baseDirectory: join(root, "examples") });
  const part = Array.from({ length: dataset.size }, (_, row) => dataset.table!.locate(row).row - 1);
  await dataset.close();
  return part;
}

/** A cell as whoever has no Tutti would hand it in. */
const measured = (row: number, name: string): number => {
  const cell = rows[row]![name]!;
  return cell === "" ? Number.NaN : Number(cell);
};

test("the exported model takes raw values, missing ones too, and computes what validation computed", async () => {
  const { figures, out } = await trainedExample("examples/penguins.ts");
  expect(figures.accuracy).toBeGreaterThan(0.97); // one guess for all: 0.43
  const model = readFileSync(join(out, "model.onnx"));

  const validation = await partOf(definition.sources.validation!);
  expect(validation).toHaveLength(69);
  const int32 = (values: readonly number[]) => new Tensor("int32", Int32Array.from(values), [values.length]);
  const sexes = ["female", "male"];
  const feeds = {
    measured: new Tensor(
      "float32",
      Float32Array.from(validation.flatMap((row) => measurements.map((name) => measured(row, name)))),
      [validation.length, 4],
    ),
    island: int32(validation.map((row) => ["Biscoe", "Dream", "Torgersen"].indexOf(rows[row]!.island!))),
    sex: int32(validation.map((row) => (sexes.includes(rows[row]!.sex!) ? sexes.indexOf(rows[row]!.sex!) : 2))),
  };
  const session = await InferenceSession.create(model);
  const { probabilities } = await session.run(feeds);
  const values = probabilities!.data as Float32Array;

  const truth = validation.map((row) => species.indexOf(rows[row]!.species!));
  const losses = truth.map((label, index) => -Math.log(values[3 * index + label]!));
  const guesses = truth.map((_, index) => {
    const own = [...values.subarray(3 * index, 3 * index + 3)];
    return own.indexOf(Math.max(...own));
  });
  expect(guesses.filter((guess, index) => guess === truth[index]).length / truth.length).toBe(figures.accuracy);
  expect(losses.reduce((sum, loss) => sum + loss, 0) / losses.length).toBeCloseTo(figures.loss!, 5);

  // What it was scaled by, and the words of its categories, travel with the model: of the training rows, by another formula.
  const train = await partOf(definition.sources.train);
  const { metadata } = readOnnx(model, { otherOutputs: true });
  const columns = JSON.parse(metadata["tutti.columns"]!) as Record<string, Record<string, unknown>>;
  expect(columns.island).toEqual({ dtype: "int32", shape: [], categories: ["Biscoe", "Dream", "Torgersen"] });
  for (const [element, name] of measurements.entries()) {
    const known = train.map((row) => measured(row, name)).filter((value) => !Number.isNaN(value));
    const mean = known.reduce((sum, value) => sum + value / known.length, 0);
    const square = known.reduce((sum, value) => sum + (value * value) / known.length, 0);
    const { fill, offset, scale } = columns.measured as Record<string, readonly number[]>;
    expect(fill![element], name).toBeCloseTo(mean, 3);
    expect(offset![element], name).toBeCloseTo(mean, 3);
    expect(scale![element], name).toBeCloseTo(Math.sqrt(square - mean * mean), 3);
  }

  // A penguin that nobody measured is one of mean measures.
  const unknown = async (measures: readonly number[]) => {
    const { logits } = await session.run({
      measured: new Tensor("float32", Float32Array.from(measures), [1, 4]),
      island: int32([2]),
      sex: int32([2]),
    });
    return logits!.data;
  };
  const { fill } = columns.measured as Record<string, readonly number[]>;
  expect(await unknown(measurements.map(() => Number.NaN))).toEqual(await unknown(fill!));
  await session.release();
});
