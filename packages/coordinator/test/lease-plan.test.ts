import { expect, test } from "vitest";
import { planLeases } from "../src/lease-plan.ts";

const nodesOf = (shards: number, weights: readonly number[]): string =>
  planLeases(
    shards,
    weights.map((weight, worker) => ({ worker, weight })),
  )
    .map(({ nodes }) => nodes.map(({ lo, hi }) => `${lo}-${hi}`).join("+"))
    .join(" ");

test("gives workers of nearly one speed equal shares, and so the fewest sums to send", () => {
  expect(nodesOf(8, [100, 129])).toBe("0-4 4-8");
  expect(nodesOf(8, [100, 131])).toBe("0-2+2-3 3-4+4-8");
  expect(nodesOf(8, [1, 1.1, 1.2, 1.3])).toBe("0-2 2-4 4-6 6-8");
});

test("cuts in proportion to speeds that differ, every worker that can have one a shard", () => {
  expect(nodesOf(8, [1, 3])).toBe("0-2 2-4+4-8");
  expect(nodesOf(3, [10, 1, 1, 1])).toBe("0-1 1-2 2-3 ");
});
