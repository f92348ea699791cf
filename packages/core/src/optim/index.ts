import { adadelta } from "./adadelta.ts";
import { adagrad } from "./adagrad.ts";
import { adam, adamW } from "./adam.ts";
import { lion } from "./lion.ts";
import { nadam } from "./nadam.ts";
import { reduceOnPlateau } from "./plateau.ts";
import { rmsprop } from "./rmsprop.ts";
import { schedule } from "./schedule.ts";
import { sgd } from "./sgd.ts";

export type { AdadeltaDefinition, AdadeltaOptions } from "./adadelta.ts";
export type { AdagradDefinition, AdagradOptions } from "./adagrad.ts";
export type { AdamDefinition, AdamOptions } from "./adam.ts";
export type { ParameterGroup, RuleOptions, SharedOptions } from "./common-options.ts";
export { CompiledOptimizer, compileOptimizer } from "./compile.ts";
export { checkOptimizer, type OptimizerDefinition } from "./definition.ts";
export {
  checkEarlyStopping,
  type EarlyStopping,
  type EarlyStoppingState,
  earlyStopping,
  initialEarlyStopping,
  nextEarlyStopping,
} from "./early-stopping.ts";
export type { EpsilonPlacement } from "./epsilon.ts";
export type { LionDefinition, LionOptions } from "./lion.ts";
export type { NadamDefinition, NadamOptions } from "./nadam.ts";
export { initialPlateau, nextPlateau, type PlateauState, type ReduceOnPlateau } from "./plateau.ts";
export type { RmspropDefinition, RmspropOptions } from "./rmsprop.ts";
export type { WarmupCosineOptions } from "./schedule.ts";
export type { Schedule } from "./schedule-data.ts";
export type { OptimizerLayout } from "./segments.ts";
export type { SgdDefinition, SgdOptions } from "./sgd.ts";
export type { GenerationAddresses, Slot, UpdateRange } from "./update.ts";
export type { WeightAverage } from "./weight-average.ts";

/**
 * The optimizers a run file can name, as plain JSON data.
 *
 * @namespace
 */
export const optim = {
  sgd,
  adagrad,
  rmsprop,
  adadelta,
  adam,
  adamW,
  nadam,
  lion,
  /**
   * Learning rates that change from step to step: plain JSON data, computed by portable functions.
   *
   * @namespace
   */
  schedule,
  reduceOnPlateau,
};
