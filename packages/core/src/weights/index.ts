import { load } from "./weights.ts";

/**
 * Weights from files.
 *
 * @namespace
 */
export const weights = { load } as const;

export {
  digestOfWeights,
  encodeWeights,
  type InitialWeights,
  type NamedShape,
  type NamedWeights,
  type WeightsOptions,
} from "./weights.ts";
