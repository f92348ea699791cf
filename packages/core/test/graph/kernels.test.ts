import { isTuttiError } from "@tutti/core/errors";
import { type DType, Graph, operators, type Tensor } from "@tutti/core/graph";
import { describe, expect, test } from "vitest";
import { cases } from "./cases/index.ts";
import { openGraph } from "./run-graph.ts";

const dtypes: readonly DType[] = ["float32", "float64", "int32", "int64"];

describe("every dtype that a rule lets through has a kernel in the engine:", () => {
  for (const [key, op] of operators) {
    const list = cases[key];
    if (list === undefined || typeof list === "string") continue;
    test(key, async () => {
      let opened = 0;
      for (const dtype of dtypes) {
        const graph = new Graph();
        const inputs = list[0]!.inputs.map(
          (operand, i) =>
            operand && graph.input("column", `x${i}`, { dtype: operand.dtype ?? dtype, shape: operand.shape }),
        );
        let outputs: readonly Tensor[];
        try {
          outputs = graph.apply(op, inputs, list[0]!.attributes ?? {});
        } catch (error) {
          if (isTuttiError(error) && error.code === "SHAPE_MISMATCH") continue;
          throw error;
        }
        await openGraph(graph, Object.fromEntries(outputs.map((y, i) => [`y${i}`, y])));
        opened++;
      }
      expect(opened).toBeGreaterThan(0);
    });
  }
});
