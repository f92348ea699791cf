import {
  compileOptimizer,
  earlyStopping,
  initialEarlyStopping,
  initialPlateau,
  nextEarlyStopping,
  nextPlateau,
  optim,
} from "@tutti/core/optim";
import { expect, test } from "vitest";
import { ArenaOptimizer } from "./arena-optimizer.ts";

const layout = { totalFloats: 16, entries: [{ name: "p", shape: [16], offset: 0, length: 16 }] };

test("the reduced rate is the one that is applied, to every group, on top of a schedule", () => {
  const lr = optim.schedule.exponential({ initial: 1, factor: 0.5 });
  const reduceOnPlateau = optim.reduceOnPlateau({ factor: 0.25, patience: 0 });
  const definition = optim.sgd({ lr, reduceOnPlateau, groups: [{ match: "b", lrScale: 2 }] });
  const optimizer = new ArenaOptimizer(definition, [0, 0], { a: [1], b: [1] });
  optimizer.plateau = initialPlateau;
  optimizer.update([1, 1]);
  expect([...optimizer.parameters]).toEqual([-1, -2]);
  optimizer.plateau = nextPlateau(reduceOnPlateau, nextPlateau(reduceOnPlateau, initialPlateau, 1), 1);
  expect(optimizer.plateau.scale).toBe(0.25);
  optimizer.update([1, 1]);
  expect([...optimizer.parameters]).toEqual([-1 - 0.125, -2 - 0.25]);
});

test("a rate that is below minLr by itself is not raised", () => {
  const lr = optim.schedule.exponential({ initial: 1, factor: 0.1 });
  const definition = optim.sgd({ lr, reduceOnPlateau: optim.reduceOnPlateau({ minLr: 0.05 }) });
  const compiled = compileOptimizer(definition, layout);
  const reduced = { ...initialPlateau, scale: 0.1 };
  expect([1, 2, 3].map((step) => compiled.learningRate(step, reduced))).toEqual([0.1, 0.05, 0.01].map(Math.fround));
});

test("an optimizer with reduceOnPlateau refuses to go on without its state", () => {
  const definition = optim.sgd({ lr: 1, reduceOnPlateau: optim.reduceOnPlateau() });
  expect(() => compileOptimizer(definition, layout).learningRate(1)).toThrow(/needs its state/);
  expect(() => new ArenaOptimizer(definition, [0]).update([1])).toThrow(/needs its state/);
});

const refusals: [options: object, message: string][] = [
  [{ factor: 1 }, "optim.reduceOnPlateau: factor must be below 1, found 1."],
  [{ patience: -1 }, "optim.reduceOnPlateau: patience must be an integer of at least 0, found -1."],
  [{ metric: "" }, 'optim.reduceOnPlateau: metric must be a text that is not empty, found "".'],
  [{ mode: "lowest" }, 'optim.reduceOnPlateau: mode must be "min" or "max", found "lowest".'],
  [{ eps: 1 }, "optim.reduceOnPlateau has no option eps; its options are metric,"],
];

test.each(refusals)("refuses to reduce on a plateau with %o", (options, message) => {
  expect(() => optim.reduceOnPlateau(options)).toThrow(message);
  const where = message.replace("optim.reduceOnPlateau", "optim.sgd: reduceOnPlateau");
  expect(() => optim.sgd({ lr: 1, reduceOnPlateau: options as ReturnType<typeof optim.reduceOnPlateau> })).toThrow(
    where,
  );
});

/** keras.callbacks.EarlyStopping.on_epoch_end, with its `wait` and its infinite first best value. */
function kerasStopsAt(values: readonly number[], mode: "min" | "max", patience: number, minDelta: number): number {
  let best = mode === "min" ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  let wait = 0;
  for (const [epoch, value] of values.entries()) {
    wait++;
    const isImprovement = mode === "min" ? value + minDelta < best : value - minDelta > best;
    if (isImprovement) {
      best = value;
      wait = 0;
    } else if (wait >= patience && epoch > 0) {
      return epoch;
    }
  }
  return -1;
}

test("stops where Keras's early stopping does, with a state that survives JSON", () => {
  const values = [3, 2.5, 2.75, 2.5, 2.25, 2.375, 2, 2, Number.NaN, 2, 1.75, 1.5, 1.625, 1.5, 1.5, 1.5, 1.5, 1.5];
  const stops = new Set<number>();
  for (const mode of ["min", "max"] as const) {
    for (const patience of [1, 2, 3, 5, 20]) {
      for (const minDelta of [0, 0.25, 0.5]) {
        const signed = values.map((value) => (mode === "min" ? value : -value));
        const options = earlyStopping({ mode, patience, minDelta });
        let state = initialEarlyStopping;
        let stop = -1;
        for (const [epoch, value] of signed.entries()) {
          state = JSON.parse(JSON.stringify(nextEarlyStopping(options, state, value)));
          if (state.isOver && stop === -1) stop = epoch;
        }
        expect(stop).toBe(kerasStopsAt(signed, mode, patience, minDelta));
        stops.add(stop);
      }
    }
  }
  expect(stops.size).toBeGreaterThan(5);
  expect(() => earlyStopping({ patience: 0 })).toThrow(
    "earlyStopping: patience must be an integer of at least 1, found 0.",
  );
});
