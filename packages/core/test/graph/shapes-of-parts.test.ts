import { batch, operators, type Shape, type Tensor } from "@tutti/core/graph";
import fc from "fast-check";
import { describe, test } from "vitest";
import { expectEngineShape } from "./expect-engine-shape.ts";

const dim = fc.integer({ min: 1, max: 4 });
const rest = fc.array(dim, { minLength: 1, maxLength: 3 });
const runs = { numRuns: 20, seed: 11 };

function zeros(x: Tensor, shape: readonly number[]): Tensor {
  return x.graph.constant(new BigInt64Array(shape.reduce((product, size) => product * size, 1)), shape, "int64");
}

/** Each output of an operator. */
async function expectAll(
  inputs: Record<string, Shape>,
  count: number,
  build: (x: Tensor) => readonly Tensor[],
): Promise<void> {
  for (let i = 0; i < count; i++) await expectEngineShape(inputs, ([x]) => build(x!)[i]!);
}

describe("shape rules agree with the engine, with N unknown and known:", () => {
  test("split, by sizes and by number", () =>
    fc.assert(
      fc.asyncProperty(rest, fc.integer({ min: 1, max: 4 }), dim, async (sizes, parts, first) => {
        const axis = sizes.length;
        const x: Shape = [batch, ...sizes.slice(0, -1), first + 3];
        await expectAll({ x }, 2, (t) => t.split([first, 3], axis));
        const whole: Shape = [batch, ...sizes.slice(0, -1), parts * 2 + 1];
        await expectAll({ x: whole }, 2, (t) => t.split(2, -1));
      }),
      runs,
    ));

  test("tile, cumsum, triangles and top-k", () =>
    fc.assert(
      fc.asyncProperty(
        rest,
        fc.array(fc.nat(3), { minLength: 3, maxLength: 3 }),
        fc.integer({ min: -5, max: 5 }),
        async (sizes, counts, k) => {
          const x: Shape = [batch, ...sizes];
          const axis = 1 + (counts[0]! % sizes.length);
          await expectEngineShape({ x }, ([t]) => t!.tile([1, ...sizes.map((_, i) => counts[i]!)]));
          await expectEngineShape({ x }, ([t]) => t!.cumsum(axis - x.length));
          await expectEngineShape({ x: [...x, 2] }, ([t]) => t!.triu(k));
          await expectEngineShape({ x: [...x, 2] }, ([t]) => t!.tril(k));
          const most = Number(x[axis]);
          await expectEngineShape({ x }, ([t]) => t!.topK(Math.min(most, counts[1]!), axis).values);
          await expectEngineShape({ x }, ([t]) => t!.topK(Math.min(most, counts[1]!), axis).indices.cast("float32"));
        },
      ),
      runs,
    ));

  test("gatherND and scatterND, with shared axes", () =>
    fc.assert(
      fc.asyncProperty(rest, fc.array(dim, { maxLength: 2 }), fc.nat(3), async (sizes, tuples, depth) => {
        const deep = Math.min(depth, sizes.length);
        const table: Shape = [...sizes, batch];
        await expectEngineShape({ table }, ([t]) => t!.gatherND(zeros(t!, [...tuples, Math.max(deep, 1)])));
        const x: Shape = [batch, 3, ...sizes];
        await expectEngineShape({ x }, ([t]) => {
          const firstTwo = t!.slice(1, 0, 2).sum(sizes.map((_, axis) => axis + 2));
          const indices = firstTwo.cast("int64").mul(0).unsqueeze(2);
          return t!.graph.apply(operators.get(":GatherND")!, [t!, indices], { batch_dims: 1 })[0]!;
        });
        await expectEngineShape({ table }, ([t]) => {
          const indices = zeros(t!, [...tuples, 1]);
          const updates = t!.gatherND(indices);
          return t!.graph.apply(operators.get(":ScatterND")!, [t!, indices, updates], { reduction: "add" })[0]!;
        });
      }),
      runs,
    ));

  test("einsum with an ellipsis, sums and diagonals", () =>
    fc.assert(
      fc.asyncProperty(rest, dim, dim, dim, async (lead, m, k, n) => {
        const a: Shape = [batch, ...lead, m, k];
        await expectEngineShape({ a, b: [batch, ...lead, k, n] }, ([x, y]) => x!.einsum("...ij,...jk->...ik", [y!]));
        await expectEngineShape({ a, b: [k, n] }, ([x, y]) => x!.einsum("...ij,jk", [y!]));
        await expectEngineShape({ a: [batch, m, m, k] }, ([x]) => x!.einsum("bmmk->bk"));
        await expectEngineShape({ a: [batch, m], b: [batch, 1] }, ([x, y]) => x!.einsum("bi,bi->b", [y!]));
      }),
      runs,
    ));

  test("reductions, searches, bounds and extremes", () =>
    fc.assert(
      fc.asyncProperty(rest, fc.boolean(), fc.nat(), async (sizes, keep, place) => {
        const x: Shape = [batch, ...sizes];
        const axis = 1 + (place % sizes.length);
        for (const reduce of ["prod", "l1", "l2", "sumSquare", "logSumExp"] as const)
          await expectEngineShape({ x }, ([t]) => t![reduce]([axis], keep));
        await expectEngineShape({ x }, ([t]) => t!.argmin(axis).cast("float32"));
        await expectEngineShape({ x }, ([t]) => t!.clip(0, 1));
        await expectEngineShape({ x, y: [sizes.at(-1)!] }, ([t, u]) => t!.maximum(u!).minimum(2));
      }),
      runs,
    ));

  test("recurrent operators, every output, in one direction and two", async () => {
    for (const [key, gates, count] of [
      [":RNN", 1, 2],
      [":GRU", 3, 2],
      [":LSTM", 4, 3],
    ] as const) {
      for (const direction of ["forward", "reverse", "bidirectional"]) {
        const directions = direction === "bidirectional" ? 2 : 1;
        const [hidden, features] = [3, 2];
        const inputs = {
          x: [5, batch, features],
          w: [directions, gates * hidden, features],
          r: [directions, gates * hidden, hidden],
        };
        for (let i = 0; i < count; i++)
          await expectEngineShape(inputs, (tensors) => {
            const attributes = { hidden_size: hidden, direction };
            return tensors[0]!.graph.apply(operators.get(key)!, tensors, attributes)[i]!;
          });
      }
    }
  });

  test("shape and size", async () => {
    await expectEngineShape({ x: [batch, 3, 2] }, ([x]) => {
      const dims = x!.graph.apply(operators.get(":Shape")!, [x!], { start: -2 })[0]!;
      return dims.cast("float32");
    });
    await expectEngineShape({ x: [batch, 3] }, ([x]) =>
      x!.graph.apply(operators.get(":Size")!, [x!])[0]!.cast("float32"),
    );
  });
});
