import { readFileSync } from "node:fs";
import { Graph, gradients, isDType, operators, type TypedValues } from "@tutti/core/graph";
import { describe, test } from "vitest";
import { allcloseError, ParitySection } from "../parity-section.ts";
import { runGraph } from "./run-graph.ts";

const section = new ParitySection("Kinks and ties");

interface Recorded {
  readonly name: string;
  readonly op: string;
  readonly attributes: Readonly<Record<string, number | number[] | string>>;
  readonly inputs: readonly { shape: number[]; dtype: string; values: (number | string)[] }[];
  readonly dy: readonly (number | string)[];
  readonly gradients: readonly { input: number; values: (number | string)[] }[];
}

const recorded: readonly Recorded[] = JSON.parse(readFileSync(new URL("./ties.json", import.meta.url), "utf8"));

const tolerance = { rtol: 1e-6, atol: 1e-37 };

function typed(dtype: string, numbers: readonly number[]): TypedValues {
  if (dtype === "bool") return Uint8Array.from(numbers);
  return dtype === "int64" ? BigInt64Array.from(numbers, BigInt) : Float32Array.from(numbers);
}

describe("at kinks and ties, gradients are PyTorch 1.13's:", () => {
  for (const item of recorded) {
    test(item.name, async () => {
      const graph = new Graph();
      const feeds: Record<string, TypedValues> = {};
      const inputs = item.inputs.map(({ shape, dtype, values }, i) => {
        if (!isDType(dtype)) throw new Error(dtype);
        const numbers = values.map(Number);
        feeds[`x${i}`] = typed(dtype, numbers);
        return graph.input("parameter", `x${i}`, { dtype, shape });
      });
      const y = graph.apply(operators.get(item.op)!, inputs, item.attributes)[0]!;
      // The gradient that reaches y is 1·dy, so that infinities arrive as they are.
      const upstream = graph.constant(Float32Array.from(item.dy, Number), y.shape.map(Number), "float32");
      const wrt = item.gradients.map(({ input }) => inputs[input]!);
      const made = gradients(y.mul(upstream), wrt);
      const results = await runGraph(graph, Object.fromEntries(made.map((gradient, i) => [`d${i}`, gradient!])), feeds);
      for (const [i, { values }] of item.gradients.entries()) {
        const error = allcloseError(results[`d${i}`]!.values as Float32Array, values.map(Number), tolerance);
        section.compare(item.name, "gradients", error, tolerance.rtol);
      }
    });
  }
});

test("docs/parity.md lists what was compared here", () => section.expectListed());
