import { type ColumnsOf, data, openBatches, samplingWeights } from "@tutti/core/data";
import { readOnnx } from "@tutti/core/graph";
import { metrics } from "@tutti/core/metrics";
import { nn } from "@tutti/core/nn";
import { optim } from "@tutti/core/optim";
import {
  applyOverrides,
  type CompiledRun,
  compileRun,
  defineRun,
  parameterViews,
  type RunOptions,
} from "@tutti/core/run";
import { expect, test } from "vitest";
import { execute } from "./execute.ts";

const rows = 24;
const lengthOf = (row: number): number => 1 + ((row * 5) % 7) + (row === 11 ? 9 : 0);
const sequences = Array.from({ length: rows }, (_, row) =>
  Array.from({ length: lengthOf(row) }, (_, step) => 1 + ((row * 31 + step * 17) % 10)),
);
const targets = Float32Array.from({ length: rows }, (_, row) => ((row * 13) % 7) / 7);

const source = (padTo: readonly number[]) =>
  data.arrays({ tokens: { dtype: "int32", shape: ["length"], values: sequences }, target: targets }, { padTo });

const model = { embed: nn.embedding(11, 4), head: nn.linear(4, 1) };

type Columns = ColumnsOf<ReturnType<typeof source>>;
type Options = Partial<RunOptions<Columns>>;

/** The mean of the embeddings of the true tokens, a linear layer and the squared error. */
function masked(padTo: readonly number[], options: Options = {}) {
  return defineRun({
    data: { train: source(padTo) },
    model,
    step({ tokens, tokens_mask: mask, target }) {
      const weight = mask.cast("float32");
      const total = model.embed(tokens).mul(weight.unsqueeze(2)).sum(1);
      const mean = total.div(weight.sum(1).unsqueeze(1));
      const prediction = model.head(mean);
      return {
        loss: nn.mse(prediction, target.unsqueeze(1)),
        outputs: { prediction },
        metrics: { tokens: metrics.mean(weight.sum(1)) },
      };
    },
    optimizer: optim.sgd({ lr: 0.1 }),
    batchSize: 6,
    shards: 2,
    ...options,
  });
}

async function compiled(padTo: readonly number[], options: Options = {}) {
  const definition = masked(padTo, options);
  const dataset = await definition.sources.train.open({ baseDirectory: "." });
  const validation = definition.sources.validation === null ? undefined : dataset;
  return { dataset, run: compileRun(definition, { train: dataset, validation }) };
}

/** Σ loss, Σ weight, Σ tokens and the gradients of a step's shards, added in float64. */
async function stepSums({ dataset, run }: Awaited<ReturnType<typeof compiled>>, step: number) {
  const reader = openBatches(dataset, run.plan);
  const batch = run.plan.at(step);
  const sums = new Float64Array(run.updated.totalFloats);
  const scalars = new Float64Array(3);
  for (const [index, { lo, hi }] of batch.shards.entries()) {
    const program = run.training.programs.get(`${hi - lo}x${batch.paddedTo!}`)!;
    const result = await execute(program, run.initialParameters(), await reader.readShard(step, index));
    for (const [i, value] of result.sums.entries()) sums[i]! += value;
    for (const [i, value] of result.scalars.entries()) scalars[i]! += value;
  }
  return { sums, scalars, paddedTo: batch.paddedTo };
}

/** The same in float64 from the rows themselves, which have no padding. */
function exact(run: CompiledRun, step: number) {
  const views = parameterViews(run.layout, run.initialParameters());
  const embed = views.get("embed.weight")!;
  const [weight, bias] = [views.get("head.weight")!, views.get("head.bias")!];
  const gradients = { embed: new Float64Array(44), weight: new Float64Array(4), bias: 0 };
  const batch = run.plan.at(step);
  let [loss, count] = [0, 0];
  for (let position = 0; position < batch.samples; position++) {
    const row = run.plan.row(batch.epoch, batch.firstPosition + position);
    const own = sequences[row]!;
    const mean = [0, 1, 2, 3].map((i) => own.reduce((sum, token) => sum + embed[4 * token + i]!, 0) / own.length);
    const error = mean.reduce((sum, value, i) => sum + value * weight[i]!, bias[0]!) - targets[row]!;
    loss += error * error;
    count += own.length;
    gradients.bias += 2 * error;
    for (const i of [0, 1, 2, 3]) {
      gradients.weight[i]! += 2 * error * mean[i]!;
      for (const token of own) gradients.embed[4 * token + i]! += (2 * error * weight[i]!) / own.length;
    }
  }
  return { loss, count, gradients };
}

const near = (found: number, wanted: number): void =>
  expect(Math.abs(found - wanted)).toBeLessThan(2e-6 * Math.max(1, Math.abs(wanted)));

test("a masked loss and its gradients are those of the rows themselves, whatever they are padded to", async () => {
  for (const padTo of [[4, 8, 16], [16], [5, 40]]) {
    const padded = await compiled(padTo);
    const { run } = padded;
    const seen = new Set<number | undefined>();
    for (let step = 0; step < run.plan.stepsPerEpoch; step++) {
      const { sums, scalars, paddedTo } = await stepSums(padded, step);
      const { loss, count, gradients } = exact(run, step);
      near(scalars[0]!, loss);
      expect([scalars[1], scalars[2]]).toEqual([6, count]);
      const at = (name: string): number => run.layout.entries.find((entry) => entry.name === name)!.offset;
      for (let i = 0; i < 44; i++) near(sums[at("embed.weight") + i]!, gradients.embed[i]!);
      for (let i = 0; i < 4; i++) near(sums[at("head.weight") + i]!, gradients.weight[i]!);
      near(sums[at("head.bias")]!, gradients.bias);
      seen.add(paddedTo);
    }
    if (padTo.length === 3) expect([...seen].sort()).toEqual([16, 8]);
  }
});

test("a program is built for each number of samples and length that a batch can have", async () => {
  const { run } = await compiled([2, 4, 8, 16, 99], { batchSize: 7, shards: 2, lastBatch: "train" });
  // Shards of 3 and 4, and of 3 for the last 3 samples; no row needs 99.
  const keys = [...run.training.programs.keys()].map(String);
  expect(keys).toEqual(["3x2", "3x4", "3x8", "3x16", "4x2", "4x4", "4x8", "4x16"]);
  for (const [key, program] of run.training.programs) {
    const [n, length] = String(key).split("x").map(Number);
    expect(program.samples).toBe(n);
    expect(program.columns).toMatchObject([
      { name: "tokens", shape: [n, length], range: [-11, 10] },
      { name: "tokens_mask", dtype: "bool", shape: [n, length] },
      { name: "target", shape: [n] },
    ]);
  }
  expect(new Set([...run.training.programs.values()].map(({ id }) => id)).size).toBe(keys.length);
  expect(Object.keys(run.record.programs!).sort()).toEqual(keys.map((key) => `train/${key}`).sort());
});

test("the step function is traced once for each length, and the exported model takes the last of padTo", async () => {
  const lengths: unknown[] = [];
  const definition = defineRun({
    data: { train: source([8, 16, 99]) },
    model,
    step({ tokens, tokens_mask: mask, target }, { training }) {
      if (training) lengths.push(tokens.shape[1]);
      const weight = mask.cast("float32").unsqueeze(2);
      return { loss: nn.mse(model.head(model.embed(tokens).mul(weight).sum(1)), target.unsqueeze(1)) };
    },
    optimizer: optim.sgd({ lr: 0.1 }),
    batchSize: 6,
  });
  compileRun(definition, { train: await definition.sources.train.open({ baseDirectory: "." }) });
  expect(lengths).toEqual([99, 8, 16]);
  const { run } = await compiled([8, 16, 99]);
  const inputs = readOnnx(run.inferenceGraph!).inputs.map(({ name, shape }) => [name, String(shape?.at(-1))]);
  expect(inputs).toContainEqual(["tokens", "99"]);
  expect(inputs).toContainEqual(["tokens_mask", "99"]);
});

test("another padTo, or other lengths of the same values, is another run", async () => {
  const digest = async (padTo: readonly number[]) => (await compiled(padTo)).run.digest;
  expect(await digest([16])).not.toBe(await digest([8, 16]));
  expect(await digest([8, 16])).toBe(await digest([8, 16]));
});

test("refuses what would depend on the padding of a batch", async () => {
  const dataset = await source([8, 16]).open({ baseDirectory: "." });
  const compileStep = (step: Parameters<typeof defineRun<Columns>>[0]["step"], own: object) =>
    compileRun(
      defineRun({
        data: { train: source([8, 16]) },
        model: own as never,
        step,
        optimizer: optim.sgd({ lr: 0.1 }),
        batchSize: 6,
      }),
      { train: dataset },
    );
  const norm = nn.batchNorm1d(4);
  expect(() =>
    compileStep(
      ({ tokens, target }) => ({
        loss: nn.mse(model.head(norm(model.embed(tokens).transpose([0, 2, 1])).sum(2)), target.unsqueeze(1)),
      }),
      { ...model, norm },
    ),
  ).toThrow(/^norm: batch statistics over 16 values when sequences are padded to 8: it must not depend on the padding/);
  const finish = (): number => 0;
  expect(() =>
    compileStep(({ tokens, tokens_mask: mask, target }) => {
      const hidden = model.embed(tokens).mul(mask.cast("float32").unsqueeze(2)).sum(1);
      return {
        loss: nn.mse(model.head(hidden), target.unsqueeze(1)),
        metrics: { seen: { kind: "collect", columns: { tokens }, finish } },
      };
    }, model),
  ).toThrow(/^metrics\.seen: tokens is \[N,16\], \[N,8\] when sequences are padded to 8/);
});

test("sampling is a plain value with checks of its own, and decides about epochs", async () => {
  const weighted = data.arrays({ x: Float32Array.of(1, 2, 3, 4), w: Uint8Array.of(0, 1, 0, 3) });
  const net = nn.linear(1, 1);
  const define = (sampling: object | undefined) =>
    defineRun({
      data: { train: weighted },
      model: net,
      step: ({ x }) => ({ loss: nn.mse(net(x.unsqueeze(1)), x.unsqueeze(1)) }),
      optimizer: optim.sgd({ lr: 0.1 }),
      batchSize: 2,
      ...(sampling === undefined ? {} : { sampling: sampling as { weights: "w" } }),
    });
  expect(define(undefined).plain.sampling).toBeNull();
  const definition = define({ weights: "w", samples: 10 });
  expect(definition.plain.sampling).toEqual({ weights: "w", balance: null, replacement: true, samples: 10 });
  const train = await weighted.open({ baseDirectory: "." });
  const weights = await samplingWeights(train, "w");
  const run = compileRun(definition, { train, samplingWeights: weights });
  expect(run.plan.stepsPerEpoch).toBe(5);
  const drawn = Array.from({ length: 10 }, (_, position) => run.plan.row(3, position));
  expect([...new Set(drawn)].sort()).toEqual([1, 3]);
  const changed = applyOverrides(definition, ["sampling.replacement=false", "sampling.samples=2"]);
  const distinct = compileRun(changed, { train, samplingWeights: weights }).plan;
  expect([distinct.row(0, 0), distinct.row(0, 1)].sort()).toEqual([1, 3]);
  expect(applyOverrides(define(undefined), ['sampling={"weights":"w"}']).plain.sampling).toMatchObject({
    samples: null,
  });
  expect(compileRun(define(undefined), { train }).digest).not.toBe(run.digest);
  expect(() => define({ weights: 3 })).toThrow("sampling.weights: expected the name of a column, found 3");
  expect(() => define({ weights: "w", replacement: "no" })).toThrow("sampling.replacement: expected true or false");
  expect(() => define({ weights: "w", samples: 0 })).toThrow("sampling.samples: expected a positive integer, or null");
  expect(() => define({ weights: "w", sample: 3 })).toThrow('sampling.sample: unknown option; did you mean "samples"?');
});
