import { elementCount, Graph, gradients, simplify, type Tensor } from "@tutti/core/graph";
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

  test("keeps every bit of a transformer block and its gradients, and repeats nothing that can be broadcast", async () => {
    const graph = new Graph();
    const input = (name: string, ...shape: number[]): Tensor =>
      graph.input("parameter", name, { dtype: "float32", shape });
    const [x, wq, wk, wv] = [input("x", 2, 6, 8), input("wq", 8, 8), input("wk", 8, 8), input("wv", 8, 8)];
    const [scale, shift, head] = [input("scale", 8), input("shift", 8), input("head", 5, 8)];
    const heads = (tensor: Tensor): Tensor => tensor.reshape([2, 6, 2, 4]).transpose([0, 2, 1, 3]);
    const [q, k, v] = [heads(x.matmul(wq)), heads(x.matmul(wk)), heads(x.matmul(wv))];
    const weights = q
      .matmul(k.transpose([0, 1, 3, 2]))
      .mul(0.5)
      .softmax();
    const mixed = weights.matmul(v).transpose([0, 2, 1, 3]).reshape([2, 6, 8]).add(x);
    const centred = mixed.sub(mixed.mean(-1, true));
    const normal = centred.div(centred.mul(centred).mean(-1, true).add(1e-5).sqrt()).mul(scale).add(shift);
    const loss = normal.gelu().matmul(head.transpose()).logSoftmax().slice(2, 0, 1).mean([1, 2]).neg();
    const made = gradients(loss.mul(1), [wq, wk, wv, scale, shift, head]).map((gradient) => gradient!);
    const small = simplify(graph, [loss, ...made]);
    const repeated = small.graph.nodes.filter(({ op }) => op.type === "Expand");
    const users = small.graph.nodes.filter(({ inputs }) =>
      repeated.some(({ outputs }) => inputs.includes(outputs[0]!)),
    );
    expect(users.filter(({ op }) => ["Mul", "Div", "Sub", "Add", "Neg"].includes(op.type))).toEqual([]);
    expect(small.graph.nodes.length).toBeLessThan(graph.nodes.length - 10);

    const feeds = Object.fromEntries(
      [...graph.inputs].map(([name, id], i) => [
        name,
        Float32Array.from(spread(elementCount(graph.value(id).type.shape), i)),
      ]),
    );
    const name = (of: readonly Tensor[]): Record<string, Tensor> =>
      Object.fromEntries(of.map((tensor, i) => [`y${i}`, tensor]));
    const before = await (await openGraph(graph, name([loss, ...made]), "disabled"))(feeds);
    const after = await (
      await openGraph(small.graph, name([loss, ...made].map((tensor) => small.map[tensor.id]!)), "disabled")
    )(feeds);
    expect(after).toEqual(before);
  });

  test("leaves out neutral numbers only where every bit stays, and computes with constants", async () => {
    const graph = new Graph();
    const x = graph.input("column", "x", { dtype: "float32", shape: [5] });
    const one = graph.scalar(1, "float32");
    const row = graph.scalar(1, "float32").expand([5]);
    const gone = [x.mul(1), one.mul(x), x.div(1), x.sub(0), x.mul(row), x.div(row.neg().neg())];
    const kept = [
      x.add(0),
      x.sub(-0),
      x.mul(-1),
      x.div(2),
      x.mul(graph.constant(Float32Array.of(1), [1, 1], "float32")),
    ];
    const third = one.div(3).mul(0.1).sub(one).expand([5]);
    const outputs = [...gone, ...kept, x.mul(third)];
    const small = simplify(graph, outputs);
    expect(gone.map((tensor) => small.map[tensor.id]!.id)).toEqual(gone.map(() => small.graph.inputs.get("x")));
    expect(types(small.graph)).toEqual(["Add", "Sub", "Mul", "Div", "Mul", "Mul"]);
    const feeds = { x: Float32Array.of(-0, Number.NaN, Number.NEGATIVE_INFINITY, 1e-40, 3) };
    const name = (of: readonly Tensor[]): Record<string, Tensor> =>
      Object.fromEntries(of.map((tensor, i) => [`y${i}`, tensor]));
    const before = await (await openGraph(graph, name(outputs), "disabled"))(feeds);
    const found = name(outputs.map((tensor) => small.map[tensor.id]!));
    for (const tensor of gone) found[`y${gone.indexOf(tensor)}`] = small.graph.tensor(small.graph.inputs.get("x")!);
    const after = await (await openGraph(small.graph, found, "disabled"))(feeds);
    expect(after).toEqual(before);
  });

  test("does not broadcast where the engine then takes another way: an exponent stays repeated", () => {
    const graph = new Graph();
    const x = graph.input("column", "x", { dtype: "float32", shape: [3] });
    const small = simplify(graph, [x.pow(graph.scalar(2, "float32").expand([3]))]);
    expect(types(small.graph)).toEqual(["Expand", "Pow"]);
  });

  test("masks what a ReLU before max pooling lets through while it is small, with every bit the same", async () => {
    const graph = new Graph();
    const x = graph.input("parameter", "x", { dtype: "float32", shape: [2, 3, 6, 4] });
    const w = graph.input("parameter", "w", { dtype: "float32", shape: [2, 3, 3, 2] });
    const [gradient] = gradients(x.relu().maxPool([2, 2]).mul(w).sum(), [x]);
    const small = simplify(graph, [gradient!]);
    const shapes = small.graph.nodes
      .filter(({ op }) => op.type === "Where")
      .map(({ outputs }) => small.graph.tensor(outputs[0]!).shape);
    expect(shapes).toEqual([[2, 3, 3, 2]]);
    // Windows of ties, of negative numbers and of zeros among them.
    const values = Float32Array.from({ length: 144 }, (_, i) => ((i * 7) % 5) - 2);
    const feeds = { x: values, w: Float32Array.from(spread(36, 1)) };
    const before = await (await openGraph(graph, { y: gradient! }))(feeds);
    const after = await (await openGraph(small.graph, { y: small.map[gradient!.id]! }))(feeds);
    expect(after).toEqual(before);
    expect(new Set(Object.values(after).flatMap(({ values }) => [...values])).size).toBeGreaterThan(10);
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
