import { TuttiError } from "../errors/index.ts";
import type { Kernels } from "../kernels/kernels.ts";
import { AdagradRule } from "./adagrad.ts";
import { checkOptimizer, type OptimizerDefinition } from "./definition.ts";
import { RmspropRule } from "./rmsprop.ts";
import { SgdRule } from "./sgd.ts";
import { checkRange, type Slot, type UpdateRange, type UpdateRule } from "./update.ts";

/** The flat float32 vector that holds all parameters; entries start on 16 floats, the gaps are zero and stay zero. */
export interface OptimizerLayout {
  /** A multiple of 16. */
  readonly totalFloats: number;
  readonly entries: readonly { readonly name: string; readonly offset: number; readonly length: number }[];
}

/** A stretch of the layout that one rule updates; segments are in order and cover the layout. */
interface Segment {
  readonly begin: number;
  readonly end: number;
  readonly rule: UpdateRule;
}

/** Checks the definition and fits it to the layout. Throws TuttiError BAD_OPTION for a bad definition. */
export function compileOptimizer(definition: OptimizerDefinition, layout: OptimizerLayout): CompiledOptimizer {
  return new CompiledOptimizer(checkOptimizer(definition), layout);
}

/**
 * An optimizer as a pure function (t, gradient) → t + 1 over the flat layout. It keeps no numbers: the state lies in the
 * caller's slots. Disjoint ranges may be updated in any order, with the same bits as in one call.
 */
export class CompiledOptimizer {
  /** The state vectors to keep beside the parameters, `totalFloats` float32 each; padding gets the initial value too. */
  readonly slots: readonly Slot[];
  /** Whether `update` needs `clipScale` of the whole gradient's norm, a barrier; otherwise clipScale is 1. */
  readonly needsGlobalNorm: boolean;
  readonly #clipNorm: number | null;
  readonly #totalFloats: number;
  readonly #first: UpdateRule;
  readonly #segments: readonly Segment[];

  constructor(definition: OptimizerDefinition, layout: OptimizerLayout) {
    if (!Number.isSafeInteger(layout.totalFloats) || layout.totalFloats < 0 || layout.totalFloats % 16 !== 0) {
      throw new TuttiError("INTERNAL", `A layout has a multiple of 16 floats, found ${layout.totalFloats}.`);
    }
    this.#totalFloats = layout.totalFloats;
    this.#first = ruleOf(definition);
    this.#segments = [{ begin: 0, end: layout.totalFloats, rule: this.#first }];
    this.slots = this.#first.slots;
    this.#clipNorm = definition.clipNorm;
    this.needsGlobalNorm = definition.clipNorm !== null;
  }

  /** The rate of update `step` (1, 2, …): a schedule or lrDecay in float64, rounded once to float32. */
  learningRate(step: number): number {
    return Math.fround(this.#first.rate(step));
  }

  /**
   * The factor that clips a gradient of this global norm (float64): min(1, clipNorm / (norm + 1e-6)), rounded once to
   * float32, as torch.nn.utils.clip_grad_norm_; 1 without `clipNorm`. The norm must be finite, otherwise TuttiError NON_FINITE.
   */
  clipScale(norm: number): number {
    if (this.#clipNorm === null) return 1;
    if (!Number.isFinite(norm)) {
      throw new TuttiError("NON_FINITE", `The gradient's norm must be finite to clip by it, found ${norm}.`);
    }
    return Math.fround(Math.min(1, this.#clipNorm / (norm + 1e-6)));
  }

  /**
   * Computes floats [begin, end) of generation t + 1 from t and the gradient's sum, in one pass. Allocates nothing.
   * Throws TuttiError INTERNAL for a range or address out of line.
   */
  update(kernels: Kernels, range: UpdateRange): void {
    checkRange(range, this.#totalFloats, this.slots.length);
    for (const segment of this.#segments) {
      const begin = Math.max(segment.begin, range.begin);
      const end = Math.min(segment.end, range.end);
      if (begin < end) segment.rule.update(kernels, range, begin, end);
    }
  }
}

function ruleOf(definition: OptimizerDefinition): UpdateRule {
  switch (definition.kind) {
    case "sgd":
      return new SgdRule(definition);
    case "adagrad":
      return new AdagradRule(definition);
    case "rmsprop":
      return new RmspropRule(definition);
  }
}
