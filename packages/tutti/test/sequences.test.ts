import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  data,
  defineRun,
  metrics,
  nn,
  optim,
  type RunDefinition,
  type RunEvent,
  type TrainOptions,
  train,
} from "tutti";
import { expect, onTestFinished, test } from "vitest";
import { prepareRun } from "../src/prepare-run.ts";

const rows = 90;
const vocabulary = 12;

/** Sequences of 1 to 23 tokens; the label says whether the token 3 comes at all. Weight 0 for every fifth row. */
function sequences(count: number, salt: number) {
  let state = salt;
  const next = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % below;
  };
  return Array.from({ length: count }, (_, row) => {
    const length = next(4) === 0 ? 10 + next(14) : 1 + next(6);
    const tokens = Array.from({ length }, () => next(vocabulary));
    return { tokens, label: Number(tokens.includes(3)), importance: row % 5 === 0 ? 0 : 1 + (row % 3) };
  });
}

const columns = {
  tokens: { dtype: "uint8", shape: ["length"] },
  label: "uint8",
  importance: "float32",
} as const;

const source = (count: number, salt: number, padTo: readonly number[]) =>
  data.from(() => sequences(count, salt), { columns, padTo });

const model = { embed: nn.embedding(vocabulary, 6), lstm: nn.lstm(6, 8), head: nn.linear(8, 2) };

/** An LSTM that answers from its state at the last true token, which no padding after it can change. */
function definition(
  padTo: readonly number[],
  sampling?: { readonly weights: "importance"; readonly replacement: boolean; readonly samples?: number },
): RunDefinition {
  return defineRun({
    data: { train: source(rows, 1, padTo), validation: source(31, 2, padTo) },
    model,
    step({ tokens, tokens_mask: mask, label }) {
      const { output } = model.lstm(model.embed(tokens));
      const real = mask.cast("float32");
      const isLast = real.sub(real.slice(1, 1).pad([0, 0, 0, 1]));
      const logits = model.head(output.mul(isLast.unsqueeze(2)).sum(1));
      return {
        loss: nn.crossEntropy(logits, label),
        outputs: { logits },
        metrics: { accuracy: metrics.accuracy(logits, label), auc: metrics.auc(logits.slice(1, 1).squeeze(1), label) },
      };
    },
    optimizer: optim.adam({ lr: 0.02 }),
    batchSize: 8,
    epochs: 3,
    shards: 3,
    seed: 5,
    validation: { shardSize: 6 },
    checkpoint: { everySteps: 5, keep: 10 },
    ...(sampling && { sampling }),
  });
}

async function trained(run: RunDefinition, options: TrainOptions) {
  const events: RunEvent[] = [];
  const handle = train(run, { hashEveryStep: true, ...options });
  const listening = (async () => {
    for await (const event of handle) events.push(event);
  })();
  await handle;
  await listening;
  const steps = events.flatMap((event) => (event.type === "step" ? [event] : []));
  return {
    hashes: steps.map(({ weightsSha256 }) => weightsSha256),
    losses: steps.map(({ loss }) => loss),
    validations: events.flatMap((event): Record<string, number>[] =>
      event.type === "validation" ? [{ loss: event.loss, ...event.metrics }] : [],
    ),
  };
}

const buckets = [4, 12, 24];
const undisturbed = trained(definition(buckets), { workers: 0 });

test("a run over sequences of different lengths has the same bits on one lane, two, and worker processes", async () => {
  const one = await undisturbed;
  expect(one.hashes).toHaveLength(36);
  expect(new Set(one.hashes).size).toBe(36);
  for (const options of [{ workers: 0, lanes: 2 }, { workers: 1 }, { workers: 2 }] satisfies TrainOptions[]) {
    const other = await trained(definition(buckets), options);
    expect(other.hashes).toEqual(one.hashes);
    expect(other.validations).toEqual(one.validations);
  }
  const mean = (losses: readonly number[]): number => losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
  expect(mean(one.losses.slice(24))).toBeLessThan(0.9 * mean(one.losses.slice(0, 12)));
});

test("goes on bit for bit from the middle of an epoch, on another number of workers", async () => {
  const out = await mkdtemp(join(tmpdir(), "tutti-sequences-"));
  onTestFinished(() => rm(out, { recursive: true }));
  await trained(definition(buckets), { workers: 2, out, maxSteps: 17 }); // epochs have 12 steps
  const rest = await trained(definition(buckets), { workers: 0, out, resume: true });
  expect(rest.hashes).toEqual((await undisturbed).hashes.slice(17));
});

test("padding to one length instead of three changes the losses by rounding alone", async () => {
  const [three, one] = [await undisturbed, await trained(definition([24]), { workers: 0 })];
  for (const [step, loss] of three.losses.entries()) {
    // Rounding grows as training goes on.
    expect(Math.abs(one.losses[step]! - loss)).toBeLessThan(step === 0 ? 1e-6 : 1e-3);
  }
  expect(one.validations.at(-1)!.auc).toBeCloseTo(three.validations.at(-1)!.auc!, 2);
});

test("all shards of a batch have the length that its longest row needs; those of an evaluation each their own", async () => {
  const prepared = await prepareRun(definition(buckets), ".");
  const { run, compiled } = prepared;
  const lengthOf = new Map(run.programs.map(({ id, columns: [tokens] }) => [id, tokens!.shape[1]!]));
  const own = sequences(rows, 1);
  const least = (longest: number): number => buckets.find((length) => length >= longest)!;
  const seen = new Set<number>();
  for (let step = 0; step < run.stepsPerEpoch; step++) {
    const batch = await run.batches.read(step);
    const drawn = Array.from({ length: batch.samples }, (_, i) => compiled.plan.row(0, 8 * step + i));
    const wanted = least(Math.max(...drawn.map((row) => own[row]!.tokens.length)));
    expect(batch.shards.map(({ program }) => lengthOf.get(program))).toEqual(batch.shards.map(() => wanted));
    seen.add(wanted);
  }
  expect([...seen].sort((a, b) => a - b)).toEqual(buckets); // 4: the last batch, of 2 rows
  const validation = sequences(31, 2);
  const found = await Promise.all(
    Array.from({ length: run.evaluation!.shards }, async (_, shard) => run.evaluation!.read(shard)),
  );
  expect(found.map(({ program }) => lengthOf.get(program))).toEqual(
    found.map(({ firstPosition, samples }) =>
      least(Math.max(...validation.slice(firstPosition, firstPosition + samples).map(({ tokens }) => tokens.length))),
    ),
  );
  await prepared.close();
});

for (const [name, sampling] of [
  ["with", { weights: "importance", replacement: true }],
  ["without", { weights: "importance", replacement: false, samples: 60 }],
] as const) {
  test(`sampling ${name} replacement has the same bits on two workers, after a resume, and never a row of weight 0`, async () => {
    const run = definition(buckets, sampling);
    const one = await trained(run, { workers: 0 });
    expect(one.hashes).toHaveLength(name === "with" ? 36 : 24);
    expect((await trained(run, { workers: 2 })).hashes).toEqual(one.hashes);
    const out = await mkdtemp(join(tmpdir(), "tutti-sampling-"));
    onTestFinished(() => rm(out, { recursive: true }));
    await trained(run, { workers: 0, out, maxSteps: 13 });
    expect((await trained(run, { workers: 1, out, resume: true })).hashes).toEqual(one.hashes.slice(13));
    const { compiled, close } = await prepareRun(run, ".");
    const epochs = [0, 1, 2].map((epoch) =>
      Array.from({ length: name === "with" ? 90 : 60 }, (_, position) => compiled.plan.row(epoch, position)),
    );
    expect(epochs.flat().filter((row) => row % 5 === 0)).toEqual([]);
    for (const drawn of epochs) {
      if (name === "with") expect(new Set(drawn).size).toBeLessThan(72);
      else expect(new Set(drawn).size).toBe(60);
    }
    await close();
  });
}

test("refuses weights that are none before the run starts", async () => {
  const bad = data.arrays({ x: Float32Array.of(1, 2), w: Float32Array.of(1, -1) });
  const net = nn.linear(1, 1);
  const run = defineRun({
    data: { train: bad },
    model: net,
    step: ({ x }) => ({ loss: nn.mse(net(x.unsqueeze(1)), x.unsqueeze(1)) }),
    optimizer: optim.sgd({ lr: 0.1 }),
    batchSize: 2,
    sampling: { weights: "w" },
  });
  await expect(train(run)).rejects.toThrow(
    'sampling.weights: column "w", row 2: expected a finite weight of at least 0, found -1',
  );
});
