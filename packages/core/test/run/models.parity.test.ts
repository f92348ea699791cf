import { readFileSync } from "node:fs";
import { data, packRows } from "@tutti/core/data";
import type { Tensor } from "@tutti/core/graph";
import { type Model, nn } from "@tutti/core/nn";
import { optim } from "@tutti/core/optim";
import { type CompiledRun, compileRun, defineRun, parameterViews } from "@tutti/core/run";
import { updateRunningStatistics } from "@tutti/core/step";
import { expect, test } from "vitest";
import { normError, ParitySection } from "../parity-section.ts";
import { execute } from "./execute.ts";

const section = new ParitySection("Whole models");

interface Recorded {
  readonly lr: number;
  readonly columns: Readonly<Record<"x" | "label", { readonly shape: readonly number[]; readonly values: number[] }>>;
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  readonly states: readonly {
    readonly loss: number;
    readonly exactLoss: number;
    readonly parameters: string;
    readonly gradients: string;
  }[];
  readonly buffers: Readonly<Record<string, readonly number[]>>;
}

/** Made by test/parity/models.py: 20 steps of PyTorch. */
const recorded: Readonly<Record<string, Recorded>> = JSON.parse(
  readFileSync(new URL("./models.parity.json", import.meta.url), "utf8"),
);

const conv = { padding: 1, bias: false } as const;
const lenet = nn.sequential([
  nn.conv2d(1, 3, 5),
  nn.relu(),
  nn.maxPool2d(2),
  nn.conv2d(3, 4, 3),
  nn.relu(),
  nn.flatten(),
  nn.linear(16, 8),
  nn.relu(),
  nn.linear(8, 5),
]);
const block = nn.sequential([
  nn.conv2d(4, 4, 3, conv),
  nn.batchNorm2d(4),
  nn.relu(),
  nn.conv2d(4, 4, 3, conv),
  nn.batchNorm2d(4),
]);
const resnet = nn.sequential([
  nn.conv2d(2, 4, 3, conv),
  nn.batchNorm2d(4),
  nn.relu(),
  nn.residual(block),
  nn.relu(),
  nn.adaptiveAvgPool2d(1),
  nn.flatten(),
  nn.linear(4, 3),
]);
const characters = { embed: nn.embedding(9, 5), lstm: nn.lstm(5, 6), head: nn.linear(6, 9) };
const layer = () =>
  nn.transformerEncoderLayer(8, 2, { feedForward: 16, dropout: 0, activation: "gelu", normFirst: true, causal: true });
const blocks = [layer(), layer()];
const gpt = {
  embed: nn.embedding(11, 8),
  positions: nn.learnedPositions(6, 8),
  blocks: nn.module({
    children: Object.fromEntries(blocks.entries()),
    forward: (_self, x: Tensor) => blocks.reduce((y, next) => next(y), x),
  }),
  norm: nn.layerNorm(8),
  head: nn.linear(8, 11, { bias: false }),
};

const models: Readonly<Record<string, { readonly model: Model; readonly logits: (x: Tensor) => Tensor }>> = {
  lenet: { model: lenet, logits: lenet },
  resnet: { model: resnet, logits: resnet },
  characters: {
    model: characters,
    logits: (x) => characters.head(characters.lstm(characters.embed(x)).output).reshape([-1, 9]),
  },
  gpt: { model: gpt, logits: (x) => gpt.head(gpt.norm(gpt.blocks(gpt.positions(gpt.embed(x))))).reshape([-1, 11]) },
};

async function prepare(name: string) {
  const { columns, shapes } = recorded[name]!;
  const { model, logits } = models[name]!;
  const isText = columns.x.values.every(Number.isInteger);
  const source = data.arrays({
    x: { dtype: isText ? "int64" : "float32", shape: columns.x.shape.slice(1), values: columns.x.values },
    label: { dtype: "int64", shape: columns.label.shape.slice(1), values: columns.label.values },
  });
  const definition = defineRun({
    data: { train: source },
    model,
    step: ({ x, label }) => ({ loss: nn.crossEntropy(logits(x), label.flatten(0)) }),
    optimizer: optim.sgd({ lr: 1 }),
    batchSize: "all",
  });
  const dataset = await source.open({ baseDirectory: "." });
  const run = compileRun(definition, { train: dataset }, { shards: 1 });
  expect(run.trainable.entries.map((entry) => [entry.name, [...entry.shape]])).toEqual(Object.entries(shapes));
  const rows = await packRows(dataset, [...Array(dataset.size).keys()]);
  const program = run.training.programs.get(dataset.size)!;
  return { run, samples: dataset.size, step: (parameters: Float32Array) => execute(program, parameters, rows) };
}

/** One after the other in the order of the layout, without padding. */
function decoded(run: CompiledRun, text: string): ReadonlyMap<string, Float32Array> {
  const all = new Float32Array(Uint8Array.from(Buffer.from(text, "base64")).buffer);
  let end = 0;
  return new Map(
    run.trainable.entries.map(({ name, length }) => {
      end += length;
      return [name, all.subarray(end - length, end)];
    }),
  );
}

for (const [name, { states, lr, buffers }] of Object.entries(recorded)) {
  test(`${name} has PyTorch's loss and gradients at 20 states of its training`, async () => {
    const { run, step } = await prepare(name);
    expect(states).toHaveLength(20);
    for (const { loss, parameters, gradients } of states) {
      const flat = run.initialParameters();
      const views = parameterViews(run.layout, flat);
      for (const [path, values] of decoded(run, parameters)) views.get(path)!.set(values);
      const { sums, scalars } = await step(flat);
      section.compare(name, "loss", Math.abs(scalars[0]! / scalars[1]! / loss - 1), 1e-5);
      const found = parameterViews(run.trainable, sums);
      for (const [path, wanted] of decoded(run, gradients)) {
        const gradient = Array.from(found.get(path)!, (value) => value / scalars[1]!);
        section.compare(name, "gradients", normError(gradient, wanted), 1e-5);
      }
    }
  });

  test(`${name} trained freely stays within 4 times PyTorch's own rounding of the exact losses`, async () => {
    const { run, samples, step } = await prepare(name);
    let flat = run.initialParameters();
    const views = parameterViews(run.layout, flat);
    for (const [path, values] of decoded(run, states[0]!.parameters)) views.get(path)!.set(values);
    const theirs = Math.max(...states.map(({ loss, exactLoss }) => Math.abs(loss - exactLoss)));
    for (const [t, { exactLoss }] of states.entries()) {
      const { sums, scalars } = await step(flat);
      const ours = Math.abs(scalars[0]! / scalars[1]! - exactLoss);
      section.compare(name, "loss trained freely, of PyTorch's own error", ours / theirs, 4);
      const next = flat.slice();
      for (let i = 0; i < run.trainable.totalFloats; i++) next[i]! -= lr * Math.fround(sums[i]! / scalars[1]!);
      for (const one of run.statistics) updateRunningStatistics(one, { current: flat, next, sums }, samples, t + 1);
      flat = next;
    }
    const final = parameterViews(run.layout, flat);
    expect(run.buffers.map((entry) => entry.name)).toEqual(Object.keys(buffers));
    for (const [path, wanted] of Object.entries(buffers)) {
      section.compare(name, "running statistics trained freely", normError(final.get(path)!, wanted), 1e-4);
    }
  });
}

test("docs/parity.md lists what was compared here", () => section.expectListed());
