import { batch, Graph, gradients, type Shape, simplify, specialize, type Tensor } from "@tutti/core/graph";
import { describe, expect, test } from "vitest";
import { spread } from "./gradient-case.ts";
import { runGraph, toNumbers } from "./run-graph.ts";
import "./to-be-allclose.ts";

function column(graph: Graph, name: string, shape: Shape): Tensor {
  return graph.input("column", name, { dtype: "float32", shape });
}

describe("inside perShard, what mixes the samples of a shard has the engine's shape for every N:", () => {
  const mixing: Record<string, [(x: Tensor) => Tensor, Shape]> = {
    "mean over the samples": [(x) => x.mean(0), [4]],
    "sum of everything": [(x) => x.sum(), []],
    "softmax over the samples": [(x) => x.softmax(0), [batch, 4]],
    "running sums over the samples": [(x) => x.cumsum(0), [batch, 4]],
    "a product of samples by samples": [(x) => x.matmul(x.transpose()), [batch, batch]],
    "a covariance": [(x) => x.gemm(x, { transA: true }), [4, 4]],
    "einsum over the samples": [(x) => x.einsum("ni,nj->ij", [x]), [4, 4]],
    "samples side by side, transposed": [(x) => x.transpose().reshape([-1]), [{ timesN: 4 }]],
    "twice the samples": [(x) => x.concat([x], 0), [{ timesN: 2 }, 4]],
    "the first sample": [(x) => x.slice(0, 0, 1), [1, 4]],
    "the distance of all from all": [(x) => x.unsqueeze(1).sub(x.unsqueeze(0)).l2(2), [batch, batch]],
    "a maximum of each row of those": [(x) => x.matmul(x.transpose()).max(1), [batch]],
  };
  for (const [name, [build, shape]] of Object.entries(mixing)) {
    test(name, async () => {
      const graph = new Graph();
      const x = column(graph, "x", [batch, 4]);
      expect(() => build(x)).toThrow(expect.objectContaining({ code: "MIXES_SAMPLES" }));
      expect(graph.usesPerShard).toBe(false);
      const y = graph.withPerShard(() => build(x));
      expect(y.shape).toEqual(shape);
      expect(graph.usesPerShard).toBe(true);
      for (const samples of [1, 2, 5]) {
        const known = specialize(graph, samples);
        const out = known.map[y.id]!;
        const { dims } = (await runGraph(known.graph, { out }, { x: new Float32Array(samples * 4) })).out!;
        expect(out.shape).toEqual(dims);
      }
    });
  }
});

describe("perShard", () => {
  test("leaves no mark on what keeps samples apart, and ends with its function, also when that throws", () => {
    const graph = new Graph();
    const x = column(graph, "x", [batch, 4]);
    graph.withPerShard(() => x.mul(2).sum(1));
    expect(graph.usesPerShard).toBe(false);
    expect(() =>
      graph.withPerShard(() => {
        throw new Error("stop");
      }),
    ).toThrow("stop");
    expect(() => x.sum(0)).toThrow(expect.objectContaining({ code: "MIXES_SAMPLES" }));
  });

  test("survives simplification while N is unknown", () => {
    const graph = new Graph();
    const x = column(graph, "x", [batch, 4]);
    const centred = graph.withPerShard(() => x.sub(x.mean(0)));
    const small = simplify(graph, [centred]);
    expect(small.graph.usesPerShard).toBe(true);
    expect(small.map[centred.id]!.shape).toEqual([batch, 4]);
  });

  test("refuses what is neither a number nor k·N long, saying what it would be", () => {
    const graph = new Graph();
    const x = column(graph, "x", [batch, 4]);
    const pairs = graph.withPerShard(() => x.matmul(x.transpose()));
    expect(() => graph.withPerShard(() => pairs.reshape([-1]))).toThrow(
      expect.objectContaining({
        code: "MIXES_SAMPLES",
        message: expect.stringMatching(/inside perShard too, since the result is \[1018081\] for N = 1009/),
      }),
    );
    expect(() => graph.withPerShard(() => x.concat([column(graph, "y", [batch, 3])], 0))).toThrow(
      /inside perShard, with N = 1009: concat: shapes differ/,
    );
  });

  test("has the gradient of the samples together: a contrastive loss against central differences", async () => {
    const samples = 3;
    const values = spread(samples * 2);
    const loss = (x: readonly number[]): number => {
      let total = 0;
      for (let i = 0; i < samples; i++) {
        const row = Array.from({ length: samples }, (_, j) => x[2 * i]! * x[2 * j]! + x[2 * i + 1]! * x[2 * j + 1]!);
        total += Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - row[i]!;
      }
      return total;
    };
    const graph = new Graph();
    const x = column(graph, "x", [batch, 2]);
    const y = graph.withPerShard(() => x.matmul(x.transpose()).logSumExp(1)).sub(x.mul(x).sum(1));
    expect(y.shape).toEqual([batch]);
    const known = specialize(graph, samples);
    const [dx] = gradients(known.map[y.id]!, [known.map[x.id]!]);
    const results = await runGraph(known.graph, { dx: dx! }, { x: Float32Array.from(values) });
    const step = 2 ** -17;
    const expected = values.map(
      (value, i) => (loss(values.with(i, value + step)) - loss(values.with(i, value - step))) / (2 * step),
    );
    expect(toNumbers(results.dx!.values)).toBeAllclose(expected, { rtol: 1e-5, atol: 1e-5 });
  });
});
