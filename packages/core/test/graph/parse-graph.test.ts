import { Graph, operators, type Tensor, writeOnnx } from "@tutti/core/graph";
import { describe, expect, test } from "vitest";
import { parseGraph } from "../../src/graph/parse-graph.ts";
import { cases } from "./cases/index.ts";

const write = (graph: Graph, outputs: Readonly<Record<string, Tensor>>): Uint8Array =>
  writeOnnx(graph, { outputs, opset: 24, name: "test" });

describe("what was written is written again from what was read, byte for byte:", () => {
  for (const [key, op] of operators) {
    const list = cases[key];
    if (list === undefined || typeof list === "string") continue;
    test(key, () => {
      for (const { inputs, attributes = {} } of list) {
        const graph = new Graph();
        const operands = inputs.map(
          (operand, i) =>
            operand && graph.input("column", `x${i}`, { dtype: operand.dtype ?? "float32", shape: operand.shape }),
        );
        const made = graph.withScope("model.fc1", () =>
          graph.apply({ ...op, isComposed: false }, operands, attributes),
        );
        const bytes = write(graph, Object.fromEntries(made.map((tensor, i) => [`y${i}`, tensor])));
        const parsed = parseGraph(bytes);
        // Composed operators are written apart by whoever writes them.
        if (op.isComposed !== true) expect(Buffer.compare(write(parsed.graph, parsed.outputs), bytes)).toBe(0);
        expect(Object.values(parsed.outputs).map(({ shape }) => shape)).toEqual(made.map(({ shape }) => shape));
      }
    });
  }
});

test("a constant that is computed with is read as it was", () => {
  const graph = new Graph();
  const x = graph.input("column", "x", { dtype: "float32", shape: [2, 3] });
  const bytes = write(graph, { y: x.mul(graph.constant(Float32Array.of(1, -0, 3), [3], "float32")) });
  const { graph: read } = parseGraph(bytes);
  const constants = read.values.flatMap(({ source }) => (source.kind === "constant" ? [source.values] : []));
  expect(constants).toEqual([Float32Array.of(1, -0, 3)]);
});

test("a graph with a free size is refused", () => {
  const graph = new Graph();
  const x = graph.input("column", "x", { dtype: "float32", shape: [{ timesN: 1 }, 3] });
  expect(() => parseGraph(write(graph, { y: x.relu() }))).toThrow(
    expect.objectContaining({ code: "GRAPH_INVALID", message: 'the graph of a program: input "x" has a free size' }),
  );
});
