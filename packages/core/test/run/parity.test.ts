import { readFileSync } from "node:fs";
import { type DataSource, data, packRows } from "@tutti/core/data";
import { type Model, nn } from "@tutti/core/nn";
import { optim } from "@tutti/core/optim";
import { compileRun, defineRun, parameterViews, type StepResult } from "@tutti/core/run";
import { expect, test } from "vitest";
import { normError, ParitySection } from "../parity-section.ts";
import { execute } from "./execute.ts";

const section = new ParitySection("Small models");

interface Recorded {
  readonly columns: Record<string, number[]>;
  readonly shapes: Record<string, number[]>;
  readonly parameters: Record<string, number[]>;
  readonly loss: number[];
  readonly gradients: Record<string, number[]>;
}

/** Made by test/parity/mlp.py: what PyTorch computes from the same parameters and batch. */
const recorded: Record<string, Recorded> = JSON.parse(
  readFileSync(new URL("./mlp.parity.json", import.meta.url), "utf8"),
);

const mlp = nn.sequential({
  fc1: nn.linear(12, 16),
  relu: nn.relu(),
  fc2: nn.linear(16, 8),
  tanh: nn.tanh(),
  fc3: nn.linear(8, 5, { bias: false }),
});
const linear = { fc: nn.linear(10, 3) };
const pixels = (name: string) =>
  data.arrays({
    x: { dtype: "uint8", shape: [12], values: recorded[name]!.columns.x! },
    label: { dtype: "uint8", shape: [], values: recorded[name]!.columns.label! },
  });

/** Losses and gradients of the whole batch as one shard, by the program that workers run. */
async function results(name: string, source: DataSource, model: Model, step: Parameters<typeof defineRun>[0]["step"]) {
  const { parameters, shapes } = recorded[name]!;
  const definition = defineRun({
    data: { train: source },
    model,
    step,
    optimizer: optim.sgd({ lr: 1 }),
    batchSize: "all",
  });
  const dataset = await source.open({ baseDirectory: "." });
  const run = compileRun(definition, { train: dataset }, { shards: 1 });
  expect(Object.fromEntries(run.layout.entries.map((entry) => [entry.name, [...entry.shape]]))).toEqual(shapes);
  expect(run.layout.entries.map((entry) => entry.name)).toEqual(Object.keys(shapes));
  const flat = run.initialParameters();
  for (const [path, view] of parameterViews(run.layout, flat)) view.set(parameters[path]!);
  const rows = await packRows(
    dataset,
    Array.from({ length: dataset.size }, (_, row) => row),
  );
  const { sums, scalars } = await execute(run.training.programs.get(dataset.size)!, flat, rows);
  return { gradients: parameterViews(run.trainable, sums), scalars };
}

function expectParity(name: string, found: Awaited<ReturnType<typeof results>>): void {
  const { loss, gradients } = recorded[name]!;
  const sum = loss.reduce((total, value) => total + value, 0);
  section.compare(name, "loss", Math.abs(found.scalars[0]! - sum) / Math.abs(sum), 1e-6);
  expect([...found.gradients.keys()]).toEqual(Object.keys(gradients));
  for (const [path, expected] of Object.entries(gradients)) {
    section.compare(name, "gradients", normError(found.gradients.get(path)!, expected), 2e-6);
  }
}

const classify =
  (scale: number): Parameters<typeof defineRun>[0]["step"] =>
  ({ x, label }): StepResult => ({
    loss: nn.crossEntropy(mlp(x!.cast("float32").div(255)).mul(scale), label!),
  });

test("an MLP with cross-entropy has PyTorch's loss, gradients, names and layouts", async () => {
  const found = await results("mlp", pixels("mlp"), mlp, classify(1));
  expectParity("mlp", found);
  expect(found.scalars[1]).toBe(10);
});

test("cross-entropy of logits far beyond exp's range has PyTorch's loss and gradients", async () => {
  expect(Math.max(...recorded.mlpLargeLogits!.loss)).toBeGreaterThan(1000);
  expectParity("mlpLargeLogits", await results("mlpLargeLogits", pixels("mlpLargeLogits"), mlp, classify(2e4)));
});

test("a weighted linear regression has PyTorch's loss and gradients, and sums its weights", async () => {
  const { x, y, weight } = recorded.linear!.columns;
  const source = data.arrays({
    x: { dtype: "float32", shape: [10], values: x! },
    y: { dtype: "float32", shape: [3], values: y! },
    weight: { dtype: "float32", shape: [], values: weight! },
  });
  const found = await results("linear", source, linear, (columns) => ({
    loss: nn.mse(linear.fc(columns.x!), columns.y!),
    weight: columns.weight!,
  }));
  expectParity("linear", found);
  expect(found.scalars[1]).toBeCloseTo(
    weight!.reduce((sum, value) => sum + value, 0),
    5,
  );
});

test("token labels, behind the class axis or flattened into the batch, have PyTorch's loss and gradients", async () => {
  const { x, label } = recorded.tokens!.columns;
  const source = data.arrays({
    x: { dtype: "float32", shape: [4, 10], values: x! },
    label: { dtype: "int32", shape: [4], values: label! },
  });
  const behind = await results("tokens", source, linear, (columns) => ({
    loss: nn.crossEntropy(linear.fc(columns.x!).transpose([0, 2, 1]), columns.label!),
  }));
  expectParity("tokens", behind);
  expect(behind.scalars[1]).toBe(40);
  const flat = await results("tokens", source, linear, (columns) => ({
    loss: nn.crossEntropy(linear.fc(columns.x!).reshape([-1, 3]), columns.label!.flatten(0)),
  }));
  expectParity("tokens", flat);
  expect(flat.scalars[1]).toBe(40);
});

test("docs/parity.md lists what was compared here", () => section.expectListed());
