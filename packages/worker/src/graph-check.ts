// Loaded beside the engine, by itself: importing all of @tutti/core/graph would bring what builds graphs.
import { checkGraph, type GraphLimits } from "@tutti/core/graph";

/** Throws GRAPH_INVALID. */
export type GraphCheck = (onnx: Uint8Array, limits: GraphLimits) => void;

export const graphCheck: GraphCheck = checkGraph;
