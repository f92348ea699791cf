import { readFileSync } from "node:fs";
import { optim } from "@tutti/core/optim";
import { expect, test } from "vitest";
import { ParitySection } from "../parity-section.ts";
import { ArenaOptimizer } from "./arena-optimizer.ts";

const section = new ParitySection("Parameter groups and averaged weights");

interface Recording {
  readonly steps: number;
  readonly recordedSteps: string;
  readonly start: string;
  readonly gradients: string;
  readonly cases: readonly {
    readonly name: string;
    readonly kind: "sgd" | "adam" | "adamW";
    readonly options: { readonly lr: number };
    readonly parameters: string;
    readonly averages?: string;
  }[];
}

const recording: Recording = JSON.parse(
  readFileSync(new URL("../../../../test/parity/optimizers-extras.json", import.meta.url), "utf8"),
);
const shapes = { "x.weight": [5, 7], "x.bias": [5] };
const start = floats(recording.start);
const gradients = floats(recording.gradients);
const width = start.length;

function floats(base64: string): number[] {
  const bytes = Buffer.from(base64, "base64");
  return Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(index * 4));
}

function worstError(found: Float32Array, wanted: readonly number[]): number {
  expect(found.length).toBe(wanted.length);
  return Math.max(...wanted.map((p, index) => Math.abs(found[index]! - p) / Math.max(1, Math.abs(p))));
}

test.each(recording.cases)(
  "$kind with $name follows PyTorch over 50 steps",
  ({ name, kind, options, parameters, averages }) => {
    const recordedSteps = recording.recordedSteps.split(" ").map(Number);
    const wanted = floats(parameters);
    const wantedAverages = averages === undefined ? [] : floats(averages);
    const optimizer = new ArenaOptimizer(optim[kind](options), start, shapes);
    for (let step = 1; step <= recording.steps; step++) {
      const gradient = gradients.slice((step - 1) * width, step * width);
      optimizer.update(
        gradient.map((value) => value * 4),
        4,
      );
      const at = recordedSteps.indexOf(step) * width;
      if (at < 0) continue;
      const error = worstError(optimizer.parameters, wanted.slice(at, at + width));
      section.compare(`${kind} with ${name}`, "parameters", error, 1e-6);
      expect(optimizer.compiled.averageSlot === undefined).toBe(averages === undefined);
      if (optimizer.compiled.averageSlot === undefined) continue;
      const average = optimizer.slot(optimizer.compiled.averageSlot);
      const averageError = worstError(average, wantedAverages.slice(at, at + width));
      section.compare(`${kind} with ${name}`, "averages", averageError, 1e-6);
    }
  },
);

test("docs/parity.md lists what was compared here", () => section.expectListed());
