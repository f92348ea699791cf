import { type DType, Graph, isFloat, operators, readOnnx, writeOnnx } from "@tutti/core/graph";
import { describe, expect, test } from "vitest";
import { cases } from "./cases/index.ts";
import { spread } from "./gradient-case.ts";
import { openBytes } from "./run-graph.ts";
import "./to-be-allclose.ts";

/** 2e-6: a few roundings of float32. */
const tolerance = { rtol: 2e-6, atol: 2e-6 };

describe("an operator that came after opset 18 gives the same numbers put into older ones:", () => {
  for (const [key, op] of operators) {
    const list = cases[key];
    if (op.lower === undefined || list === undefined || typeof list === "string") continue;
    for (const item of list) {
      test(`${key}, ${item.name}`, async () => {
        const graph = new Graph();
        const feeds: Record<string, Float32Array> = {};
        const inputs = item.inputs.map((operand, i) => {
          if (operand === null) return null;
          const dtype: DType = operand.dtype ?? "float32";
          if (!isFloat(dtype)) throw new Error(`${key}: only float inputs are fed here`);
          const count = operand.shape.reduce((product, size) => product * size, 1);
          feeds[`x${i}`] = Float32Array.from(operand.values ?? spread(count, i * 0.71));
          return graph.input("column", `x${i}`, { dtype, shape: operand.shape });
        });
        const alone = { ...op, isComposed: false };
        const outputs = { y: graph.apply(alone, inputs, item.attributes ?? {})[0]! };
        const [old, own] = [18, 23].map((opset) => writeOnnx(graph, { outputs, opset, name: "test" }));
        expect(readOnnx(own!).nodes.map(({ type }) => type)).toContain(op.type);
        const types = readOnnx(old!).nodes.map(({ type }) => type);
        expect(types.every((type) => type !== op.type || (operators.get(`:${type}`)!.since ?? 0) <= 18)).toBe(true);
        const [before, after] = [
          await (await openBytes(own!, graph))(feeds),
          await (await openBytes(old!, graph))(feeds),
        ];
        expect(after.y!.dims).toEqual(before.y!.dims);
        expect(after.y!.values as Float32Array).toBeAllclose(before.y!.values as Float32Array, tolerance);
      });
    }
  }
});
