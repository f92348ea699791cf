import { data, packRows } from "@tutti/core/data";
import { metrics } from "@tutti/core/metrics";
import { type Module, nn } from "@tutti/core/nn";
import { optim } from "@tutti/core/optim";
import { type CompiledRun, compileRun, defineRun, finishCollected, parameterViews } from "@tutti/core/run";
import { updateRunningStatistics } from "@tutti/core/step";
import { expect, test } from "vitest";
import { execute } from "./execute.ts";

const rows = 24;
const values = Float32Array.from({ length: rows * 3 }, (_, i) => 10 + 3 * Math.fround(Math.sin(i * 2.3)));
const source = data.arrays({
  x: { dtype: "float32", shape: [3], values },
  label: Uint8Array.from({ length: rows }, (_, i) => (i * i) % 2),
});
const dataset = await source.open({ baseDirectory: "." });

type Step = Parameters<typeof defineRun>[0]["step"];

function compiled(
  model: Module | Record<string, Module>,
  step: Step,
  shards: number,
  options: { batchSize?: number; freeze?: readonly string[] } = {},
): CompiledRun {
  const common = { data: { train: source, validation: source }, model, step, optimizer: optim.sgd({ lr: 1 }) };
  const definition = defineRun({ ...common, batchSize: rows, validation: { shardSize: 10 }, ...options });
  return compileRun(definition, { train: dataset, validation: dataset }, { shards });
}

const classify =
  (model: Module): Step =>
  ({ x, label }) => ({ loss: nn.crossEntropy(model(x!), label!) });

/** The sums of a whole batch, shard after shard in float32. */
async function sumsOf(run: CompiledRun): Promise<Float32Array> {
  const total = new Float32Array(run.updated.totalFloats);
  for (const { lo, hi } of run.plan.at(0).shards) {
    const packed = await packRows(
      dataset,
      Array.from({ length: hi - lo }, (_, i) => lo + i),
    );
    const { sums } = await execute(run.training.programs.get(hi - lo)!, run.initialParameters(), packed);
    for (const [i, sum] of sums.entries()) total[i]! += sum;
  }
  return total;
}

const normFirst = nn.sequential({ norm: nn.batchNorm1d(3), fc: nn.linear(3, 2) });

test("what trains comes first, then buffers, then what is frozen by a pattern; updates cover the first two", () => {
  const model = nn.sequential({ a: nn.linear(3, 4), norm: nn.batchNorm1d(4), b: nn.linear(4, 2) });
  const run = compiled(model, classify(model), 1, { freeze: ["a.*"] });
  expect(run.layout.entries.map(({ name }) => name)).toEqual([
    ...["norm.weight", "norm.bias", "b.weight", "b.bias"],
    ...["norm.running_mean", "norm.running_var"],
    ...["a.weight", "a.bias"],
  ]);
  expect(run.trainable.entries).toEqual(run.layout.entries.slice(0, 4));
  expect(run.updated.entries).toEqual(run.layout.entries.slice(0, 6));
  expect(run.buffers).toEqual(run.layout.entries.slice(4, 6));
  const program = run.training.programs.get(rows)!;
  expect(program.sums.map(({ name }) => name)).toEqual([
    ...["norm.weight", "norm.bias", "b.weight", "b.bias"].map((name) => `gradient:${name}`),
    ...["norm.running_mean", "norm.running_var"].map((name) => `statistics:${name}`),
  ]);
  expect(program.sumsFloats).toBe(run.updated.totalFloats);
  const views = parameterViews(run.layout, run.initialParameters());
  expect([...views.get("norm.running_mean")!, ...views.get("norm.running_var")!]).toEqual([0, 0, 0, 0, 1, 1, 1, 1]);
});

test("a pattern to freeze that no parameter has is an error with a suggestion", () => {
  const freeze = ["encodr.*", "fc.weigth"];
  expect(() => compiled(normFirst, classify(normFirst), 1, { freeze })).toThrow(
    /freeze: no parameter is named "encodr\.\*"/,
  );
  expect(() => compiled(normFirst, classify(normFirst), 1, { freeze: ["fc.weigth"] })).toThrow(
    /did you mean "fc\.weight"\?/,
  );
});

test("running statistics are the batch's own mean and unbiased variance, however it is cut, also far from zero", async () => {
  for (const shards of [1, 2, 5, 12]) {
    const run = compiled(normFirst, classify(normFirst), shards);
    const current = run.initialParameters();
    const next = current.slice();
    const sums = await sumsOf(run);
    expect(run.statistics).toHaveLength(1);
    expect(updateRunningStatistics({ ...run.statistics[0]!, momentum: 1 }, { current, next, sums }, rows, 1)).toBe(
      true,
    );
    const views = parameterViews(run.layout, next);
    for (let column = 0; column < 3; column++) {
      const own = [...values].filter((_, i) => i % 3 === column);
      const mean = own.reduce((sum, value) => sum + value, 0) / rows;
      const variance = own.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (rows - 1);
      expect(Math.abs(views.get("norm.running_mean")![column]! / mean - 1)).toBeLessThan(1e-6);
      expect(Math.abs(views.get("norm.running_var")![column]! / variance - 1)).toBeLessThan(1e-4);
    }
  }
});

test("a layer that is called twice follows the values of both calls", async () => {
  const step: Step = ({ x, label }) => ({ loss: nn.crossEntropy(normFirst(x!).add(normFirst(x!.mul(3))), label!) });
  const run = compiled(normFirst, step, 2);
  const current = run.initialParameters();
  const next = current.slice();
  updateRunningStatistics({ ...run.statistics[0]!, momentum: 1 }, { current, next, sums: await sumsOf(run) }, rows, 1);
  const own = [...values].filter((_, i) => i % 3 === 0);
  const both = [...own, ...own.map((value) => 3 * value)];
  const mean = both.reduce((sum, value) => sum + value, 0) / both.length;
  expect(parameterViews(run.layout, next).get("norm.running_mean")![0]! / mean).toBeCloseTo(1, 5);
});

test("a shard that leaves a channel one value is an error that names the layer and what to do", () => {
  expect(() => compiled(normFirst, classify(normFirst), rows)).toThrow(
    /norm: a shard of 1 sample gives 1 value per channel, .*lower `shards`/,
  );
});

test("reducing over samples is refused outside nn.perShard, and told of inside", () => {
  const model = nn.linear(3, 2);
  const step =
    (centre: (x: Parameters<typeof nn.perShard>[0]) => ReturnType<typeof model>): Step =>
    ({ x, label }) => ({ loss: nn.crossEntropy(model(x!.sub(centre(x!))), label!) });
  expect(() =>
    compiled(
      model,
      step((x) => x.mean(0)),
      2,
    ),
  ).toThrow(/MIXES_SAMPLES|counts samples/);
  const run = compiled(
    model,
    step((x) => nn.perShard(x, () => x.mean(0))),
    2,
  );
  expect(run.perShard).toEqual(["the step function"]);
  expect(compiled(normFirst, classify(normFirst), 2).perShard).toEqual(["model.norm"]);
});

test("evaluation uses the running statistics, so that a sample's result does not depend on its shard", async () => {
  const run = compiled(normFirst, classify(normFirst), 2);
  expect(run.evaluation!.programs.get(10)!.parameters.filter(({ isBuffer }) => isBuffer)).toHaveLength(2);
  const parameters = run.initialParameters();
  parameters.fill(10, run.buffers[0]!.offset, run.buffers[0]!.offset + 3);
  parameters.fill(4, run.buffers[1]!.offset, run.buffers[1]!.offset + 3);
  const result = await execute(
    run.evaluation!.programs.get(10)!,
    parameters,
    await packRows(dataset, [...Array(10).keys()]),
  );
  const views = parameterViews(run.layout, parameters);
  const [weight, bias] = [views.get("fc.weight")!, views.get("fc.bias")!];
  let wanted = 0;
  for (let row = 0; row < 10; row++) {
    const x = [0, 1, 2].map((i) => (values[3 * row + i]! - 10) / Math.sqrt(4 + 1e-5));
    const logits = [0, 1].map((o) => bias[o]! + x.reduce((sum, value, i) => sum + value * weight[3 * o + i]!, 0));
    wanted += Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0)) - logits[(row * row) % 2]!;
  }
  expect(Math.abs(result.scalars[0]! / wanted - 1)).toBeLessThan(1e-6);
});

test("columns that a metric collects come from evaluation only and are joined in order of position", () => {
  const model = nn.linear(3, 2);
  const seen: unknown[] = [];
  const run = compiled(
    model,
    ({ x, label }) => ({
      loss: nn.crossEntropy(model(x!), label!),
      metrics: {
        accuracy: metrics.accuracy(model(x!), label!),
        order: {
          kind: "collect",
          columns: { label: label!, twice: x!.mul(2) },
          finish: (columns) => {
            seen.push(columns);
            return { count: columns.label!.length, last: Number(columns.twice!.at(-1)) };
          },
        },
      },
    }),
    2,
  );
  expect(run.training.programs.get(12)!.collects).toEqual([]);
  expect(run.evaluation!.programs.get(4)!.collects).toEqual([
    { name: "collect:order/label", dtype: "uint8", shape: [4] },
    { name: "collect:order/twice", dtype: "float32", shape: [4, 3] },
  ]);
  const shards = run.evaluation!.plan.shards.map(({ lo, hi }) => {
    const program = run.evaluation!.programs.get(hi - lo)!;
    const bytes = new Uint8Array(64 + 12 * (hi - lo));
    bytes.set(Array.from({ length: hi - lo }, (_, i) => lo + i));
    new Float32Array(bytes.buffer, 64).set(Array.from({ length: 3 * (hi - lo) }, (_, i) => 3 * lo + i));
    return { program, bytes };
  });
  expect(finishCollected(run.evaluation!.collects, shards)).toEqual({
    "order.count": rows,
    "order.last": 3 * rows - 1,
  });
  expect(seen).toEqual([
    {
      label: Uint8Array.from({ length: rows }, (_, i) => i),
      twice: Float32Array.from({ length: 3 * rows }, (_, i) => i),
    },
  ]);
});
