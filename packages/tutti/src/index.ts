export { data } from "@tutti/core/data";
export { type ErrorCode, TuttiError } from "@tutti/core/errors";
export type * from "@tutti/core/events";
export { metrics } from "@tutti/core/metrics";
export { nn } from "@tutti/core/nn";
export { optim } from "@tutti/core/optim";
export { applyOverrides, defineRun, type RunDefinition, type StepContext, type StepResult } from "@tutti/core/run";
export { type TrainingHandle, type TrainOptions, type TrainResult, train } from "./train.ts";
