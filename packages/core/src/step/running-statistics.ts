/**
 * Two buffers of a batch norm, which follow the mean and variance of what the layer sees. Offsets and length count floats
 * of the flat layout. A step's sums hold at the same offsets Σ(x−r) and Σ(x−r)² over all values of a channel in the batch,
 * r being the running mean at the step's start.
 */
export interface RunningStatistics {
  /** Path of the layer, for messages. */
  readonly name: string;
  readonly mean: number;
  readonly variance: number;
  /** Channels. */
  readonly length: number;
  /** Share of the new value, as PyTorch's; null: the plain average over all steps. */
  readonly momentum: number | null;
  /** Values of a channel that each sample brings. */
  readonly valuesPerSample: number;
}

/** Flat buffers in the layout: the parameters of t and t+1, and the step's sums. */
export interface StatisticsBuffers {
  readonly current: Float32Array;
  readonly next: Float32Array;
  readonly sums: Float32Array;
}

/**
 * Computes the buffers of t+1 as torch.nn.BatchNorm does from the whole batch: the mean, and the unbiased variance, pooled
 * over shards. Float64 in a fixed order, each result rounded once.
 *
 * @param samples of the global batch; with `valuesPerSample` at least 2 values.
 * @param step number of this update, from 1.
 * @returns false if a result is NaN or infinite.
 */
export function updateRunningStatistics(
  { mean, variance, length, momentum, valuesPerSample }: RunningStatistics,
  { current, next, sums }: StatisticsBuffers,
  samples: number,
  step: number,
): boolean {
  const values = samples * valuesPerSample;
  const share = momentum ?? 1 / step;
  let allFinite = true;
  for (let channel = 0; channel < length; channel++) {
    const running = current[mean + channel]!;
    const sum = sums[mean + channel]!;
    const shift = sum / values;
    const batchVariance = Math.max(0, sums[variance + channel]! - sum * shift) / (values - 1);
    next[mean + channel] = (1 - share) * running + share * (running + shift);
    next[variance + channel] = (1 - share) * current[variance + channel]! + share * batchVariance;
    allFinite &&= Number.isFinite(next[mean + channel]!) && Number.isFinite(next[variance + channel]!);
  }
  return allFinite;
}
