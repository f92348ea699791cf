import { data, openBatches, openEvaluation } from "@tutti/core/data";
import { metrics } from "@tutti/core/metrics";
import { type Module, nn } from "@tutti/core/nn";
import { optim } from "@tutti/core/optim";
import { applyOverrides, type CompiledRun, compileRun, defaultShards, defineRun, differences } from "@tutti/core/run";
import { expect, test } from "vitest";
import { execute } from "./execute.ts";

const rows = 52;
const source = data.arrays({
  image: { dtype: "uint8", shape: [2, 3], values: Array.from({ length: rows * 6 }, (_, i) => (i * 89) % 256) },
  label: Uint8Array.from({ length: rows }, (_, i) => (i * i) % 4),
  importance: Float32Array.from({ length: rows }, (_, i) => 1 + (i % 3)),
});
const dataset = await source.open({ baseDirectory: "." });

const model = nn.sequential({ fc1: nn.linear(6, 8), act: nn.relu(), fc2: nn.linear(8, 4) });
const options = {
  data: { train: source, validation: source },
  model,
  optimizer: optim.rmsprop({ lr: 1e-3 }),
  batchSize: 20,
  shards: 4,
} as const;
const definition = defineRun({
  ...options,
  step({ image, label }) {
    const logits = model(image.cast("float32").div(255).flatten(1));
    return {
      loss: nn.crossEntropy(logits, label),
      outputs: { logits },
      metrics: { accuracy: metrics.accuracy(logits, label) },
    };
  },
});
const compiled = compileRun(definition, { train: dataset, validation: dataset });

type Step = Parameters<typeof defineRun>[0]["step"];

/** Compiles a step function over the columns image, label and importance. */
function compileStep(step: Step, own: Module | Record<string, Module> = model): CompiledRun {
  return compileRun(defineRun({ ...options, model: own, step }), { train: dataset });
}

async function shardResults(run: CompiledRun, step: number) {
  const parameters = run.initialParameters();
  const reader = openBatches(dataset, run.plan);
  return Promise.all(
    run.plan
      .at(step)
      .shards.map(async ({ lo, hi }, index) =>
        execute(run.training.programs.get(hi - lo)!, parameters, await reader.readShard(step, index)),
      ),
  );
}

test("the gradients of the shards add up to the gradient of the whole batch, for full and short batches", async () => {
  const whole = compileRun(definition, { train: dataset }, { shards: 1 });
  for (const step of [0, 2]) {
    const shards = await shardResults(compiled, step);
    const [batch] = await shardResults(whole, step);
    expect(shards).toHaveLength(step === 0 ? 4 : 3);
    const largest = batch!.sums.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    for (let i = 0; i < batch!.sums.length; i++) {
      const sum = shards.reduce((total, shard) => total + shard.sums[i]!, 0);
      expect(Math.abs(sum - batch!.sums[i]!)).toBeLessThan(1e-6 * largest);
    }
    for (let i = 0; i < 4; i++) {
      const sum = shards.reduce((total, shard) => total + shard.scalars[i]!, 0);
      expect(sum).toBeCloseTo(batch!.scalars[i]!, 4);
    }
    expect(batch!.scalars[1]).toBe(step === 0 ? 20 : 12);
  }
});

test("a program is built for each size that a shard can have, and feeds only the columns that it uses", () => {
  expect([...compiled.training.programs.keys()]).toEqual([4, 5]);
  expect([...compiled.evaluation!.programs.keys()]).toEqual([52]);
  const program = compiled.training.programs.get(5)!;
  expect(program.columns).toEqual([
    { name: "image", dtype: "uint8", shape: [5, 2, 3] },
    { name: "label", dtype: "uint8", shape: [5], range: [0, 3] },
  ]);
  expect(program.parameters).toEqual([
    { name: "fc1.weight", shape: [8, 6], offset: 0, length: 48 },
    { name: "fc1.bias", shape: [8], offset: 48, length: 8 },
    { name: "fc2.weight", shape: [4, 8], offset: 64, length: 32 },
    { name: "fc2.bias", shape: [4], offset: 96, length: 4 },
  ]);
  expect(program.sums.map(({ name, offset }) => [name, offset])).toEqual([
    ["gradient:fc1.weight", 0],
    ["gradient:fc1.bias", 48],
    ["gradient:fc2.weight", 64],
    ["gradient:fc2.bias", 96],
  ]);
  expect(program.sumsFloats).toBe(112);
  expect(program.scalars.length).toBe(4);
  const evaluation = compiled.evaluation!.programs.get(52)!;
  expect([evaluation.sums, evaluation.sumsFloats]).toEqual([[], 0]);
});

test("evaluation sums loss and correct answers over the validation rows", async () => {
  const { evaluation } = compiled;
  const parameters = compiled.initialParameters();
  const shard = await openEvaluation(dataset, evaluation!.plan).readShard(0);
  const { scalars } = await execute(evaluation!.programs.get(52)!, parameters, shard);
  const labels = shard.bytes.subarray(shard.columns[1]!.offset, shard.columns[1]!.offset + rows);
  const images = shard.bytes.subarray(shard.columns[0]!.offset);
  // The same in float64, written out.
  const [w1, b1, w2, b2] = [
    parameters.subarray(0, 48),
    parameters.subarray(48),
    parameters.subarray(64),
    parameters.subarray(96),
  ];
  let loss = 0;
  let correct = 0;
  for (let n = 0; n < rows; n++) {
    const hidden = Array.from({ length: 8 }, (_, j) =>
      Math.max(
        0,
        Array.from({ length: 6 }, (_, k) => (images[n * 6 + k]! / 255) * w1[j * 6 + k]!).reduce(
          (a, b) => a + b,
          b1[j]!,
        ),
      ),
    );
    const logits = Array.from({ length: 4 }, (_, c) => hidden.reduce((sum, h, j) => sum + h * w2[c * 8 + j]!, b2[c]!));
    loss += Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0)) - logits[labels[n]!]!;
    if (logits.indexOf(Math.max(...logits)) === labels[n]) correct++;
  }
  expect(Math.abs(scalars[0]! - loss) / loss).toBeLessThan(1e-6);
  expect([...scalars.subarray(1)]).toEqual([52, correct, 52]);
  const [accuracy] = evaluation!.metrics;
  expect(accuracy!.finish(Float64Array.from(scalars.subarray(accuracy!.offset)))).toBe(correct / 52);
});

test("compiling twice gives the same programs and digest, byte for byte", () => {
  const again = compileRun(definition, { train: dataset, validation: dataset });
  expect(again.digest).toBe(compiled.digest);
  for (const [samples, program] of compiled.training.programs) {
    expect(again.training.programs.get(samples)!.id).toBe(program.id);
    expect(again.training.programs.get(samples)!.onnx).toEqual(program.onnx);
  }
});

test("the differences of two definitions name the changed value and the changed program", () => {
  const compile = (...overrides: string[]) =>
    compileRun(applyOverrides(definition, overrides), { train: dataset, validation: dataset });
  expect(differences(compiled.record, compile("optimizer.lr=0.01").record)).toEqual(["optimizer.lr: 0.001 → 0.01"]);
  expect(differences(compiled.record, compiled.record)).toEqual([]);
  const other = compileRun(
    defineRun({
      ...options,
      step: ({ image, label }) => ({ loss: nn.crossEntropy(model(image.cast("float32").flatten(1)), label) }),
    }),
    { train: dataset, validation: dataset },
  );
  expect(differences(compiled.record, other.record)).toEqual([
    "program evaluate/52 differs",
    "program train/4 differs",
    "program train/5 differs",
  ]);
});

test("a program's id covers what it computes", () => {
  const scaled = compileStep(({ image, label }) => ({
    loss: nn.crossEntropy(model(image!.cast("float32").flatten(1)), label!).mul(2),
  }));
  expect(scaled.training.programs.get(5)!.id).not.toBe(compiled.training.programs.get(5)!.id);
});

test("weights of samples multiply losses and are summed, once for each entry of the loss", async () => {
  const head = nn.linear(6, 4);
  const run = compileStep(({ image, importance }) => {
    const values = head(image!.cast("float32").div(255).flatten(1));
    return { loss: values.mul(values), weight: importance!.reshape([-1, 1]) };
  }, head);
  const [shard] = await shardResults(run, 0);
  const chosen = Array.from({ length: 5 }, (_, position) => run.plan.row(0, position));
  const weights = chosen.map((row) => 1 + (row % 3));
  expect(shard!.scalars[1]).toBe(4 * weights.reduce((sum, weight) => sum + weight, 0));
  const parameters = run.initialParameters();
  let expected = 0;
  for (const [i, row] of chosen.entries()) {
    for (let c = 0; c < 4; c++) {
      let value = parameters[32 + c]!;
      for (let k = 0; k < 6; k++) value += ((((row * 6 + k) * 89) % 256) / 255) * parameters[c * 6 + k]!;
      expected += weights[i]! * value * value;
    }
  }
  expect(Math.abs(shard!.scalars[0]! - expected) / expected).toBeLessThan(1e-6);
});

test("frozen parameters lie behind the trainable ones and have no gradient", async () => {
  const frozen = nn.sequential({ fc1: nn.linear(6, 8, { trainable: false }), act: nn.relu(), fc2: nn.linear(8, 4) });
  const run = compileStep(
    ({ image, label }) => ({ loss: nn.crossEntropy(frozen(image!.cast("float32").flatten(1)), label!) }),
    frozen,
  );
  expect(run.layout.entries.map(({ name }) => name)).toEqual(["fc2.weight", "fc2.bias", "fc1.weight", "fc1.bias"]);
  expect(run.trainable.totalFloats).toBe(48);
  const program = run.training.programs.get(5)!;
  expect(program.sums.map(({ name }) => name)).toEqual(["gradient:fc2.weight", "gradient:fc2.bias"]);
  expect(program.sumsFloats).toBe(48);
});

test("parameters whose gradients are the same value get one output each", async () => {
  const twins = { a: nn.linear(6, 4), b: nn.linear(6, 4) };
  const run = compileStep(({ image, label }) => {
    const x = image!.cast("float32").div(255).flatten(1);
    return { loss: nn.crossEntropy(twins.a(x).add(twins.b(x)), label!) };
  }, twins);
  const [shard] = await shardResults(run, 0);
  const [a, aBias, b, bBias] = run.trainable.entries.map(({ offset, length }) =>
    shard!.sums.slice(offset, offset + length),
  );
  expect(b).toEqual(a);
  expect(bBias).toEqual(aBias);
  expect(a!.some((value) => value !== 0)).toBe(true);
});

test("steps, validation and checkpoints are counted in steps", () => {
  expect([compiled.plan.stepsPerEpoch, compiled.totalSteps]).toEqual([3, 3]);
  expect(compiled.evaluation!.everySteps).toBe(3);
  expect(compiled.checkpointEverySteps).toBe(102);
  const changed = applyOverrides(definition, ["steps=7", "validation.everySteps=2", "checkpoint.everySteps=5"]);
  const run = compileRun(changed, { train: dataset, validation: dataset });
  expect([run.totalSteps, run.evaluation!.everySteps, run.checkpointEverySteps]).toEqual([7, 2, 5]);
});

test("the number of shards leaves 8 samples and 20 MFLOP to each, and is a power of two up to 8", () => {
  expect(defaultShards(256, 1.6e6)).toBe(8);
  expect(defaultShards(128, 1.6e6)).toBe(8);
  expect(defaultShards(64, 1.6e6)).toBe(4);
  expect(defaultShards(64, 100e6)).toBe(8);
  expect(defaultShards(20, 1e9)).toBe(2);
  expect(defaultShards(1, 1e9)).toBe(1);
  expect(defaultShards(100_000, 60)).toBe(1);
  const run = compileRun(applyOverrides(definition, ["shards=null"]), { train: dataset });
  expect(run.shards).toBe(1);
});

test("more shards than samples are refused", () => {
  expect(() => compileRun(definition, { train: dataset }, { shards: 21 })).toThrow(
    /batchSize 20 is smaller than shards 21/,
  );
});

const flat: Step = ({ image }) => ({ loss: model(image!.cast("float32").flatten(1)) });
const wrong: readonly (readonly [string, Step, string, RegExp])[] = [
  [
    "a loss averaged over the batch",
    (columns, context) => ({ loss: flat(columns, context).loss.mean() }),
    "MIXES_SAMPLES",
    /mean: reduces axis 0 of \[N,4\].*drop \.mean\(\)/,
  ],
  [
    "a loss of rank 0",
    ({ image }) => ({ loss: image!.graph.scalar(1, "float32") }),
    "SHAPE_MISMATCH",
    /loss: expected one value per sample.*drop \.mean\(\)/,
  ],
  [
    "samples that are compared with each other",
    ({ image }) => {
      const x = image!.cast("float32").flatten(1);
      return { loss: x.matmul(x.transpose()) };
    },
    "MIXES_SAMPLES",
    /matmul: pairs every sample with every sample/,
  ],
  [
    "an input that does not fit a layer",
    ({ image, label }) => ({ loss: nn.crossEntropy(model(image!.cast("float32")), label!) }),
    "SHAPE_MISMATCH",
    /linear at model\.fc1: expected float32\[…,6\] for its weight \[8,6\], found float32\[N,2,3\]; use \.flatten\(1\)/,
  ],
  [
    "bytes that were not cast",
    ({ image, label }) => ({ loss: nn.crossEntropy(model(image!.flatten(1)), label!) }),
    "SHAPE_MISMATCH",
    /linear at model\.fc1: .*found uint8\[N,6\]; use \.cast\("float32"\)/,
  ],
  [
    "a column that does not exist",
    ({ imge }) => ({ loss: imge! }),
    "DATA_MISSING",
    /no column "imge"; did you mean "image"\?/,
  ],
  [
    "a mistake in plain JavaScript",
    () => ({ loss: JSON.parse("null").mean() }),
    "BAD_RUN_FILE",
    /the step function failed: Cannot read properties of null/,
  ],
  ["a result without a loss", () => JSON.parse("{}"), "BAD_RUN_FILE", /expected it to return \{ loss, … \}/],
  [
    "a metric of the wrong shape",
    ({ image, label }) => ({
      ...flat({ image: image!, label: label! }, { training: true }),
      metrics: { odd: { ...metrics.mean(image!.cast("float32").flatten(1).mean(1)), length: 3 } },
    }),
    "SHAPE_MISMATCH",
    /metrics\.odd: expected float32\[N,3\], found float32\[N,2\]/,
  ],
  [
    "a weight that is larger than the loss",
    ({ image }) => ({
      loss: model(image!.cast("float32").flatten(1)).mean(1),
      weight: image!.cast("float32").flatten(1),
    }),
    "SHAPE_MISMATCH",
    /\[N\] and \[N,6\]/,
  ],
];
for (const [what, step, code, message] of wrong) {
  test(`${what} is refused while tracing, with the place in the step function`, () => {
    expect(() => compileStep(step)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
  });
}

test("an error of the step function names the file and line that made it", () => {
  expect(() => compileStep(({ image }) => ({ loss: image!.cast("float32").mean() }))).toThrow(
    /\(packages\/core\/test\/run\/compile\.test\.ts:\d+:\d+\)$/,
  );
});

test("a trainable parameter without a path to the loss is named", () => {
  const spare = { used: nn.linear(6, 4), spare: nn.linear(6, 4) };
  expect(() =>
    compileStep(
      ({ image, label }) => ({ loss: nn.crossEntropy(spare.used(image!.cast("float32").flatten(1)), label!) }),
      spare,
    ),
  ).toThrow(
    expect.objectContaining({
      code: "NO_GRADIENT",
      message: expect.stringContaining("parameter spare.weight is trainable"),
    }),
  );
  expect(() =>
    compileStep(({ image, label }) => {
      const x = image!.cast("float32").flatten(1);
      return { loss: nn.crossEntropy(spare.used(x).add(spare.spare(x).stopGradient()), label!) };
    }, spare),
  ).toThrow(/parameter spare\.weight is trainable/);
});

test("a module that is not part of the model is refused", () => {
  const other = nn.linear(6, 4);
  expect(() =>
    compileStep(({ image, label }) => ({ loss: nn.crossEntropy(other(image!.cast("float32").flatten(1)), label!) })),
  ).toThrow(/nn\.linear is called in the step function but is not part of `model`/);
});

test("a column with the name of a parameter is refused", async () => {
  const weights = data.arrays({ weight: Float32Array.of(1, 2), y: Float32Array.of(1, 2) });
  const head = nn.linear(1, 1);
  const run = defineRun({
    data: { train: weights },
    model: head,
    step: ({ weight, y }) => ({ loss: nn.mse(head(weight.reshape([-1, 1])).flatten(0), y) }),
    optimizer: optim.sgd({ lr: 0.1 }),
    batchSize: 2,
  });
  const opened = await weights.open({ baseDirectory: "." });
  expect(() => compileRun(run, { train: opened })).toThrow(/"weight" names a column and a parameter; name the module/);
});

test("the best checkpoint needs a metric that the step has", () => {
  const run = applyOverrides(definition, ['checkpoint.best={"metric":"acuracy","mode":"max"}']);
  expect(() => compileRun(run, { train: dataset, validation: dataset })).toThrow(
    /checkpoint\.best\.metric: no metric "acuracy"; did you mean "accuracy"\?/,
  );
});
