import { blockConvolutions } from "../graph/block-convolutions.ts";
import { Graph, writeOnnx } from "../graph/index.ts";
import { blockChannels } from "../graph/ops/blocked-convolution.ts";
import { parseGraph } from "../graph/parse-graph.ts";
import type { Engine } from "./runtime.ts";

/** Version of ai.onnx of programs. */
const programOpset = 23;

/**
 * A program's graph with its convolutions over blocks of channels, of the size that this CPU's engine has; the same bytes where
 * there is no such convolution, or the engine has no blocks. A program keeps its own graph everywhere else: this one is for the
 * session that is opened next.
 *
 * @throws TuttiError GRAPH_INVALID for bytes that `writeOnnx` did not write.
 */
export async function blockedProgram(engine: Engine, onnx: Uint8Array): Promise<Uint8Array> {
  const block = await blockSize(engine);
  if (block === undefined) return onnx;
  const { graph, outputs } = parseGraph(onnx);
  const blocked = blockConvolutions(graph, Object.values(outputs), block);
  if (blocked === undefined) return onnx;
  return writeOnnx(blocked.graph, {
    name: "blocked",
    opset: programOpset,
    outputs: Object.fromEntries(Object.entries(outputs).map(([name, { id }]) => [name, blocked.map[id]!])),
  });
}

/** How many channels a block has, found by looking where an entry goes; undefined without such operators. */
export async function blockSize({ runtime, sessionOptions }: Engine): Promise<number | undefined> {
  const graph = new Graph();
  const shape = [1, 64, 1, 2];
  const x = graph.input("column", "x", { dtype: "float32", shape });
  const y = graph.apply(blockChannels, [x])[0]!;
  const onnx = writeOnnx(graph, { name: "blocks", opset: programOpset, outputs: { y } });
  try {
    const session = await runtime.InferenceSession.create(onnx, sessionOptions);
    try {
      const values = Float32Array.from({ length: 128 }, (_, i) => i);
      const results = await session.run({ x: new runtime.Tensor("float32", values, shape) });
      // The second place of the first channel follows all of a block's channels at the first place.
      const found = Array.from((results.y?.data ?? []) as Float32Array).indexOf(1);
      return found > 1 ? found : undefined;
    } finally {
      await session.release();
    }
  } catch {
    return undefined; // no kernels for this CPU or build
  }
}
