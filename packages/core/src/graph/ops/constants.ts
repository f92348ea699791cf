import type { Tensor } from "../tensor.ts";

/** The number a rank-0 (or one-element) floating or integer constant holds; undefined for everything else. */
export function constantScalar(tensor: Tensor): number | undefined {
  const { source } = tensor.graph.value(tensor.id);
  if (source.kind !== "constant" || source.values.length !== 1) return undefined;
  return Number(source.values[0]);
}
