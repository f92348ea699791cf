import { isCanonical } from "@tutti/core/step";
import { expect, test } from "vitest";
import { buffersFor, cutForLanes } from "../../src/engine/cut.ts";

test("cuts a node into canonical nodes that cover it in order", () => {
  for (let shards = 1; shards <= 40; shards++) {
    for (let lanes = 1; lanes <= 9; lanes++) {
      const pieces = cutForLanes({ lo: 0, hi: shards }, lanes);
      let end = 0;
      for (const piece of pieces) {
        expect(piece.lo).toBe(end);
        expect(isCanonical(shards, piece)).toBe(true);
        end = piece.hi;
      }
      expect(end).toBe(shards);
    }
  }
});

test.each([
  [8, 1, [8]],
  [8, 2, [4, 4]],
  [5, 2, [2, 2, 1]],
  [8, 3, [1, 1, 1, 1, 1, 1, 1, 1]],
  [8, 4, [2, 2, 2, 2]],
  [3, 2, [2, 1]],
  [2, 4, [1, 1]],
])("cuts %i shards for %i lanes into %j, the fewest pieces among the quickest cuts", (shards, lanes, expected) => {
  expect(cutForLanes({ lo: 0, hi: shards }, lanes).map(({ lo, hi }) => hi - lo)).toEqual(expected);
});

test.each([
  [1, 1],
  [2, 2],
  [3, 2],
  [4, 3],
  [8, 4],
  [9, 4],
])("adds %i shards one after the other in %i buffers", (shards, buffers) => {
  expect(buffersFor({ lo: 0, hi: shards })).toBe(buffers);
});
