import { type AdadeltaDefinition, checkAdadelta } from "./adadelta.ts";
import { type AdagradDefinition, checkAdagrad } from "./adagrad.ts";
import { type AdamDefinition, checkAdam } from "./adam.ts";
import { checkLion, type LionDefinition } from "./lion.ts";
import { checkNadam, type NadamDefinition } from "./nadam.ts";
import { refuse } from "./options.ts";
import { checkRmsprop, type RmspropDefinition } from "./rmsprop.ts";
import { checkSgd, type SgdDefinition } from "./sgd.ts";

export type OptimizerDefinition =
  | SgdDefinition
  | AdagradDefinition
  | RmspropDefinition
  | AdadeltaDefinition
  | AdamDefinition
  | NadamDefinition
  | LionDefinition;

const checks: {
  readonly [Kind in OptimizerDefinition["kind"]]: (where: string, found: object) => OptimizerDefinition;
} = {
  ...{ sgd: checkSgd, adagrad: checkAdagrad, rmsprop: checkRmsprop, adadelta: checkAdadelta },
  ...{ adam: checkAdam, nadam: checkNadam, lion: checkLion },
};

/** Checks a definition that may have been edited since it was made. Throws TuttiError BAD_OPTION. */
export function checkOptimizer(found: unknown): OptimizerDefinition {
  if (typeof found === "object" && found !== null && "kind" in found && isKind(found.kind)) {
    return checks[found.kind]("optimizer", found);
  }
  return refuse("optimizer", "made by optim.sgd, adagrad, rmsprop, adadelta, adam, adamW, nadam or lion", found);
}

function isKind(kind: unknown): kind is OptimizerDefinition["kind"] {
  return typeof kind === "string" && Object.hasOwn(checks, kind);
}
