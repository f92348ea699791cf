import { Graph, resolveDim, type Shape, specialize, type Tensor, type TypedValues } from "@tutti/core/graph";
import { expect } from "vitest";
import { runGraph } from "./run-graph.ts";

const samples = 3;

function zeros(shape: readonly number[]): Float32Array<ArrayBuffer> {
  return new Float32Array(shape.reduce((product, size) => product * size, 1));
}

/** Traces with k·N axes, specialises, and asks the engine what shape it gets. */
export async function expectEngineShape(
  inputs: Readonly<Record<string, Shape>>,
  build: (tensors: readonly Tensor[]) => Tensor,
): Promise<void> {
  const traced = new Graph();
  const y = build(
    Object.entries(inputs).map(([name, shape]) => traced.input("column", name, { dtype: "float32", shape })),
  );
  const { graph, map } = specialize(traced, samples);
  const out = map[y.id]!;
  const feeds: Record<string, TypedValues> = {};
  for (const [name, shape] of Object.entries(inputs))
    feeds[name] = zeros(shape.map((size) => resolveDim(size, samples)));
  const { dims } = (await runGraph(graph, { out }, feeds)).out!;
  expect(out.shape).toEqual(dims);
  expect(y.shape.map((size) => resolveDim(size, samples))).toEqual(dims);
}
