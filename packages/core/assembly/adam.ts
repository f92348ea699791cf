import { all, blend, blendSquare, canScale, gradient, hasPenalties, sign } from "./gradient";

// One fused pass: reads parameters and state of generation t and the gradient sum, writes generation t + 1. The
// formulas, with their rounding order, are in src/optim.

@inline
function adamLoop(
  scaled: bool, penalized: bool, amsgrad: bool, nesterov: bool,
  count: usize, parameter: usize, nextParameter: usize, sum: usize, mean: usize, nextMean: usize, square: usize,
  nextSquare: usize, maximum: usize, nextMaximum: usize,
  scale: f32, divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, l1: f32, shrink: f32, meanRate: f32,
  gradientRate: f32, beta1: f32, oneMinusBeta1: f32, beta2: f32, oneMinusBeta2: f32, rootScale: f32, epsilon: f32,
): void {
  const shrinks = all(shrink);
  const meanRates = all(meanRate);
  const gradientRates = all(gradientRate);
  const keepMean = all(beta1);
  const freshMean = all(oneMinusBeta1);
  const keepSquare = all(beta2);
  const freshSquare = all(oneMinusBeta2);
  const rootScales = all(rootScale);
  const epsilons = all(epsilon);
  const bytes = count << 2;
  for (let at: usize = 0; at < bytes; at += 16) {
    const p = v128.load(parameter + at);
    const g = gradient(
      scaled, penalized, v128.load(sum + at), p, scale, divisor, clipScale, clipValue, coupledDecay, l1,
    );
    const m = blend(keepMean, v128.load(mean + at), freshMean, g);
    const s = blendSquare(keepSquare, v128.load(square + at), freshSquare, g);
    v128.store(nextMean + at, m);
    v128.store(nextSquare + at, s);
    let largest = s;
    if (amsgrad) {
      largest = f32x4.pmax(s, v128.load(maximum + at)); // keeps a NaN of s
      v128.store(nextMaximum + at, largest);
    }
    const root = f32x4.add(f32x4.mul(f32x4.sqrt(largest), rootScales), epsilons);
    let direction = f32x4.mul(meanRates, m);
    if (nesterov) direction = f32x4.add(f32x4.mul(gradientRates, g), direction);
    v128.store(nextParameter + at, f32x4.sub(f32x4.mul(p, shrinks), f32x4.div(direction, root)));
  }
}

@inline
function adamPass(
  amsgrad: bool, nesterov: bool,
  count: usize, parameter: usize, nextParameter: usize, sum: usize, mean: usize, nextMean: usize, square: usize,
  nextSquare: usize, maximum: usize, nextMaximum: usize,
  scale: f32, divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, l1: f32, shrink: f32, meanRate: f32,
  gradientRate: f32, beta1: f32, oneMinusBeta1: f32, beta2: f32, oneMinusBeta2: f32, rootScale: f32, epsilon: f32,
): void {
  if (hasPenalties(clipValue, coupledDecay, l1)) {
    adamLoop(false, true, amsgrad, nesterov, count, parameter, nextParameter, sum, mean, nextMean, square,
      nextSquare, maximum, nextMaximum, scale, divisor, clipScale, clipValue, coupledDecay, l1, shrink, meanRate,
      gradientRate, beta1, oneMinusBeta1, beta2, oneMinusBeta2, rootScale, epsilon);
  } else if (canScale(scale, clipScale)) {
    adamLoop(true, false, amsgrad, nesterov, count, parameter, nextParameter, sum, mean, nextMean, square,
      nextSquare, maximum, nextMaximum, scale, divisor, clipScale, clipValue, coupledDecay, l1, shrink, meanRate,
      gradientRate, beta1, oneMinusBeta1, beta2, oneMinusBeta2, rootScale, epsilon);
  } else {
    adamLoop(false, false, amsgrad, nesterov, count, parameter, nextParameter, sum, mean, nextMean, square,
      nextSquare, maximum, nextMaximum, scale, divisor, clipScale, clipValue, coupledDecay, l1, shrink, meanRate,
      gradientRate, beta1, oneMinusBeta1, beta2, oneMinusBeta2, rootScale, epsilon);
  }
}

export function adam(
  count: usize, parameter: usize, nextParameter: usize, sum: usize, mean: usize, nextMean: usize, square: usize,
  nextSquare: usize,
  scale: f32, divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, l1: f32, shrink: f32, meanRate: f32,
  beta1: f32, oneMinusBeta1: f32, beta2: f32, oneMinusBeta2: f32, rootScale: f32, epsilon: f32,
): void {
  adamPass(false, false, count, parameter, nextParameter, sum, mean, nextMean, square, nextSquare, 0, 0, scale,
    divisor, clipScale, clipValue, coupledDecay, l1, shrink, meanRate, 0, beta1, oneMinusBeta1, beta2, oneMinusBeta2,
    rootScale, epsilon);
}

export function adamAmsgrad(
  count: usize, parameter: usize, nextParameter: usize, sum: usize, mean: usize, nextMean: usize, square: usize,
  nextSquare: usize, maximum: usize, nextMaximum: usize,
  scale: f32, divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, l1: f32, shrink: f32, meanRate: f32,
  beta1: f32, oneMinusBeta1: f32, beta2: f32, oneMinusBeta2: f32, rootScale: f32, epsilon: f32,
): void {
  adamPass(true, false, count, parameter, nextParameter, sum, mean, nextMean, square, nextSquare, maximum,
    nextMaximum, scale, divisor, clipScale, clipValue, coupledDecay, l1, shrink, meanRate, 0, beta1, oneMinusBeta1,
    beta2, oneMinusBeta2, rootScale, epsilon);
}

export function nadam(
  count: usize, parameter: usize, nextParameter: usize, sum: usize, mean: usize, nextMean: usize, square: usize,
  nextSquare: usize,
  scale: f32, divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, l1: f32, shrink: f32, meanRate: f32,
  gradientRate: f32, beta1: f32, oneMinusBeta1: f32, beta2: f32, oneMinusBeta2: f32, rootScale: f32, epsilon: f32,
): void {
  adamPass(false, true, count, parameter, nextParameter, sum, mean, nextMean, square, nextSquare, 0, 0, scale,
    divisor, clipScale, clipValue, coupledDecay, l1, shrink, meanRate, gradientRate, beta1, oneMinusBeta1, beta2,
    oneMinusBeta2, rootScale, epsilon);
}

@inline
function lionLoop(
  scaled: bool, penalized: bool,
  count: usize, parameter: usize, nextParameter: usize, sum: usize, mean: usize, nextMean: usize,
  scale: f32, divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, l1: f32, shrink: f32, rate: f32,
  beta1: f32, oneMinusBeta1: f32, beta2: f32, oneMinusBeta2: f32,
): void {
  const shrinks = all(shrink);
  const rates = all(rate);
  const keepInStep = all(beta1);
  const freshInStep = all(oneMinusBeta1);
  const keep = all(beta2);
  const fresh = all(oneMinusBeta2);
  const bytes = count << 2;
  for (let at: usize = 0; at < bytes; at += 16) {
    const p = v128.load(parameter + at);
    const g = gradient(
      scaled, penalized, v128.load(sum + at), p, scale, divisor, clipScale, clipValue, coupledDecay, l1,
    );
    const m = v128.load(mean + at);
    const direction = sign(blend(keepInStep, m, freshInStep, g));
    v128.store(nextMean + at, blend(keep, m, fresh, g));
    v128.store(nextParameter + at, f32x4.sub(f32x4.mul(p, shrinks), f32x4.mul(rates, direction)));
  }
}

export function lion(
  count: usize, parameter: usize, nextParameter: usize, sum: usize, mean: usize, nextMean: usize,
  scale: f32, divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, l1: f32, shrink: f32, rate: f32,
  beta1: f32, oneMinusBeta1: f32, beta2: f32, oneMinusBeta2: f32,
): void {
  if (hasPenalties(clipValue, coupledDecay, l1)) {
    lionLoop(false, true, count, parameter, nextParameter, sum, mean, nextMean, scale, divisor, clipScale, clipValue,
      coupledDecay, l1, shrink, rate, beta1, oneMinusBeta1, beta2, oneMinusBeta2);
  } else if (canScale(scale, clipScale)) {
    lionLoop(true, false, count, parameter, nextParameter, sum, mean, nextMean, scale, divisor, clipScale, clipValue,
      coupledDecay, l1, shrink, rate, beta1, oneMinusBeta1, beta2, oneMinusBeta2);
  } else {
    lionLoop(false, false, count, parameter, nextParameter, sum, mean, nextMean, scale, divisor, clipScale,
      clipValue, coupledDecay, l1, shrink, rate, beta1, oneMinusBeta1, beta2, oneMinusBeta2);
  }
}
