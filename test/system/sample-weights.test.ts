import { isTuttiError } from "@tutti/core/errors";
import { defineRun } from "@tutti/core/run";
import { data } from "tutti";
import { expect, test } from "vitest";
import { prepareRun } from "../../packages/tutti/src/prepare-run.ts";
import weighted, { weightedRows } from "../fixtures/weighted.ts";
import { resultOf, root, TuttiProcess, temporaryFolder } from "./tutti-process.ts";

const width = 5;

/** Weighted least squares by gradient descent in float64: what the run must come to, but for float32 rounding. */
function reference(): { readonly losses: readonly number[]; readonly validations: ReadonlyMap<number, number> } {
  const [train, validation] = [weightedRows(110, 11), weightedRows(50, 12)];
  const theta = new Float64Array(width + 1);
  const evaluate = ({ x, y, weight }: typeof train): { loss: number; gradient: Float64Array } => {
    const gradient = new Float64Array(width + 1);
    let [loss, total] = [0, 0];
    for (const [row, w] of weight.entries()) {
      let difference = theta[width]! - y[row]!;
      for (let i = 0; i < width; i++) difference += theta[i]! * x[row * width + i]!;
      loss += w * difference * difference;
      total += w;
      for (let i = 0; i < width; i++) gradient[i]! += w * 2 * difference * x[row * width + i]!;
      gradient[width]! += w * 2 * difference;
    }
    return { loss: loss / total, gradient: gradient.map((sum) => sum / total) };
  };
  const losses: number[] = [];
  const validations = new Map<number, number>();
  for (let step = 1; step <= 12; step++) {
    const { loss, gradient } = evaluate(train);
    losses.push(loss);
    for (const [i, value] of gradient.entries()) theta[i]! -= 0.5 * value;
    if (step % 4 === 0) validations.set(step, evaluate(validation).loss);
  }
  return { losses, validations };
}

test("trains and validates by the column `weight`, to the same bits on 0, 1 and 2 workers", async () => {
  const { losses, validations } = reference();
  const results = [];
  for (const workers of [0, 1, 2]) {
    const out = temporaryFolder();
    const run = new TuttiProcess([
      "train",
      "test/fixtures/weighted.ts",
      "--workers",
      `${workers}`,
      "--out",
      out,
      "--json",
    ]);
    expect(await run.end(), run.stderr).toBe(0);
    await run.event("notice", ({ message }) => message === "samples are weighted by the data's column `weight`");
    const seen = { steps: 0, validations: 0 };
    for (const event of run.events) {
      if (event.type === "step") {
        expect(Math.abs(event.loss - losses[event.step - 1]!)).toBeLessThan(1e-6 * losses[event.step - 1]!);
        seen.steps++;
      } else if (event.type === "validation") {
        const expected = validations.get(event.step)!;
        expect(Math.abs(event.loss - expected)).toBeLessThan(1e-6 * expected);
        seen.validations++;
      }
    }
    expect(seen).toEqual({ steps: 12, validations: 3 });
    results.push(resultOf(run.events));
  }
  expect(results[1]).toEqual(results[0]);
  expect(results[2]).toEqual(results[0]);
});

test.each([
  ["data.train", -1],
  ["data.train", Number.NaN],
  ["data.train", Number.POSITIVE_INFINITY],
  ["data.validation", -0.5],
])("refuses in %s a weight of %d before the first step, with its row", async (where, value) => {
  const bad = (isHere: boolean) => {
    const { x, y, weight } = weightedRows(40, 13);
    if (isHere) weight[17] = value;
    return data.arrays({ x: { dtype: "float32", shape: [width], values: x }, y, weight });
  };
  const sources = { train: bad(where === "data.train"), validation: bad(where === "data.validation") };
  const { model, step, plain } = weighted;
  const definition = defineRun({ data: sources, model, step, optimizer: plain.optimizer, batchSize: "all" });
  const refusal = await prepareRun(definition, root).catch((error: unknown) => error);
  expect(isTuttiError(refusal) && { code: refusal.code, message: refusal.message }).toEqual({
    code: "DATA_INVALID",
    message: `${where}: column "weight", row 18: expected a finite weight of at least 0, found ${value}`,
  });
});
