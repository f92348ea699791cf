import { batch, Graph, specialize, type Tensor, writeOnnx } from "@tutti/core/graph";
import { collectMetrics, type Figures, type Metric, metrics, named } from "@tutti/core/metrics";
import { nn } from "@tutti/core/nn";
import { randomStream } from "@tutti/core/random";
import { Tensor as EngineTensor, InferenceSession } from "onnxruntime-node";
import { expect, test } from "vitest";

const [samples, classes] = [60, 4];
const stream = randomStream(1, "metrics test");
const logits = new Float32Array(samples * classes);
stream.fillNormal(logits, 0, 1);
for (let i = 0; i < logits.length; i++) logits[i] = Math.round(logits[i]! * 4) / 4; // so that ties occur
const labels = BigInt64Array.from({ length: samples }, (_, i) => BigInt(stream.uint32At(10_000 + i) % 3)); // never class 3
const values = new Float32Array(samples);
stream.fillNormal(values, 2, 1.5, 50_000);
const binary = BigInt64Array.from(labels, (label) => (label === 0n ? 1n : 0n));

type Columns = Readonly<Record<"logits" | "labels" | "scores" | "binary" | "values", Tensor>>;

/** A metric over all samples, in shards of 7 whose sums are added in float64 as a run does. */
async function figure(metric: (columns: Columns) => Metric): Promise<Figures> {
  const traced = new Graph();
  const input = (name: string, dtype: "float32" | "int64", shape: readonly number[]) =>
    traced.input("column", name, { dtype, shape: [batch, ...shape] });
  const made = metric({
    logits: input("logits", "float32", [classes]),
    labels: input("labels", "int64", []),
    scores: input("scores", "float32", []),
    binary: input("binary", "int64", []),
    values: input("values", "float32", []),
  });
  const columns = made.kind === "collect" ? made.columns : { perSample: made.perSample };
  const feeds = { logits, labels, scores: logits.filter((_, i) => i % classes === 0), binary, values };
  const collected: Record<string, number[]> = {};
  const total = made.kind === "sums" ? new Float64Array(made.length) : new Float64Array(0);
  for (let lo = 0; lo < samples; lo += 7) {
    const count = Math.min(7, samples - lo);
    const { graph, map } = specialize(traced, count);
    const outputs = Object.fromEntries(
      Object.entries(columns).map(([name, { id }]) => [`out:${name}`, map[id]!.cast("float32")]),
    );
    const session = await InferenceSession.create(writeOnnx(graph, { name: "t", opset: 23, outputs }));
    const rows = session.inputNames.map((name) => {
      const whole = feeds[name as keyof typeof feeds];
      const width = whole.length / samples;
      const part = whole.slice(lo * width, (lo + count) * width);
      const dims = width === 1 ? [count] : [count, width];
      return [name, new EngineTensor(part instanceof Float32Array ? "float32" : "int64", part, dims)] as const;
    });
    const results = await session.run(Object.fromEntries(rows));
    for (const [output, { data }] of Object.entries(results)) {
      const name = output.slice("out:".length);
      const own = collected[name] ?? [];
      collected[name] = own;
      own.push(...(data as Float32Array));
      if (made.kind === "sums")
        for (const [i, value] of (data as Float32Array).entries()) total[i % made.length]! += value;
    }
  }
  if (made.kind === "sums") return made.finish(total);
  return made.finish(
    Object.fromEntries(Object.entries(collected).map(([name, all]) => [name, Float32Array.from(all)])),
  );
}

const row = (i: number): number[] => [...logits.slice(i * classes, (i + 1) * classes)];
const predicted = Array.from({ length: samples }, (_, i) => row(i).indexOf(Math.max(...row(i))));
const actual = Array.from(labels, Number);
const all = Array.from({ length: samples }, (_, i) => i);
const mean = (list: readonly number[]): number => list.reduce((sum, value) => sum + value, 0) / list.length;
const share = (from: readonly number[], hit: (i: number) => boolean): number =>
  from.length === 0 ? 0 : from.filter(hit).length / from.length;

/** By the definitions, class by class. */
const perClass = Array.from({ length: classes }, (_, c) => {
  const isHit = (i: number): boolean => predicted[i] === c && actual[i] === c;
  const precision = share(
    all.filter((i) => predicted[i] === c),
    isHit,
  );
  const recall = share(
    all.filter((i) => actual[i] === c),
    isHit,
  );
  const f1 = precision + recall === 0 ? 0 : 2 / (1 / precision + 1 / recall);
  return { precision, recall, f1 };
});

test("precision, recall and F1 are the means over classes, 0 for a class without predictions or samples", async () => {
  expect(actual).not.toContain(3);
  for (const name of ["precision", "recall", "f1"] as const) {
    const found = await figure((columns) => metrics[name](columns.logits, columns.labels));
    expect(found).toBeCloseTo(mean(perClass.map((one) => one[name])), 12);
  }
});

test("micro averages of precision, recall and F1 are the accuracy", async () => {
  const accuracy = share(all, (i) => predicted[i] === actual[i]);
  for (const name of ["precision", "recall", "f1"] as const) {
    const found = await figure((columns) => metrics[name](columns.logits, columns.labels, { average: "micro" }));
    expect(found).toBeCloseTo(accuracy, 12);
  }
  expect(await figure((columns) => metrics.accuracy(columns.logits, columns.labels))).toBeCloseTo(accuracy, 12);
});

test("top-k counts a label among the k largest logits, of equal ones the lower class first", async () => {
  for (const k of [1, 2, 3, 4]) {
    const wanted = share(all, (i) => {
      const order = row(i)
        .map((value, c) => ({ value, c }))
        .sort((a, b) => b.value - a.value || a.c - b.c);
      return order.slice(0, k).some(({ c }) => c === actual[i]);
    });
    expect(await figure((columns) => metrics.topK(columns.logits, columns.labels, k))).toBeCloseTo(wanted, 12);
  }
});

test("the confusion matrix counts labels by predictions under names", async () => {
  const found = await figure((columns) => metrics.confusionMatrix(columns.logits, columns.labels));
  const wanted: Record<string, number> = {};
  for (let t = 0; t < classes; t++)
    for (let p = 0; p < classes; p++)
      wanted[`confusion.${t}.${p}`] = all.filter((i) => actual[i] === t && predicted[i] === p).length;
  expect(named("confusion", found)).toEqual(wanted);
});

test("AUC is the share of pairs in order, ties counting half", async () => {
  const scores = all.map((i) => row(i)[0]!);
  const positives = all.filter((i) => binary[i] === 1n);
  const negatives = all.filter((i) => binary[i] === 0n);
  let wanted = 0;
  for (const p of positives)
    for (const n of negatives) wanted += scores[p]! > scores[n]! ? 1 : scores[p] === scores[n] ? 0.5 : 0;
  const found = await figure((columns) => metrics.auc(columns.scores, columns.binary));
  expect(found).toBeCloseTo(wanted / (positives.length * negatives.length), 12);
  expect(positives.some((p) => negatives.some((n) => scores[p] === scores[n]))).toBe(true);
});

test("AUC without positives, or of NaN, is NaN", () => {
  const graph = new Graph();
  const column = (name: string, dtype: "float32" | "int64") => graph.input("column", name, { dtype, shape: [batch] });
  const [[, auc]] = collectMetrics({ auc: metrics.auc(column("s", "float32"), column("l", "int64")) }) as [
    readonly [string, ReturnType<typeof metrics.auc>],
  ];
  expect(auc.finish({ scores: Float32Array.of(1, 2), labels: Uint8Array.of(0, 0) })).toBeNaN();
  expect(auc.finish({ scores: Float32Array.of(Number.NaN, 2), labels: Uint8Array.of(0, 1) })).toBeNaN();
});

test("rmse and r2 are those of the whole data", async () => {
  const prediction = all.map((i) => row(i)[0]!);
  const errors = mean(all.map((i) => (values[i]! - prediction[i]!) ** 2));
  const spread = mean(all.map((i) => (values[i]! - mean([...values])) ** 2));
  expect(await figure((columns) => metrics.rmse(columns.scores, columns.values))).toBeCloseTo(Math.sqrt(errors), 5);
  expect(await figure((columns) => metrics.r2(columns.scores, columns.values))).toBeCloseTo(1 - errors / spread, 5);
});

test("perplexity is exp of the mean cross-entropy over the tokens that count", async () => {
  const entropy = (i: number): number =>
    Math.log(row(i).reduce((sum, x) => sum + Math.exp(x), 0)) - row(i)[actual[i]!]!;
  const plain = await figure((columns) => metrics.perplexity(nn.crossEntropy(columns.logits, columns.labels)));
  expect(plain).toBeCloseTo(Math.exp(mean(all.map(entropy))), 5);
  const ignoring = await figure((columns) =>
    metrics.perplexity(nn.crossEntropy(columns.logits, columns.labels, { ignoreIndex: 1 })),
  );
  expect(ignoring).toBeCloseTo(Math.exp(mean(all.filter((i) => actual[i] !== 1).map(entropy))), 5);
});

test("what a metric cannot count is refused", () => {
  const graph = new Graph();
  const l = graph.input("column", "l", { dtype: "float32", shape: [batch, 100] });
  const y = graph.input("column", "y", { dtype: "uint8", shape: [batch] });
  expect(() => metrics.confusionMatrix(l, y)).toThrow(/at most 64 classes, found 100/);
  expect(() => metrics.topK(l, y, 101)).toThrow(/expected 1 … 100/);
  expect(() => metrics.f1(l, y, { average: "weighted" as "macro" })).toThrow(/"macro" or "micro", found weighted/);
  expect(() => metrics.auc(l, y)).toThrow(/metrics\.auc: expected scores float32\[N\]/);
});
