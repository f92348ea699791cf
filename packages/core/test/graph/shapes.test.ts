import { isTuttiError } from "@tutti/core/errors";
import { batch, Graph, type Shape, type Tensor } from "@tutti/core/graph";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { expectEngineShape } from "./expect-engine-shape.ts";

const dim = fc.integer({ min: 1, max: 4 });
const shapes = fc.array(dim, { minLength: 1, maxLength: 4 });
const runs = { numRuns: 40, seed: 7 };

describe("shape rules agree with the engine, with N unknown and known:", () => {
  test("broadcasting", () =>
    fc.assert(
      fc.asyncProperty(
        shapes,
        fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
        fc.integer({ min: 0, max: 3 }),
        async (shape, ones, drop) => {
          const a: Shape = [batch, ...shape.slice(1)];
          const b: Shape = shape
            .map((size, i) => (ones[i] === true ? 1 : i === 0 ? batch : size))
            .slice(Math.min(drop, shape.length));
          await expectEngineShape({ a, b }, ([x, y]) => y!.sub(x!));
        },
      ),
      runs,
    ));

  test("reductions", () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(dim, { minLength: 2, maxLength: 4 }),
        fc.nat(),
        fc.boolean(),
        async (shape, bits, keepDims) => {
          const axes = shape.map((_, axis) => axis).filter((axis) => axis > 0 && (bits >> axis) % 2 === 1);
          fc.pre(axes.length > 0);
          const named = axes.map((axis) => (bits % 2 === 0 ? axis : axis - shape.length));
          for (const reduce of ["sum", "mean", "max", "min"] as const) {
            await expectEngineShape({ x: [batch, ...shape.slice(1)] }, ([x]) => x![reduce](named, keepDims));
          }
        },
      ),
      { ...runs, numRuns: 10 },
    ));

  test("matmul", () =>
    fc.assert(
      fc.asyncProperty(
        shapes,
        fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
        dim,
        dim,
        dim,
        fc.nat(3),
        async (lead, ones, m, k, n, drop) => {
          const a: Shape = [batch, ...lead.slice(1, 3), m, k];
          const other: Shape = [batch, ...lead.slice(1, 3)].map((size, i) => (ones[i] === true ? 1 : size));
          const b: Shape = [...other.slice(Math.min(drop, other.length)), k, n];
          await expectEngineShape({ a, b }, ([x, y]) => x!.matmul(y!));
          await expectEngineShape({ a, b: [k] }, ([x, y]) => x!.matmul(y!));
          await expectEngineShape({ a: [batch, k], b: [k, n] }, ([x, y]) => x!.matmul(y!));
        },
      ),
      runs,
    ));

  test("transpose", () =>
    fc.assert(
      fc.asyncProperty(shapes, fc.nat(), async (shape, seed) => {
        const perm = shape
          .map((_, axis) => axis)
          .sort((a, b) => (((a + 1) * (seed % 89)) % 7) - (((b + 1) * (seed % 89)) % 7) || a - b);
        await expectEngineShape({ x: [batch, ...shape.slice(1)] }, ([x]) => x!.transpose(perm));
      }),
      runs,
    ));

  test("reshape, one size to be found and samples kept together", () =>
    fc.assert(
      fc.asyncProperty(shapes, dim, fc.nat(), async (rest, k, place) => {
        const from: Shape = [{ timesN: k }, ...rest];
        await expectEngineShape({ x: from }, ([x]) => x!.reshape([-1]));
        await expectEngineShape({ x: from }, ([x]) => x!.reshape([batch, -1]));
        await expectEngineShape({ x: from }, ([x]) => x!.reshape([1, -1, ...rest]));
        const hole = place % rest.length;
        await expectEngineShape({ x: from }, ([x]) =>
          x!.reshape([batch, k, ...rest.map((size, i) => (i === hole ? -1 : size))]),
        );
      }),
      { ...runs, numRuns: 15 },
    ));

  test("gather, slice, concat, unsqueeze and squeeze", () =>
    fc.assert(
      fc.asyncProperty(
        shapes,
        fc.array(dim, { maxLength: 2 }),
        fc.integer({ min: -6, max: 6 }),
        fc.integer({ min: -6, max: 6 }),
        fc.constantFrom(1, 2, -1, -3),
        async (rest, indexShape, start, end, step) => {
          const x: Shape = [batch, ...rest];
          const axis = rest.length;
          await expectEngineShape({ x }, ([t]) => {
            const count = indexShape.reduce((product, size) => product * size, 1);
            return t!.gather(t!.graph.constant(new BigInt64Array(count), indexShape, "int64"), axis);
          });
          await expectEngineShape({ x }, ([t]) => t!.slice(axis, start, end, step));
          await expectEngineShape({ x, y: [batch, ...rest.slice(0, -1), 2] }, ([t, u]) => t!.concat([u!, t!], -1));
          await expectEngineShape({ x }, ([t]) => t!.unsqueeze(axis).unsqueeze(0).squeeze(0));
        },
      ),
      { ...runs, numRuns: 15 },
    ));
});

describe("shape errors name the operator, where it is, and both shapes:", () => {
  const build = (make: (graph: Graph, input: (...shape: (number | typeof batch)[]) => Tensor) => unknown): string => {
    const graph = new Graph();
    let count = 0;
    try {
      graph.withScope("model", () =>
        graph.withScope("fc2", () =>
          make(graph, (...shape) => graph.input("column", `x${count++}`, { dtype: "float32", shape })),
        ),
      );
    } catch (error) {
      if (isTuttiError(error) && error.code === "SHAPE_MISMATCH") return error.message;
      throw error;
    }
    return "no error";
  };

  test("matmul", () => {
    expect(build((_, input) => input(32, 784).matmul(input(512, 10)))).toBe(
      "matmul at model.fc2: inner sizes differ: [32,784] x [512,10]",
    );
  });
  test("add", () => {
    expect(build((_, input) => input(batch, 3).add(input(2)))).toBe(
      "add at model.fc2: shapes do not broadcast: [N,3] and [2]",
    );
  });
  test("reshape to another size, and to a known number of samples", () => {
    expect(build((_, input) => input(2, 3).reshape([4, 2]))).toBe(
      "reshape at model.fc2: [2,3] to [4,2]: numbers of elements differ",
    );
    expect(build((_, input) => input(batch, 3).reshape([32, 3]))).toBe(
      "reshape at model.fc2: [N,3] to [32,3]: the number of samples is not known here; write -1 for the batch axis",
    );
    expect(build((_, input) => input(batch, 3).reshape([-1, -1]))).toMatch("at most one -1");
    expect(build((_, input) => input(batch, 3).reshape([batch, -1, 2]))).toMatch("-1 would not be a whole number");
  });
  test("different dtypes, and dtypes that nothing computes with", () => {
    expect(
      build((graph, input) => input(3).add(graph.input("column", "label", { dtype: "int64", shape: [3] }))),
    ).toMatch("add at model.fc2: dtypes differ: float32[3] and int64[3]; cast one");
    expect(build((graph) => graph.input("column", "image", { dtype: "uint8", shape: [3] }).div(255))).toMatch(
      'div at model.fc2: operand is uint8, expected float32 or float64 or int32 or int64; add .cast("float32")',
    );
  });
  test("a number that the operand's dtype lacks", () => {
    const label = (graph: Graph): Tensor => graph.input("column", "label", { dtype: "int64", shape: [3] });
    expect(build((graph) => label(graph).mul(0.5))).toMatch("0.5 is no int64; cast the tensor first");
  });
  test("an axis out of range", () => {
    expect(build((_, input) => input(2, 3).sum(2))).toBe(
      "sum at model.fc2: axis 2 of a tensor of rank 2: expected -2…1",
    );
  });
  test("gemm's addend, concat, squeeze and gatherElements that do not fit", () => {
    expect(build((_, input) => input(2, 3).gemm(input(3, 4), { addend: input(2, 2, 4) }))).toMatch(
      "the addend [2,2,4] does not broadcast to [2,4]",
    );
    expect(build((_, input) => input(2, 3).squeeze(0))).toMatch("axis 0 of [2,3] is not of size 1");
    expect(
      build((graph, input) =>
        input(2, 3).gatherElements(graph.input("column", "i", { dtype: "int64", shape: [3, 1] }), 1),
      ),
    ).toMatch("indices [3,1] do not fit [2,3] along axis 1");
  });
});
