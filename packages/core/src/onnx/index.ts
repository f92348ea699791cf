import { load } from "./load.ts";

/**
 * Models from files.
 *
 * @namespace
 */
export const onnx = { load } as const;

export { checkExport, type ExportCheck, type ExportCheckOptions } from "./check-export.ts";
export type { ImportedModel, LoadOptions, ModelInput } from "./load.ts";
