import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CheckpointStore } from "@tutti/core/checkpoint";
import { data, defineRun, metrics, nn, optim, type RunEvent, type TrainOptions, train } from "tutti";
import { afterAll, expect, test } from "vitest";

const rows = 96;
const noise = (i: number): number => ((i * 2654435761) % 1013) / 1013 - 0.5;
const points = (first: number, count: number) =>
  data.arrays({
    x: {
      dtype: "float32",
      shape: [5],
      values: Array.from({ length: count * 5 }, (_, i) => 3 + 2 * noise(first * 5 + i)),
    },
    y: Uint8Array.from({ length: count }, (_, i) => (noise((first + i) * 5) + noise((first + i) * 5 + 1) > 0 ? 1 : 0)),
  });

const model = {
  net: nn.sequential({
    norm: nn.batchNorm1d(5, { momentum: null }),
    fc1: nn.linear(5, 16),
    bn: nn.batchNorm1d(16, { momentum: 0.2 }),
    act: nn.relu(),
    drop: nn.dropout(0.25),
    fc2: nn.linear(16, 2),
  }),
};

const definition = defineRun({
  data: { train: points(0, rows), validation: points(rows, 31) },
  model,
  step({ x, y }) {
    const logits = model.net(x!);
    const score = logits
      .slice(1, 1, 2)
      .sub(logits.slice(1, 0, 1))
      .squeeze(1);
    return {
      loss: nn.crossEntropy(logits, y!),
      outputs: { logits },
      metrics: { accuracy: metrics.accuracy(logits, y!), auc: metrics.auc(score, y!) },
    };
  },
  optimizer: optim.sgd({ lr: 0.1, momentum: 0.9 }),
  batchSize: 24,
  epochs: 3,
  shards: 4,
  validation: { shardSize: 8 },
  checkpoint: { everySteps: 5, keep: 10 },
  seed: 3,
});

const directories: string[] = [];
afterAll(() => Promise.all(directories.map((path) => rm(path, { recursive: true }))));

async function directory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "tutti-state-"));
  directories.push(path);
  return path;
}

async function trained(options: TrainOptions) {
  const run = train(definition, { hashEveryStep: true, ...options });
  const events: RunEvent[] = [];
  const listening = (async () => {
    for await (const event of run) events.push(event);
  })();
  const result = await run;
  await listening;
  const hashes = events.flatMap((event) => (event.type === "step" ? [event.weightsSha256] : []));
  const validations = events.flatMap((event): Record<string, number>[] =>
    event.type === "validation" ? [{ loss: event.loss, ...event.metrics }] : [],
  );
  return { result, events, hashes, validations };
}

test("weights, buffers and validation are the same bits on one lane, on two, and on worker processes", async () => {
  const one = await trained({ workers: 0 });
  expect(one.hashes).toHaveLength(12);
  for (const options of [{ workers: 0, lanes: 2 }, { workers: 2 }] satisfies TrainOptions[]) {
    const other = await trained(options);
    expect(other.hashes).toEqual(one.hashes);
    expect(other.validations).toEqual(one.validations);
  }
  const { auc, accuracy } = one.validations.at(-1)!;
  expect(auc).toBeGreaterThan(0.9);
  expect(accuracy).toBeGreaterThan(0.75);
  const notices = one.events.flatMap((event) => (event.type === "notice" ? [event.message] : []));
  expect(notices[0]).toMatch(/^net\.norm, net\.bn: computed from the samples of each shard, .*`shards` \(4\)/);
  expect(one.events.find((event) => event.type === "run")).toMatchObject({ parameters: 10 + 96 + 32 + 34 });
  expect(one.events.filter((event) => event.type === "step")[0]?.metrics).not.toHaveProperty("auc");
});

test("a run resumed from a checkpoint has the bits of an undisturbed one, buffers and masks included", async () => {
  const whole = await trained({ workers: 0 });
  const out = await directory();
  await trained({ workers: 0, out, maxSteps: 5 });
  const rest = await trained({ workers: 0, out, resume: true });
  expect(rest.hashes).toEqual(whole.hashes.slice(5));
});

test("a checkpoint holds running statistics and step counts under PyTorch's names, the statistics of the data itself", async () => {
  const out = await directory();
  const { result } = await trained({ workers: 0, out });
  const store = await CheckpointStore.open(out, { keep: 10 });
  const { checkpoint } = await store.latest();
  await store.close();
  expect(checkpoint!.buffers.map(({ name }) => name).sort()).toEqual(
    ["net.norm", "net.bn"]
      .flatMap((path) => ["running_mean", "running_var", "num_batches_tracked"].map((name) => `${path}.${name}`))
      .sort(),
  );
  const counts = checkpoint!.buffers.filter(({ name }) => name.endsWith("num_batches_tracked"));
  expect(counts.map(({ data }) => new DataView(data.buffer, data.byteOffset).getBigInt64(0, true))).toEqual([12n, 12n]);
  // The first layer sees the data, each row once an epoch, and averages over all steps.
  const mean = result.parameters.get("net.norm.running_mean")!;
  for (const [column, value] of mean.entries()) {
    let sum = 0;
    for (let row = 0; row < rows; row++) sum += Math.fround(3 + 2 * noise(row * 5 + column));
    expect(Math.abs(value - sum / rows)).toBeLessThan(1e-6);
  }
  expect((await readFile(join(out, "model.onnx"))).byteLength).toBeGreaterThan(100);
});

test("a step that is left out leaves running statistics and their counts as they were", async () => {
  const source = data.arrays({
    x: { dtype: "float32", shape: [2], values: Array.from({ length: 48 }, (_, i) => (i === 21 ? 0 : 1 + (i % 5))) },
    y: { dtype: "float32", shape: [1], values: Array.from({ length: 24 }, (_, i) => i % 3) },
  });
  const net = nn.sequential({ bn: nn.batchNorm1d(2), fc: nn.linear(2, 1) });
  const definition = defineRun({
    data: { train: source },
    model: net,
    step: ({ x, y }) => ({ loss: nn.mse(net(x!.log()), y!) }), // row 10 has log(0)
    optimizer: optim.sgd({ lr: 0.01 }),
    batchSize: 6,
    epochs: 2,
    shards: 2,
    onNonFinite: "skip",
  });
  const out = await directory();
  const { done } = await train(definition, { workers: 0, out });
  expect(done.ledger.skippedSteps).toBe(2); // once an epoch
  const store = await CheckpointStore.open(out, { keep: 3 });
  const { checkpoint } = await store.latest();
  await store.close();
  const { data: count } = checkpoint!.buffers.find(({ name }) => name === "bn.num_batches_tracked")!;
  expect(checkpoint!.step).toBe(8);
  expect(new DataView(count.buffer, count.byteOffset).getBigInt64(0, true)).toBe(6n);
});

test("per-sample outputs of any size reach the coordinator from worker processes, in order", async () => {
  const source = data.arrays({ x: { dtype: "float32", shape: [1], values: Array.from({ length: 600 }, (_, i) => i) } });
  const net = nn.linear(1, 1);
  const [width, seen] = [3000, [] as Float32Array[]];
  const wide = defineRun({
    data: { train: source, validation: source },
    model: net,
    step({ x }) {
      const columns = { wide: x.mul(x.graph.scalar(1, "float32").expand([width])) };
      const finish = (found: Readonly<Record<string, unknown>>): number => seen.push(found.wide as Float32Array);
      return { loss: nn.mse(net(x.div(600)), x.div(600)), metrics: { wide: { kind: "collect", columns, finish } } };
    },
    optimizer: optim.sgd({ lr: 0.1 }),
    batchSize: 600,
    steps: 1,
  });
  await train(wide, { workers: 1 });
  expect(seen).toHaveLength(1);
  expect(seen[0]).toHaveLength(600 * width);
  expect(seen[0]!.every((value, i) => value === Math.floor(i / width))).toBe(true);
});
