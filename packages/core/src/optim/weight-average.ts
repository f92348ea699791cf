import { flag, fractionBelowOne, readOptions, refuse } from "./options.ts";

/**
 * Exponential moving average of the weights θ: e = decay·e + (1 − decay)·θ in float32 after every update, and e = θ after the
 * first, as torch.optim.swa_utils.AveragedModel with that `avg_fn` and Keras's `use_ema`.
 */
export interface WeightAverage {
  /** For instance 0.999; at least 0, below 1. */
  readonly decay: number;
  /** Averages over fewer updates at the beginning: update t uses min(decay, (1 + t)/(10 + t)); default false. */
  readonly warmUp?: boolean;
}

export function checkAverage(where: string, found: unknown): Required<WeightAverage> {
  if (typeof found !== "object" || found === null) return refuse(where, "such as { decay: 0.999 }, or null", found);
  const readers = { decay: fractionBelowOne, warmUp: flag };
  return readOptions<Required<WeightAverage>>(where, { warmUp: false, ...found }, readers);
}

/** Decay of update `step` (1, 2, …), in float64. */
export function averageDecay({ decay, warmUp }: WeightAverage, step: number): number {
  if (step === 1) return 0;
  return warmUp === true ? Math.min(decay, (1 + step) / (10 + step)) : decay;
}
