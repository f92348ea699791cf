import { readFileSync } from "node:fs";
import {
  compileOptimizer,
  initialPlateau,
  nextPlateau,
  optim,
  type ReduceOnPlateau,
  type Schedule,
} from "@tutti/core/optim";
import { expect, test } from "vitest";
import { ParitySection } from "../parity-section.ts";

const section = new ParitySection("Schedules");

interface Recording {
  /** `schedule` is JSON text. */
  readonly cases: readonly { readonly schedule: string; readonly updates: number; readonly rates: string }[];
  readonly plateaus: readonly {
    readonly options: ReduceOnPlateau;
    readonly lr: number;
    readonly metrics: string;
    readonly rates: string;
  }[];
}

const recording: Recording = JSON.parse(
  readFileSync(new URL("../../../../test/parity/optimizers-schedules.json", import.meta.url), "utf8"),
);
const layout = { totalFloats: 16, entries: [{ name: "p", shape: [16], offset: 0, length: 16 }] };

function doubles(base64: string): number[] {
  const bytes = Buffer.from(base64, "base64");
  return Array.from({ length: bytes.length / 8 }, (_, index) => bytes.readDoubleLE(index * 8));
}

function made(text: string): Schedule {
  return JSON.parse(text, (_, value) => {
    if (typeof value !== "object" || !("kind" in value)) return value;
    const { kind, ...options } = value;
    return kind === "constant" ? optim.schedule.constant(options.value) : optim.schedule[kind as "step"](options);
  });
}

/** Half a unit in the last place of float32, and the little by which PyTorch's repeated products are off. */
const roundedOnce = 6.1e-8;

test.each(recording.cases)("follows PyTorch's rates: $schedule", ({ schedule, updates, rates }) => {
  const optimizer = compileOptimizer(optim.sgd({ lr: made(schedule) }), layout);
  const wanted = doubles(rates);
  expect(wanted.length).toBe(updates);
  expect(new Set(wanted).size).toBeGreaterThan(3);
  for (const [index, rate] of wanted.entries()) {
    const found = optimizer.learningRate(index + 1);
    section.compare(schedule, "rates", rate === 0 ? Math.abs(found) : Math.abs(found - rate) / rate, roundedOnce);
  }
});

test("the recording holds every schedule that PyTorch has", () => {
  const kinds = new Set(recording.cases.map(({ schedule }) => JSON.parse(schedule).kind));
  expect([...kinds].sort()).toEqual(
    Object.keys(optim.schedule)
      .filter((kind) => !["constant", "warmupCosine", "scaled"].includes(kind))
      .sort(),
  );
});

test.each(recording.plateaus)(
  "lowers the rate when PyTorch does, from $lr with $options",
  ({ options, lr, metrics, rates }) => {
    const optimizer = compileOptimizer(optim.sgd({ lr, reduceOnPlateau: optim.reduceOnPlateau(options) }), layout);
    const wanted = doubles(rates);
    let state = initialPlateau;
    for (const [index, metric] of doubles(metrics).entries()) {
      state = JSON.parse(JSON.stringify(nextPlateau(options, state, metric)));
      const found = optimizer.learningRate(index + 1, state);
      const error = Math.abs(found - wanted[index]!) / wanted[index]!;
      section.compare(`reduceOnPlateau from ${lr} ${JSON.stringify(options)}`, "rates", error, roundedOnce);
    }
    expect(new Set(wanted).size).toBeGreaterThan(2);
  },
);

test("docs/parity.md lists what was compared here", () => section.expectListed());
