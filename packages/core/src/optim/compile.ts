import { TuttiError } from "../errors/index.ts";
import type { Kernels } from "../kernels/kernels.ts";
import { checkOptimizer, type OptimizerDefinition } from "./definition.ts";
import type { PlateauState, ReduceOnPlateau } from "./plateau.ts";
import { type LimitedRows, type OptimizerLayout, ruleOf, type Segment, segmentsOf } from "./segments.ts";
import { checkRange, type Slot, type UpdateRange, type UpdateRule } from "./update.ts";
import { averageDecay, type WeightAverage } from "./weight-average.ts";

/** Passes that follow each other over the same floats go block by block, so that the next finds them in the cache. */
const blockFloats = 8192;

/** Checks the definition and fits it to the layout. Throws TuttiError BAD_OPTION for a bad definition. */
export function compileOptimizer(definition: OptimizerDefinition, layout: OptimizerLayout): CompiledOptimizer {
  return new CompiledOptimizer(checkOptimizer(definition), layout);
}

/**
 * An optimizer as a pure function (t, gradient) → t + 1 over the flat layout. It keeps no numbers: the state lies in the
 * caller's slots. Ranges may be updated in any order, with the same bits as in one call.
 */
export class CompiledOptimizer {
  /** What it was made of: plain data. */
  readonly definition: OptimizerDefinition;
  /** The state vectors to keep beside the parameters, `totalFloats` float32 each; padding gets the initial value too. */
  readonly slots: readonly Slot[];
  /**
   * Which slot holds the average of the weights, for validation, export and predict; undefined without `ema`. Before the first
   * update it holds zeros: the average is then the parameters themselves.
   */
  readonly averageSlot: number | undefined;
  /**
   * Whether `update` has to wait until the whole gradient is final, and takes the `clipScale` of its norm: a barrier, for
   * clipNorm and maxNorm. Otherwise each range is updated as soon as its own gradient is final, with clipScale 1.
   */
  readonly needsGlobalNorm: boolean;
  /** False where updating a range writes beside it, too (maxNorm): then one thread at a time may update. */
  readonly areRangesSeparate: boolean;
  /** What `nextPlateau` takes after each validation; its state goes into `update` and `learningRate`. */
  readonly reduceOnPlateau: ReduceOnPlateau | null;
  readonly #clipNorm: number | null;
  readonly #average: WeightAverage | null;
  readonly #totalFloats: number;
  readonly #rule: UpdateRule;
  readonly #segments: readonly Segment[];

  constructor(definition: OptimizerDefinition, layout: OptimizerLayout) {
    if (!Number.isSafeInteger(layout.totalFloats) || layout.totalFloats < 0 || layout.totalFloats % 16 !== 0) {
      throw new TuttiError("INTERNAL", `A layout has a multiple of 16 floats, found ${layout.totalFloats}.`);
    }
    this.definition = definition;
    this.#totalFloats = layout.totalFloats;
    this.#rule = ruleOf(definition);
    this.#segments = segmentsOf(definition, layout);
    this.#average = definition.ema;
    this.averageSlot = definition.ema === null ? undefined : this.#rule.slots.length;
    const average = definition.ema === null ? [] : [{ name: "average", initialValue: 0 }];
    this.slots = [...this.#rule.slots, ...average];
    this.#clipNorm = definition.clipNorm;
    this.areRangesSeparate = this.#segments.every(({ rows }) => rows === null);
    this.needsGlobalNorm = definition.clipNorm !== null || !this.areRangesSeparate;
    this.reduceOnPlateau = definition.reduceOnPlateau;
  }

  /**
   * The rate of update `step` (1, 2, …) for parameters of no group: a schedule or lrDecay in float64, rounded once to
   * float32. With `reduceOnPlateau` also a function of its state, otherwise TuttiError INTERNAL.
   */
  learningRate(step: number, plateau?: PlateauState): number {
    this.#checkPlateau(plateau);
    return Math.fround(this.#rule.rate(step, plateau));
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
   * Computes floats [begin, end) of generation t + 1 from t and the gradient's sum. Allocates nothing. With maxNorm the range is
   * widened to whole rows: floats beside it are written as well, in the end with the bits that their own range gives
   * them. Throws TuttiError INTERNAL for a range or address out of line.
   */
  update(kernels: Kernels, range: UpdateRange): void {
    checkRange(range, this.#totalFloats, this.slots.length);
    this.#checkPlateau(range.plateau);
    for (const segment of this.#segments) {
      const begin = Math.max(segment.begin, range.begin);
      const end = Math.min(segment.end, range.end);
      if (begin >= end) continue;
      if (segment.rows !== null) this.#updateRows(kernels, range, segment, segment.rows, begin, end);
      else if (this.#average === null) segment.rule.update(kernels, range, begin, end);
      else this.#updateAveraged(kernels, range, segment, this.#average, begin, end);
    }
  }

  #updateAveraged(
    kernels: Kernels,
    range: UpdateRange,
    { rule }: Segment,
    average: WeightAverage,
    begin: number,
    end: number,
  ): void {
    for (let at = begin; at < end; at += blockFloats) {
      const blockEnd = Math.min(end, at + blockFloats);
      rule.update(kernels, range, at, blockEnd);
      this.#averageWeights(kernels, range, average, at, blockEnd);
    }
  }

  #updateRows(
    kernels: Kernels,
    range: UpdateRange,
    segment: Segment,
    { count, rowFloats, maxNorm, periodFloats }: LimitedRows,
    begin: number,
    end: number,
  ): void {
    const blockPeriods = Math.max(1, Math.floor(blockFloats / periodFloats));
    const periods = Math.ceil((end - segment.begin) / periodFloats);
    const firstPeriod = Math.floor((begin - segment.begin) / periodFloats);
    const rowsPerPeriod = periodFloats / rowFloats;
    for (let period = firstPeriod; period < periods; period += blockPeriods) {
      const endPeriod = Math.min(periods, period + blockPeriods);
      const at = segment.begin + period * periodFloats;
      const blockEnd = Math.min(segment.end, segment.begin + endPeriod * periodFloats);
      segment.rule.update(kernels, range, at, blockEnd);
      const firstRow = period * rowsPerPeriod;
      const rows = Math.min(count, endPeriod * rowsPerPeriod) - firstRow;
      if (rows > 0) kernels.raw.limitRows(range.to.parameters + at * 4, rows, rowFloats, maxNorm);
      if (this.#average !== null) this.#averageWeights(kernels, range, this.#average, at, blockEnd);
    }
  }

  #averageWeights({ raw }: Kernels, range: UpdateRange, average: WeightAverage, begin: number, end: number): void {
    const { from, to, step } = range;
    const slot = this.averageSlot!;
    const decay = averageDecay(average, step);
    const byte = begin * 4;
    const value = to.parameters + byte;
    raw.average(end - begin, value, from.slots[slot]! + byte, to.slots[slot]! + byte, decay, 1 - decay);
  }

  #checkPlateau(plateau: PlateauState | undefined): void {
    if (this.reduceOnPlateau === null || plateau !== undefined) return;
    throw new TuttiError("INTERNAL", "An optimizer with reduceOnPlateau needs its state for every update.");
  }
}
