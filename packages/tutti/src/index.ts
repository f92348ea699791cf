export { augment, data } from "@tutti/core/data";
export { type ErrorCode, TuttiError } from "@tutti/core/errors";
export type * from "@tutti/core/events";
export { customGradient } from "@tutti/core/graph";
export { metrics } from "@tutti/core/metrics";
export { nn } from "@tutti/core/nn";
export { type ImportedModel, onnx } from "@tutti/core/onnx";
export { optim } from "@tutti/core/optim";
export { applyOverrides, defineRun, type RunDefinition, type StepContext, type StepResult } from "@tutti/core/run";
export { weights } from "@tutti/core/weights";
export type { Observer } from "./observers.ts";
export type { PredictColumns } from "./predict/columns.ts";
export {
  type OpenOptions,
  openModel,
  type Predictions,
  type PredictOptions,
  type Predictor,
  predict,
} from "./predict/predict.ts";
export type { RemoteHosts } from "./remote-workers.ts";
export { tensorboard } from "./tensorboard/tensorboard.ts";
export { type TrainOptions, train } from "./train.ts";
export type { TrainingHandle, TrainResult } from "./training-handle.ts";
