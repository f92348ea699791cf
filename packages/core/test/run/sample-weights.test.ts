import { data, openBatches } from "@tutti/core/data";
import { nn } from "@tutti/core/nn";
import { optim } from "@tutti/core/optim";
import { type CompiledRun, compileRun, defineRun } from "@tutti/core/run";
import { expect, test } from "vitest";
import { execute } from "./execute.ts";

const rows = 24;
const weightOf = (row: number): number => [0, 0.5, 1, 2.25][row % 4]!;
const xOf = (row: number, i: number): number => Math.fround(((row * 7 + i * 5) % 13) / 13 - 0.4);
const labelOf = (row: number): number => row % 3;
const classWeights = [0.5, 1, 3];
const source = data.arrays({
  x: {
    dtype: "float32",
    shape: [4],
    values: Float32Array.from({ length: rows * 4 }, (_, at) => xOf(at >> 2, at % 4)),
  },
  label: Uint8Array.from({ length: rows }, (_, row) => labelOf(row)),
  weight: Float32Array.from({ length: rows }, (_, row) => weightOf(row)),
});
const dataset = await source.open({ baseDirectory: "." });
const model = nn.linear(4, 3);
const options = {
  data: { train: source },
  model: { head: model },
  optimizer: optim.sgd({ lr: 0.1 }),
  batchSize: 12,
  shards: 2,
};
type Step = Parameters<typeof defineRun>[0]["step"];

function compiled(step: Step, more: object = {}, samplingWeights?: Float64Array): CompiledRun {
  return compileRun(defineRun({ ...options, step, ...more }), { train: dataset, samplingWeights });
}

/** [Σ weight·loss, Σ weight] over the first batch, added over its shards; and the sums of the gradients. */
async function firstBatch(run: CompiledRun): Promise<{ totals: [number, number]; gradient: Float64Array }> {
  const totals: [number, number] = [0, 0];
  const gradient = new Float64Array(run.updated.totalFloats);
  const reader = openBatches(dataset, run.plan);
  for (const [index, { lo, hi }] of run.plan.at(0).shards.entries()) {
    const program = run.training.programs.get(hi - lo)!;
    const { scalars, sums } = await execute(program, run.initialParameters(), await reader.readShard(0, index));
    totals[0] += scalars[0]!;
    totals[1] += scalars[1]!;
    for (const [i, value] of sums.entries()) gradient[i]! += value;
  }
  return { totals, gradient };
}

const rowsOfFirstBatch = (run: CompiledRun): number[] =>
  Array.from({ length: 12 }, (_, position) => run.plan.row(0, position));

/** The linear layer's outputs for a row, in float64. */
function outputs(run: CompiledRun, row: number): number[] {
  const parameters = run.initialParameters();
  const [weight, bias] = ["head.weight", "head.bias"].map(
    (name) => run.layout.entries.find((entry) => entry.name === name)!,
  );
  return [0, 1, 2].map((c) => {
    let sum = parameters[bias!.offset + c]!;
    for (let i = 0; i < 4; i++) sum += xOf(row, i) * parameters[weight!.offset + c * 4 + i]!;
    return sum;
  });
}

const squares: Step = ({ x }) => {
  const y = model(x!);
  return { loss: y.mul(y).sum(1) };
};

test("weighs each sample's loss and its gradient by the column `weight`", async () => {
  const run = compiled(squares);
  expect(run.training.isWeighted).toBe(true);
  const { totals, gradient } = await firstBatch(run);
  let [loss, weight] = [0, 0];
  const expected = new Float64Array(gradient.length);
  const at = (name: string): number => run.layout.entries.find((entry) => entry.name === name)!.offset;
  for (const row of rowsOfFirstBatch(run)) {
    const y = outputs(run, row);
    weight += weightOf(row);
    for (const [c, value] of y.entries()) {
      loss += weightOf(row) * value * value;
      expected[at("head.bias") + c]! += weightOf(row) * 2 * value;
      for (let i = 0; i < 4; i++) expected[at("head.weight") + c * 4 + i]! += weightOf(row) * 2 * value * xOf(row, i);
    }
  }
  expect(totals[1]).toBe(weight);
  expect(Math.abs(totals[0] - loss)).toBeLessThan(1e-6 * loss);
  for (const [i, value] of expected.entries()) expect(Math.abs(gradient[i]! - value)).toBeLessThan(1e-5);
});

test("weighs every entry of a sample's loss alike, whether they lie on an axis of their own or behind each other", async () => {
  const onAnAxis = compiled(({ x }) => ({ loss: model(x!).abs() }));
  const flat = compiled(({ x }) => ({ loss: model(x!).abs().reshape([-1]) }));
  const [first, second] = [await firstBatch(onAnAxis), await firstBatch(flat)];
  let [loss, weight] = [0, 0];
  for (const row of rowsOfFirstBatch(onAnAxis)) {
    for (const value of outputs(onAnAxis, row)) {
      loss += weightOf(row) * Math.abs(value);
      weight += weightOf(row);
    }
  }
  for (const { totals } of [first, second]) {
    expect(totals[1]).toBe(weight);
    expect(Math.abs(totals[0] - loss)).toBeLessThan(1e-6 * loss);
  }
});

test("multiplies the loss's own weights, those of classes, by those of the samples", async () => {
  const run = compiled(({ x, label }) => ({ loss: nn.crossEntropy(model(x!), label!, { weight: classWeights }) }));
  const { totals } = await firstBatch(run);
  let [loss, weight] = [0, 0];
  for (const row of rowsOfFirstBatch(run)) {
    const logits = outputs(run, row);
    const w = weightOf(row) * classWeights[labelOf(row)]!;
    const normalizer = Math.log(logits.reduce((sum, value) => sum + Math.exp(value), 0));
    loss += w * (normalizer - logits[labelOf(row)]!);
    weight += w;
  }
  expect(totals[1]).toBe(weight);
  expect(Math.abs(totals[0] - loss)).toBeLessThan(1e-6 * loss);
});

test("leaves weighing to the step function where that returns a weight, and gives it the column", async () => {
  const run = compiled(({ x, weight }) => ({ loss: model(x!).abs().sum(1), weight: weight!.mul(2) }));
  expect(run.training.isWeighted).toBe(false);
  const { totals } = await firstBatch(run);
  expect(totals[1]).toBe(2 * rowsOfFirstBatch(run).reduce((sum, row) => sum + weightOf(row), 0));
});

test("does not weigh a second time what sampling has drawn by the same column", async () => {
  const weights = Float64Array.from({ length: rows }, (_, row) => weightOf(row));
  const run = compiled(squares, { sampling: { weights: "weight" } }, weights);
  expect(run.training.isWeighted).toBe(false);
  expect((await firstBatch(run)).totals[1]).toBe(12);
  expect(
    compileRun(run.definition, { train: dataset, validation: dataset, samplingWeights: weights }).evaluation,
  ).toMatchObject({ isWeighted: true });
});

test.each([
  ["uint8[]", new Uint8Array(rows)],
  ["float64[]", new Float64Array(rows)],
  ["float32[2]", { dtype: "float32", shape: [2], values: new Float32Array(rows * 2) }],
] as const)("refuses a column `weight` of %s that would weigh samples", async (found, weight) => {
  const other = data.arrays({ x: { dtype: "float32", shape: [4], values: new Float32Array(rows * 4) }, weight });
  const run = defineRun({ ...options, data: { train: other }, step: squares });
  const opened = await other.open({ baseDirectory: "." });
  expect(() => compileRun(run, { train: opened })).toThrow(
    expect.objectContaining({
      code: "DATA_INVALID",
      message: `column "weight": expected the weight of a sample, one float32 number a row, found ${found}; if it is something else, give it another name or return a weight from step`,
    }),
  );
});
