import { elementCount, type Graph, type Node } from "../graph/index.ts";

/**
 * Floating-point operations of a graph's contractions (2 for each multiplication with addition); what is elementwise
 * counts nothing. Sizes must be known.
 */
export function flopsOf(graph: Graph): number {
  return graph.nodes.reduce((sum, node) => sum + flopsOfNode(graph, node), 0);
}

function flopsOfNode(graph: Graph, node: Node): number {
  const [first, second] = node.inputs;
  if (typeof first !== "number" || typeof second !== "number") return 0;
  const shape = graph.value(first).type.shape;
  const results = () => elementCount(graph.value(node.outputs[0]!).type.shape);
  switch (node.op.type) {
    case "Gemm":
    case "MatMul":
    case "FusedMatMul":
    case "FusedGemm":
      return 2 * results() * Number(shape.at(node.attributes.transA === 1 ? -2 : -1));
    case "Conv": {
      const [outChannels] = graph.value(second).type.shape;
      return (2 * results() * elementCount(graph.value(second).type.shape)) / Number(outChannels);
    }
    default:
      return 0;
  }
}

const mostShards = 8;
const leastSamples = 8;
const leastFlops = 20e6;

/**
 * V where the run names none: the largest power of two up to 8 that leaves at least 8 samples and 20 MFLOP (forward and
 * backward) to a shard, at least 1. At 50 to 100 GFLOP/s that is 0.2 to 0.4 ms, what a message costs. Depends on the model
 * and the batch only, never on who is there.
 *
 * @param flopsPerSample forward and backward.
 */
export function defaultShards(batchSize: number, flopsPerSample: number): number {
  let shards = 1;
  while (shards < mostShards) {
    const samples = Math.floor(batchSize / (2 * shards));
    if (samples < leastSamples || samples * flopsPerSample < leastFlops) break;
    shards *= 2;
  }
  return shards;
}
