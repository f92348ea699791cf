import { customGradient, Graph, gradients, type Op, operators, type Tensor } from "@tutti/core/graph";
import { describe, expect, test } from "vitest";
import { runGraph, toNumbers } from "./run-graph.ts";
import "./to-be-allclose.ts";

function parameter(graph: Graph, name: string, ...shape: number[]): Tensor {
  return graph.input("parameter", name, { dtype: "float32", shape });
}

describe("gradients", () => {
  test("add up over all uses of a value", async () => {
    const graph = new Graph();
    const x = parameter(graph, "x", 3);
    const loss = x.mul(x).add(x.mul(3)).sub(x).sum(); // x² + 2x
    const [dx] = gradients(loss, [x]);
    const results = await runGraph(graph, { dx: dx! }, { x: Float32Array.of(1, -2, 5) });
    expect(toNumbers(results.dx!.values)).toEqual([4, -2, 12]);
  });

  test("are of the sum of a loss that is not a scalar", async () => {
    const graph = new Graph();
    const x = parameter(graph, "x", 2, 2);
    const [dx] = gradients(x.mul(x).mean(1), [x]);
    const results = await runGraph(graph, { dx: dx! }, { x: Float32Array.of(1, 2, 3, 4) });
    expect(toNumbers(results.dx!.values)).toEqual([1, 2, 3, 4]);
  });

  test("are null where the loss does not depend on a tensor, or only through integers, comparisons or stopGradient", () => {
    const graph = new Graph();
    const [x, y, z, w, u] = ["x", "y", "z", "w", "u"].map((name) => parameter(graph, name, 3)) as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
    ];
    const loss = x.mul(z.stopGradient()).add(w.greater(0).cast("float32")).add(u.cast("int64").cast("float32")).sum();
    const made = gradients(loss, [x, y, z, w, u]);
    expect(made.map((gradient) => gradient !== null)).toEqual([true, false, false, false, false]);
  });

  test("pass stopGradient's value on unchanged", async () => {
    const graph = new Graph();
    const x = parameter(graph, "x", 2);
    const [dx] = gradients(x.mul(x.stopGradient()).sum(), [x]);
    const results = await runGraph(graph, { dx: dx! }, { x: Float32Array.of(3, -4) });
    expect(toNumbers(results.dx!.values)).toEqual([3, -4]);
  });

  test("are a custom gradient's own, which nothing of the value's operators reaches", async () => {
    const graph = new Graph();
    const [x, w] = [parameter(graph, "x", 3), parameter(graph, "w", 3)];
    const opaque: Op = { ...operators.get(":Exp")!, type: "Exp", gradient: "none" };
    const value = graph.apply(opaque, [x.mul(w)])[0]!;
    const y = customGradient(x, value, (dy) => dy.mul(10));
    const [dx, dw] = gradients(y.mul(y).sum(), [x, w]);
    expect(dw).toBeNull();
    const fed = { x: Float32Array.of(0, 1, -2), w: Float32Array.of(1, 0, 0.5) };
    const results = await runGraph(graph, { y, dx: dx! }, fed);
    const expected = [0, 0, -1].map(Math.exp);
    expect(toNumbers(results.y!.values)).toBeAllclose(expected, { rtol: 1e-6, atol: 0 });
    expect(toNumbers(results.dx!.values)).toBeAllclose(
      expected.map((value) => 20 * value),
      { rtol: 1e-6, atol: 0 },
    );
    expect(() => customGradient(x, value.sum(), (dy) => dy)).toThrow("expected float32[3] as of x");
  });

  test("refuse an operator without a rule on the path to the loss, naming it and what to do", () => {
    const graph = new Graph();
    const x = parameter(graph, "x", 2);
    const opaque: Op = { ...operators.get(":Exp")!, type: "Opaque", label: "opaque", gradient: "none" };
    const y = graph.withScope("model.head", () => graph.apply(opaque, [x])[0]!);
    expect(() => gradients(y.sum(), [x])).toThrow(
      expect.objectContaining({
        code: "NO_GRADIENT",
        message: expect.stringMatching(/^Opaque at model\.head has no gradient rule .*stopGradient/),
      }),
    );
    expect(gradients(y.sum(), [parameter(graph, "other", 2)])).toEqual([null]);
  });

  test("of an operator of one's own follow its rule (custom gradients)", async () => {
    const graph = new Graph();
    const x = parameter(graph, "x", 2);
    const reversal: Op = { ...operators.get(":Identity")!, gradient: ({ dy }) => [dy[0]!.mul(-2)] };
    const [dx] = gradients(graph.apply(reversal, [x])[0]!.sum(), [x]);
    const results = await runGraph(graph, { dx: dx! }, { x: Float32Array.of(1, 1) });
    expect(toNumbers(results.dx!.values)).toEqual([-2, -2]);
  });

  test("of a weight behind a batch of matrices are one Gemm, without transposes and sums", () => {
    const graph = new Graph();
    const x = parameter(graph, "x", 8, 5, 4);
    const w = parameter(graph, "w", 4, 3);
    const y = x.matmul(w);
    const before = graph.nodes.length;
    gradients(y, [w]);
    const types = graph.nodes.slice(before).map((node) => node.op.type);
    expect(types.filter((type) => type === "Gemm")).toHaveLength(1);
    expect(types.filter((type) => !["Gemm", "Reshape", "Expand"].includes(type))).toEqual([]);
  });

  test("carry the scope of the node they belong to", () => {
    const graph = new Graph();
    const x = parameter(graph, "x", 2);
    const y = graph.withScope("model.act", () => x.tanh());
    const before = graph.nodes.length;
    gradients(y, [x]);
    expect(graph.nodes.slice(before).some((node) => node.op.type === "Mul" && node.scope === "model.act")).toBe(true);
  });
});

describe("oneHot and gather", () => {
  test("oneHot gives zeros for labels outside [0, depth), also negative ones", async () => {
    const graph = new Graph();
    const label = graph.input("column", "label", { dtype: "int64", shape: [5] });
    const results = await runGraph(
      graph,
      { hot: label.oneHot(3) },
      { label: BigInt64Array.of(0n, 2n, 3n, -1n, -100n) },
    );
    expect(toNumbers(results.hot!.values)).toEqual([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  });

  test("an embedding's gradient adds up the rows of repeated and negative indices", async () => {
    const graph = new Graph();
    const table = parameter(graph, "table", 3, 2);
    const index = graph.constant(BigInt64Array.of(1n, -1n, 1n, 2n), [4], "int64");
    const [gradient] = gradients(
      table.gather(index).mul(graph.constant(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), [4, 2], "float32")),
      [table],
    );
    const results = await runGraph(graph, { gradient: gradient! }, { table: new Float32Array(6) });
    expect(toNumbers(results.gradient!.values)).toEqual([0, 0, 1 + 5, 2 + 6, 3 + 7, 4 + 8]);
  });
});
