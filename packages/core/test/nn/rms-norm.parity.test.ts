import { batch, Graph, gradients, specialize } from "@tutti/core/graph";
import { moduleTree, nn, traceContext } from "@tutti/core/nn";
import { expect, test } from "vitest";
import { runGraph } from "../graph/run-graph.ts";
import { normError, ParitySection } from "../parity-section.ts";

const section = new ParitySection("RMS normalisation");

const rows = 6;
const floats = (count: number, scale: number): number[] =>
  Array.from({ length: count }, (_, i) => Math.fround(scale * Math.sin(i * 1.7 + scale)));

test.each([
  [5, 1e-3],
  [16, 1e-6],
])("rmsNorm of %i values is x/√(mean x² + %d)·weight, with its derivatives", async (width, epsilon) => {
  const model = nn.rmsNorm(width, { epsilon });
  const traced = new Graph(traceContext(moduleTree(model), true).context);
  const result = model(traced.input("column", "x", { dtype: "float32", shape: [batch, 3, width] }));
  const { graph, map } = specialize(traced, 2);
  const y = map[result.id]!;
  const [x, weight, direction] = [floats(rows * width, 1), floats(width, 2), floats(rows * width, 0.5)];
  const towards = graph.constant(Float32Array.from(direction), [2, 3, width], "float32");
  const wrt = ["x", "weight"].map((name) => graph.tensor(graph.inputs.get(name)!));
  const [dx, dw] = gradients(y.mul(towards), wrt);
  const feeds = { x: Float32Array.from(x), weight: Float32Array.from(weight) };
  const found = await runGraph(graph, { y, dx: dx!, dw: dw! }, feeds);

  const expected = { y: [] as number[], dx: [] as number[], dw: weight.map(() => 0) };
  for (let row = 0; row < rows; row++) {
    const values = x.slice(row * width, (row + 1) * width);
    const upstream = direction.slice(row * width, (row + 1) * width);
    const root = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / width + epsilon);
    const projected = values.reduce((sum, value, i) => sum + value * upstream[i]! * weight[i]!, 0);
    for (const [i, value] of values.entries()) {
      expected.y.push((value / root) * weight[i]!);
      expected.dx.push((upstream[i]! * weight[i]!) / root - (value * projected) / (width * root ** 3));
      expected.dw[i]! += (upstream[i]! * value) / root;
    }
  }
  const name = `rmsNorm of ${width} values, epsilon ${epsilon}`;
  const floatsOf = (output: string) => found[output]!.values as Float32Array;
  expect(floatsOf("y")).toHaveLength(rows * width);
  section.compare(name, "result", normError(floatsOf("y"), expected.y), 1e-6);
  section.compare(name, "gradients", normError(floatsOf("dx"), expected.dx), 2e-6);
  section.compare(name, "gradients", normError(floatsOf("dw"), expected.dw), 2e-6);
});

test("docs/parity.md lists what was compared here", () => section.expectListed());
