import { readFileSync } from "node:fs";
import { optim } from "@tutti/core/optim";
import { expect, test } from "vitest";
import { ParitySection } from "../parity-section.ts";
import { ArenaOptimizer } from "./arena-optimizer.ts";

const section = new ParitySection("Optimizers");

type Kind = "sgd" | "adagrad" | "rmsprop" | "adadelta" | "adam" | "adamW" | "nadam";

interface Recording {
  readonly steps: number;
  readonly recordedSteps: string;
  readonly start: string;
  readonly gradients: string;
  readonly cases: readonly { kind: Kind; options: { lr: number }; parameters: string }[];
}

const recording: Recording = JSON.parse(
  readFileSync(new URL("../../../../test/parity/optimizers.json", import.meta.url), "utf8"),
);
const start = floats(recording.start);
const gradients = floats(recording.gradients);
const recordedSteps = recording.recordedSteps.split(" ").map(Number);

function floats(base64: string): number[] {
  const bytes = Buffer.from(base64, "base64");
  return Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(index * 4));
}

test.each(recording.cases)("$kind follows PyTorch over 50 steps with $options", ({ kind, options, parameters }) => {
  const wanted = floats(parameters);
  const optimizer = new ArenaOptimizer(optim[kind](options), start);
  const width = start.length;
  let worst = 0;
  let compared = 0;
  for (let step = 1; step <= recording.steps; step++) {
    const gradient = gradients.slice((step - 1) * width, step * width);
    optimizer.update(
      gradient.map((value) => value * 4),
      4,
    );
    const at = recordedSteps.indexOf(step);
    if (at === -1) continue;
    for (const [index, found] of optimizer.parameters.entries()) {
      const p = wanted[at * width + index]!;
      worst = Math.max(worst, Math.abs(found - p) / Math.max(1, Math.abs(p)));
      compared++;
    }
  }
  expect(compared).toBe(wanted.length);
  section.compare(`${kind} ${JSON.stringify(options)}`, "parameters", worst, 1e-6);
});

test("the recording holds every combination of options that PyTorch 1.13 accepts", () => {
  const combinations = (kind: string) =>
    new Set(recording.cases.filter((one) => one.kind === kind).map(({ options }) => JSON.stringify(options))).size;
  const kinds = ["sgd", "adagrad", "rmsprop", "adadelta", "adam", "adamW", "nadam"];
  const withClipping = 3;
  expect(kinds.map((kind) => combinations(kind) - withClipping)).toEqual([20, 32, 64, 32, 32, 32, 24]);
});

test("docs/parity.md lists what was compared here", () => section.expectListed());
