import { adagrad, rmsprop, sgd } from "./definition.ts";
import { schedule } from "./schedule.ts";

export { CompiledOptimizer, compileOptimizer, type OptimizerLayout } from "./compile.ts";
export type {
  AdagradDefinition,
  AdagradOptions,
  EpsilonPlacement,
  OptimizerDefinition,
  RmspropDefinition,
  RmspropOptions,
  SgdDefinition,
  SgdOptions,
} from "./definition.ts";
export type { Schedule, WarmupCosineOptions } from "./schedule.ts";
export type { GenerationAddresses, Slot, UpdateRange } from "./update.ts";

/** The optimizers a run file can name, as plain JSON data. */
export const optim = { sgd, adagrad, rmsprop, schedule };
