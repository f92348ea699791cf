// Loaded beside the engine, by itself: importing all of @tutti/core/graph would bring what builds graphs.
import { checkGraph, compileMessages, type GraphLimits } from "@tutti/core/graph";

/** Throws GRAPH_INVALID. */
export type GraphCheck = (onnx: Uint8Array, limits: GraphLimits) => void;

/** A check whose code is ready: a coordinator that sends the first graph does not wait for it. */
export function readyGraphCheck(): GraphCheck {
  compileMessages();
  return checkGraph;
}
