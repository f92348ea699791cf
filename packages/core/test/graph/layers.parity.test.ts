import { readFileSync } from "node:fs";
import { elementCount, Graph, gradients, operators } from "@tutti/core/graph";
import { describe, expect, test } from "vitest";
import { normError, ParitySection } from "../parity-section.ts";
import { runGraph } from "./run-graph.ts";

const section = new ParitySection("Operators");

interface Recorded {
  readonly name: string;
  readonly op: string;
  readonly attributes: Readonly<Record<string, number | string | number[]>>;
  readonly inputs: readonly { readonly shape: readonly number[]; readonly kind: keyof typeof formulas }[];
  readonly y: { readonly shape: readonly number[]; readonly values: readonly number[] };
  readonly gradients: readonly (readonly number[])[];
}

/** Those of test/parity/layers.py. */
const formulas = {
  mixed: (i: number, k: number) => (((i * 37 + k * 11) % 41) - 20) / 8,
  positive: (i: number, k: number) => (((i * 37 + k * 11) % 41) + 4) / 8,
  tied: (i: number) => ((i * i * 7 + i) % 3) - 1,
  constant: () => 1,
} as const;

function make(shape: readonly number[], kind: keyof typeof formulas, k: number): Float32Array {
  return Float32Array.from({ length: elementCount(shape) }, (_, i) => formulas[kind](i, k));
}

const recorded: readonly Recorded[] = JSON.parse(readFileSync(new URL("./layers.json", import.meta.url), "utf8"));

describe("forward and backward are PyTorch 1.13's:", () => {
  for (const item of recorded) {
    test(item.name, async () => {
      const graph = new Graph();
      const inputs = item.inputs.map(({ shape }, k) => graph.input("parameter", `x${k}`, { dtype: "float32", shape }));
      const feeds = Object.fromEntries(item.inputs.map(({ shape, kind }, k) => [`x${k}`, make(shape, kind, k)]));
      const y = graph.apply(operators.get(item.op)!, inputs, item.attributes)[0]!;
      expect(y.shape).toEqual(item.y.shape);
      const dy = graph.constant(make(item.y.shape, "mixed", 5), item.y.shape, "float32");
      const made = gradients(y.mul(dy), inputs);
      const outputs = Object.fromEntries(made.map((gradient, k) => [`d${k}`, gradient!]));
      const results = await runGraph(graph, { y, ...outputs }, feeds);
      for (const [i, values] of [item.y.values, ...item.gradients].entries()) {
        const found = results[i === 0 ? "y" : `d${i - 1}`]!.values as Float32Array;
        section.compare(item.name, i === 0 ? "result" : "gradients", normError(found, values), 1e-6);
      }
    });
  }
});

test("a row of zeros stays zero under Lp normalisation and gets no gradient", async () => {
  for (const p of [1, 2]) {
    const graph = new Graph();
    const x = graph.input("parameter", "x", { dtype: "float32", shape: [2, 2] });
    const y = graph.apply(operators.get(":LpNormalization")!, [x], { p })[0]!;
    const [dx] = gradients(y.slice(1, 1), [x]);
    const results = await runGraph(graph, { y, dx: dx! }, { x: Float32Array.of(0, 0, 3, 4) });
    expect([...results.y!.values].slice(0, 2)).toEqual([0, 0]);
    expect([...results.dx!.values].slice(0, 2)).toEqual([0, 0]);
    expect([...results.dx!.values].slice(2).every((value) => value !== 0)).toBe(true);
  }
});

test("max pooling keeps -infinity, and passes no gradient but to one entry of each window", async () => {
  const graph = new Graph();
  const x = graph.input("parameter", "x", { dtype: "float32", shape: [1, 1, 4, 4] });
  for (const strides of [
    [2, 2],
    [1, 1],
  ]) {
    const y = x.maxPool([2, 2], { strides });
    const [dx] = gradients(y, [x]);
    const results = await runGraph(graph, { y, dx: dx! }, { x: new Float32Array(16).fill(Number.NEGATIVE_INFINITY) });
    const windows = elementCount(y.shape);
    expect([...results.y!.values]).toEqual(Array.from({ length: windows }, () => Number.NEGATIVE_INFINITY));
    expect([...results.dx!.values].reduce((sum: number, value) => sum + Number(value), 0)).toBe(windows);
  }
});

test("docs/parity.md lists what was compared here", () => section.expectListed());
