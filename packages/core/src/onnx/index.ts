import { load } from "./load.ts";

/** Models from files. */
export const onnx = { load } as const;

export { checkExport, type ExportCheck, type ExportCheckOptions } from "./check-export.ts";
export type { ImportedModel, LoadOptions, ModelInput } from "./load.ts";
