export { type CompiledCollect, finishCollected } from "./collected.ts";
export { checkColumns } from "./column-ranges.ts";
export {
  type CompiledMetric,
  type CompiledMode,
  type CompiledRun,
  type CompileOptions,
  compileRun,
  type ProgramKey,
  programKey,
  type RunDatasets,
} from "./compile.ts";
export {
  defineRun,
  isRunDefinition,
  type RunDefinition,
  type RunOptions,
  type StepColumns,
  type StepContext,
  type StepResult,
} from "./definition.ts";
export { exportOnnx } from "./inference.ts";
export { suggestion } from "./nearest.ts";
export { applyOverrides } from "./overrides.ts";
export { parameterViews } from "./parameters.ts";
export type { BestOptions, PlainDefinition, SamplingOptions } from "./plain.ts";
export { canonicalJson, differences, digestOf } from "./record.ts";
export { defaultShards } from "./work.ts";
