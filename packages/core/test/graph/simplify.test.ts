import { Graph, gradients, simplify, type Tensor } from "@tutti/core/graph";
import { describe, expect, test } from "vitest";
import { spread } from "./gradient-case.ts";
import { openGraph } from "./run-graph.ts";

function types(graph: Graph): string[] {
  return graph.nodes.map((node) => node.op.type);
}

describe("simplify", () => {
  test("keeps every bit of loss and gradients of a two-layer network, with fewer nodes", async () => {
    const graph = new Graph();
    const input = (name: string, ...shape: number[]): Tensor =>
      graph.input("parameter", name, { dtype: "float32", shape });
    const [x, w1, b1, w2] = [input("x", 7, 5), input("w1", 5, 9), input("b1", 9), input("w2", 9, 3)];
    const hidden = x.matmul(w1).add(b1);
    const gated = (): Tensor => hidden.relu().add(hidden.sigmoid().mul(hidden.tanh()));
    const logits = gated()
      .add(gated().reshape([63]).reshape([7, 9]))
      .matmul(w2);
    const loss = logits.logSoftmax().mul(logits.softmax()).sum().neg();
    const made = gradients(loss, [w1, b1, w2]).map((gradient) => gradient!);
    const small = simplify(graph, [loss, ...made]);
    expect(small.graph.nodes.length).toBeLessThan(graph.nodes.length);

    const feeds = { x: spread(35), w1: spread(45, 1), b1: spread(9, 2), w2: spread(27, 3) };
    const typed = Object.fromEntries(Object.entries(feeds).map(([name, values]) => [name, Float32Array.from(values)]));
    const name = (of: readonly Tensor[]): Record<string, Tensor> =>
      Object.fromEntries(of.map((tensor, i) => [`y${i}`, tensor]));
    for (const level of ["disabled", "all"] as const) {
      const before = await (await openGraph(graph, name([loss, ...made]), level))(typed);
      const after = await (
        await openGraph(small.graph, name([loss, ...made].map((tensor) => small.map[tensor.id]!)), level)
      )(typed);
      expect(after).toEqual(before);
    }
  });

  test("drops what no output needs, inputs too", () => {
    const graph = new Graph();
    const [x, y] = ["x", "y"].map((name) => graph.input("column", name, { dtype: "float32", shape: [2] })) as [
      Tensor,
      Tensor,
    ];
    const kept = x.exp();
    y.log();
    const small = simplify(graph, [kept]);
    expect(types(small.graph)).toEqual(["Exp"]);
    expect([...small.graph.inputs.keys()]).toEqual(["x"]);
    expect(small.map[y.id]).toBeUndefined();
  });

  test("makes equal nodes and equal constants one, but not those of other attributes, dtypes or zeros of other sign", () => {
    const graph = new Graph();
    const x = graph.input("column", "x", { dtype: "float32", shape: [2, 2] });
    const a = x.mul(2).add(x.mul(2));
    const b = x.sum(0).add(x.sum(1));
    const c = x.mul(0).add(x.mul(-0));
    const small = simplify(graph, [a, b, c]);
    expect(types(small.graph)).toEqual(["Mul", "Add", "ReduceSum", "ReduceSum", "Add", "Mul", "Mul", "Add"]);
  });

  test("does not join an operator with another one that is written alike but has another gradient", () => {
    const graph = new Graph();
    const x = graph.input("column", "x", { dtype: "float32", shape: [2] });
    const small = simplify(graph, [x.stopGradient().exp(), x.exp()]);
    expect(types(small.graph)).toEqual(["Identity", "Exp", "Exp"]);
  });

  test("removes reshapes and transposes that undo each other, and joins the rest", () => {
    const graph = new Graph();
    const x = graph.input("column", "x", { dtype: "float32", shape: [2, 3, 4] });
    const same = x.reshape([6, 4]).reshape([2, 3, 4]).exp();
    const back = x.transpose([1, 2, 0]).transpose([2, 0, 1]).log();
    const joined = x.transpose([1, 0, 2]).transpose([2, 0, 1]).reshape([4, 6]).reshape([24]);
    const small = simplify(graph, [same, back, joined]);
    expect(types(small.graph)).toEqual(["Exp", "Log", "Transpose", "Reshape"]);
    expect(small.graph.nodes[2]!.attributes).toEqual({ perm: [2, 1, 0] });
    expect(small.map[same.id]!.shape).toEqual([2, 3, 4]);
  });
});
