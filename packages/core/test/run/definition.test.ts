import { type DataSource, data } from "@tutti/core/data";
import { nn } from "@tutti/core/nn";
import { optim } from "@tutti/core/optim";
import { applyOverrides, defineRun, isRunDefinition, type RunDefinition } from "@tutti/core/run";
import { expect, test } from "vitest";

const model = nn.linear(1, 1);
const train = data.arrays({
  x: { dtype: "float32", shape: [1], values: [1, 2] },
  y: { dtype: "float32", shape: [1], values: [1, 2] },
});
const optimizer = optim.sgd({ lr: 0.1 });

const definition = defineRun({
  data: { train },
  model,
  step: ({ x, y }) => ({ loss: nn.mse(model(x), y) }),
  optimizer,
  batchSize: 2,
});

test("the step function's columns are those of the data source, for the type checker", () => {
  const wrong = () =>
    defineRun({
      data: { train },
      model,
      // @ts-expect-error the data has no column z
      step: ({ x, z }) => ({ loss: nn.mse(model(x), z) }),
      optimizer,
      batchSize: 2,
    });
  const other = data.arrays({ x: Float32Array.of(1) });
  const mismatched = () =>
    defineRun({
      // @ts-expect-error validation lacks the column y
      data: { train, validation: other },
      model,
      step: ({ x, y }) => ({ loss: nn.mse(model(x), y) }),
      optimizer,
      batchSize: 2,
    });
  expect(isRunDefinition(wrong())).toBe(true);
  expect(isRunDefinition(mismatched())).toBe(true);
});

test("what is left out has a default, and the definition cannot be changed", () => {
  expect(definition.plain).toMatchObject({
    ...{ epochs: 1, steps: null, seed: 0, shards: null, lastBatch: "train", batchSize: 2 },
    validation: { everyEpochs: 1, everySteps: null, shardSize: 256 },
    checkpoint: { everySteps: null, keep: 3, best: null },
  });
  expect(defineRun({ ...parts(), steps: 5 }).plain).toMatchObject({ steps: 5, epochs: null });
  expect(() => Object.assign(definition.plain.checkpoint, { keep: 1 })).toThrow(TypeError);
  expect(JSON.parse(JSON.stringify(definition.plain))).toEqual(definition.plain);
});

function parts() {
  return {
    data: { train },
    model,
    step: definition.step,
    optimizer,
    batchSize: 2,
  };
}

/** As a run file that was never type-checked gives it. */
function defineUnchecked(changes: Record<string, unknown>): RunDefinition {
  return defineRun({ ...parts(), ...changes });
}

const refused: readonly (readonly [Record<string, unknown>, RegExp])[] = [
  [{ batchsize: 3 }, /^batchsize: unknown option; did you mean "batchSize"\?/],
  [{ batchSize: 0 }, /^batchSize: expected a positive integer or "all", found 0/],
  [{ batchSize: "2" }, /^batchSize: expected a positive integer or "all", found "2"/],
  [{ epochs: 1.5 }, /^epochs: expected a positive integer/],
  [{ epochs: 1, steps: 2 }, /^epochs and steps: give one of them/],
  [{ seed: 0.5 }, /^seed: expected an integer, found 0.5/],
  [{ lastBatch: "keep" }, /^lastBatch: expected "train" or "drop", found "keep"/],
  [{ checkpoint: { kep: 1 } }, /^checkpoint\.kep: unknown option; did you mean "keep"\?/],
  [{ validation: { everySteps: 1, everyEpochs: 1 } }, /^validation\.everyEpochs and validation\.everySteps: give one/],
  [{ checkpoint: { best: { metric: "loss", mode: "min" } } }, /^checkpoint\.best: needs data\.validation/],
  [{ optimizer: { ...optimizer, lr: -1 } }, /lr/],
  [{ model: { fc: 3 } }, /^model: expected a module or a record of named modules; "fc" is none/],
  [{ data: { train, valid: train } }, /^data: unknown option "valid"/],
  [{ data: { train: "file.csv" } }, /^data\.train: expected a data source/],
  [{ step: null }, /^step: expected a function/],
];
for (const [changes, message] of refused) {
  test(`${JSON.stringify(changes)} is refused by name`, () => {
    expect(() => defineUnchecked(changes)).toThrow(
      expect.objectContaining({ code: "BAD_OPTION", message: expect.stringMatching(message) }),
    );
  });
}

test("overrides reach any plain value and are checked like the run file's", () => {
  const changed = applyOverrides(definition, [
    "optimizer.lr=0.01",
    "epochs=3",
    "shards=2",
    "lastBatch=drop",
    "batchSize=all",
  ]);
  expect(changed.plain).toMatchObject({
    epochs: 3,
    shards: 2,
    lastBatch: "drop",
    batchSize: "all",
    optimizer: { lr: 0.01 },
  });
  expect(definition.plain.epochs).toBe(1);
  expect(applyOverrides(definition, ["steps=9"]).plain).toMatchObject({ steps: 9, epochs: null });
  expect(applyOverrides(definition, ["validation.everySteps=9"]).plain.validation.everyEpochs).toBe(null);
  const schedule = applyOverrides(definition, ['optimizer.lr={"kind":"constant","value":0.5}']);
  expect(schedule.plain.optimizer.lr).toEqual({ kind: "constant", value: 0.5 });
});

test("an override of a source's value makes the source anew, with the source's own checks", () => {
  const seen: unknown[] = [];
  const source: DataSource<{ x: { dtype: "float32"; shape: readonly number[] } }> = {
    kind: "test",
    describe: { path: "a" },
    withDescription(describe) {
      seen.push(describe);
      return { ...source, describe };
    },
    open: () => Promise.reject(new Error("not opened here")),
  };
  const run = defineRun({
    data: { train: source },
    model,
    step: ({ x }) => ({ loss: model(x) }),
    optimizer,
    batchSize: 1,
  });
  const changed = applyOverrides(run, ["data.train.path=b"]);
  expect(seen).toEqual([{ path: "b" }]);
  expect(changed.sources.train.describe).toEqual({ path: "b" });
  expect(changed.plain.data.train).toEqual({ path: "b" });
  expect(applyOverrides(run, ["epochs=2"]).sources.train).toBe(source);
});

const badOverrides: readonly (readonly [string, RegExp])[] = [
  ["optimizer.lrr=1", /optimizer\.lrr: optimizer has no value "lrr"; did you mean "lr"\?/],
  ["epoch=1", /epoch: the run has no value "epoch"; did you mean "epochs"\?/],
  ["optimizer.lr=fast", /lr/],
  ["shards=0", /shards: expected a positive integer/],
  ["model.fc1.out=3", /model is made by code and cannot be set/],
  ["checkpoint.best.metric=loss", /checkpoint\.best is null and has no values; set it as a whole/],
  ["data.validation={}", /data\.validation: the run file names no validation data/],
  ["epochs", /expected NAME=VALUE/],
  ["__proto__.x=1", /no value "__proto__"/],
];
for (const [override, message] of badOverrides) {
  test(`the override ${override} is refused`, () => {
    expect(() => applyOverrides(definition, [override])).toThrow(
      expect.objectContaining({ code: "BAD_OPTION", message: expect.stringMatching(message) }),
    );
  });
}
