export { chooseEngine, type EngineChoice, engineName, engineNotice, engineVersion } from "./engine-choice.ts";
export { type EngineInfo, engineInfo } from "./engine-info.ts";
export type { Lanes, NodeResult, NodeTask, ShardInput } from "./lanes.ts";
export { type Canary, type CanaryProgram, numericClass } from "./numeric-class.ts";
export { inlineLane, type LanesOptions, openLanes } from "./open-lanes.ts";
export { type PackedTensors, packedCollects, packedColumns, packedRandoms } from "./packed-tensors.ts";
export { openPlainModel, type PlainModel, type PlainTensor } from "./plain-model.ts";
export { ColumnReader } from "./read-columns.ts";
