import { portableCos, portablePow } from "../random/portable-math.ts";
import type { OneCycleSchedule, Schedule, SequenceSchedule } from "./schedule-data.ts";

/** The rate of update `step` (1, 2, …), in float64 with portable functions. */
export function rateAt(rate: number | Schedule, step: number): number {
  if (typeof rate === "number") return rate;
  switch (rate.kind) {
    case "constant":
      return rate.value;
    case "warmupCosine": {
      const { peak, warmupSteps, totalSteps, final } = rate;
      if (step <= warmupSteps) return (peak * step) / warmupSteps;
      if (step >= totalSteps) return final;
      return alongCosine(peak, final, (step - warmupSteps) / (totalSteps - warmupSteps));
    }
    case "step":
      return rate.initial * portablePow(rate.factor, Math.floor((step - 1) / rate.everySteps));
    case "multiStep":
      return rate.initial * portablePow(rate.factor, countBelow(rate.milestones, step));
    case "exponential":
      return rate.initial * portablePow(rate.factor, (step - 1) / rate.everySteps);
    case "polynomial": {
      const { initial, final, totalSteps, power } = rate;
      const left = 1 - Math.min(1, (step - 1) / totalSteps);
      return final + (initial - final) * portablePow(left, power);
    }
    case "cosine":
      if (step > rate.totalSteps) return rate.final;
      return alongCosine(rate.initial, rate.final, (step - 1) / rate.totalSteps);
    case "cosineRestarts": {
      const { peak, final, periodSteps, periodFactor } = rate;
      return alongCosine(peak, final, shareOfPeriod(step - 1, periodSteps, periodFactor));
    }
    case "oneCycle":
      return oneCycleAt(rate, step);
    case "warmup": {
      const { steps, startFactor } = rate;
      if (step > steps) return rateAt(rate.rate, step - steps);
      return rateAt(rate.rate, 1) * (startFactor + ((1 - startFactor) * (step - 1)) / steps);
    }
    case "sequence":
      return sequenceAt(rate, step);
    case "scaled":
      return rate.by * rateAt(rate.rate, step);
  }
}

/** Half a cosine from `from` (share 0) to `to` (share 1). */
function alongCosine(from: number, to: number, share: number): number {
  return to + (from - to) * 0.5 * (1 + portableCos(Math.PI * share));
}

function countBelow(milestones: readonly number[], step: number): number {
  let passed = 0;
  for (const milestone of milestones) if (milestone < step) passed++;
  return passed;
}

/** How far `done` updates are into the period that they end in. */
function shareOfPeriod(done: number, firstSteps: number, factor: number): number {
  if (factor === 1) return (done % firstSteps) / firstSteps;
  let begin = 0;
  let length = firstSteps;
  while (done >= begin + length) {
    begin += length;
    length *= factor;
  }
  return (done - begin) / length;
}

function oneCycleAt(options: OneCycleSchedule, step: number): number {
  const { peak, totalSteps, warmupShare, annealing, initialDivisor, finalDivisor, threePhase } = options;
  const initial = peak / initialDivisor;
  const final = initial / finalDivisor;
  const done = Math.min(step - 1, totalSteps - 1);
  const along = (from: number, to: number, begin: number, end: number) => {
    const share = (done - begin) / (end - begin);
    return annealing === "cosine" ? alongCosine(from, to, share) : from + (to - from) * share;
  };
  const peakAt = warmupShare * totalSteps - 1;
  if (done <= peakAt) return along(initial, peak, 0, peakAt);
  if (!threePhase) return along(peak, final, peakAt, totalSteps - 1);
  const downAt = 2 * warmupShare * totalSteps - 2;
  if (done <= downAt) return along(peak, initial, peakAt, downAt);
  return along(initial, final, downAt, totalSteps - 1);
}

function sequenceAt({ parts, last }: SequenceSchedule, step: number): number {
  let before = 0;
  for (const { steps, rate } of parts) {
    if (step <= before + steps) return rateAt(rate, step - before);
    before += steps;
  }
  return rateAt(last, step - before);
}
