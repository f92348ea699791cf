import type { NodeResult } from "@tutti/core/engine";
import { computeMemory } from "@tutti/core/kernels";
import { expect, test } from "vitest";
import { WorkerMemory } from "../src/worker-memory.ts";

/** Memory with loans of the given rounds and steps, and the rounds of those that were given back. */
function lending(...loans: readonly [round: number, step: number][]) {
  const memory = new WorkerMemory(computeMemory());
  const released: number[] = [];
  for (const [round, step] of loans) {
    const release = (): void => void released.push(round);
    const result: NodeResult = { sums: 64, scalars: new Float32Array(2), collects: [], computeMs: 1, release };
    memory.lend({ round, step, result });
  }
  return { memory, released };
}

test("the end of a round gives back what was lent for it alone: a validation's number is above that of the step after it", () => {
  const { memory, released } = lending([7, 3], [7, 3], [6, 3]);
  memory.takeBack(8);
  expect(released).toEqual([]);
  memory.takeBack(7);
  expect(released).toEqual([7, 7]);
  memory.takeBack(7);
  expect(released).toEqual([7, 7]);
});

test("a step that is current gives back what was lent for those before it, whatever their rounds", () => {
  const { memory, released } = lending([7, 3], [9, 4], [5, 2]);
  memory.takeBackBefore(4);
  expect(released).toEqual([7, 5]);
  memory.takeBackBefore(5);
  expect(released).toEqual([7, 5, 9]);
});
