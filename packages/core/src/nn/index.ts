import { flatten, logSoftmax, relu, sigmoid, softmax, tanh } from "./activations.ts";
import { batchNorm1d, batchNorm2d } from "./batch-norm.ts";
import { dropout } from "./dropout.ts";
import { init } from "./init.ts";
import { linear } from "./linear.ts";
import { crossEntropy, mse } from "./losses.ts";
import { module } from "./module.ts";
import { perShard } from "./per-shard.ts";
import { sequential } from "./sequential.ts";

/** Modules and losses of a run file. */
export const nn = {
  linear,
  relu,
  sigmoid,
  tanh,
  softmax,
  logSoftmax,
  flatten,
  batchNorm1d,
  batchNorm2d,
  dropout,
  init,
  perShard,
  sequential,
  module,
  mse,
  crossEntropy,
} as const;

export type { BatchNormOptions } from "./batch-norm.ts";
export { fillInitial, type Init, type KaimingOptions } from "./init.ts";
export type { LinearOptions } from "./linear.ts";
export {
  type BufferSpec,
  isModule,
  type Module,
  type ModuleDefinition,
  type ModuleDescription,
  type ModuleOption,
  type ModuleSelf,
  type ParameterSpec,
} from "./module.ts";
export {
  describeModule,
  type Model,
  type ModuleTree,
  moduleTree,
  type NamedBuffer,
  type NamedParameter,
  type TraceRecord,
  traceContext,
} from "./module-tree.ts";
