import { load } from "./load.ts";

/** Models from files. */
export const onnx = { load } as const;

export type { ImportedModel, LoadOptions, ModelInput } from "./load.ts";
