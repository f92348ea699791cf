import { flatten, logSoftmax, relu, sigmoid, softmax, tanh } from "./activations.ts";
import { linear } from "./linear.ts";
import { crossEntropy, mse } from "./losses.ts";
import { module } from "./module.ts";
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
  sequential,
  module,
  mse,
  crossEntropy,
} as const;

export { fillInitial, type Init } from "./init.ts";
export type { LinearOptions } from "./linear.ts";
export {
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
  type NamedParameter,
  traceContext,
} from "./module-tree.ts";
