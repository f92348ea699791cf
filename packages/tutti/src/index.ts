export { data } from "@tutti/core/data";
export { TuttiError, type ErrorCode } from "@tutti/core/errors";
export type * from "@tutti/core/events";
export { metrics } from "@tutti/core/metrics";
export { nn } from "@tutti/core/nn";
export { optim } from "@tutti/core/optim";
export { applyOverrides, defineRun, type RunDefinition, type StepContext, type StepResult } from "@tutti/core/run";
export { type TrainOptions, type TrainResult, type TrainingHandle, train } from "./train.ts";
