import { all, blend, blendSquare, canScale, gradient, hasPenalties } from "./gradient";

// One fused pass: reads parameters and state of generation t and the gradient sum, writes generation t + 1. The
// formulas, with their rounding order, are in src/optim.

@inline
function root(square: v128, inside: v128, outside: v128): v128 {
  return f32x4.add(f32x4.sqrt(f32x4.add(square, inside)), outside);
}

@inline
function adagradLoop(
  scaled: bool, penalized: bool,
  count: usize, parameter: usize, nextParameter: usize, sum: usize, accumulator: usize, nextAccumulator: usize,
  scale: f32, divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, l1: f32, shrink: f32, rate: f32,
  epsilonInside: f32, epsilonOutside: f32,
): void {
  const shrinks = all(shrink);
  const rates = all(rate);
  const inside = all(epsilonInside);
  const outside = all(epsilonOutside);
  const bytes = count << 2;
  for (let at: usize = 0; at < bytes; at += 16) {
    const p = v128.load(parameter + at);
    const g = gradient(
      scaled, penalized, v128.load(sum + at), p, scale, divisor, clipScale, clipValue, coupledDecay, l1,
    );
    const a = f32x4.add(v128.load(accumulator + at), f32x4.mul(g, g));
    v128.store(nextAccumulator + at, a);
    const step = f32x4.div(f32x4.mul(rates, g), root(a, inside, outside));
    v128.store(nextParameter + at, f32x4.sub(f32x4.mul(p, shrinks), step));
  }
}

export function adagrad(
  count: usize, parameter: usize, nextParameter: usize, sum: usize, accumulator: usize, nextAccumulator: usize,
  scale: f32, divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, l1: f32, shrink: f32, rate: f32,
  epsilonInside: f32, epsilonOutside: f32,
): void {
  if (hasPenalties(clipValue, coupledDecay, l1)) {
    adagradLoop(false, true, count, parameter, nextParameter, sum, accumulator, nextAccumulator, scale, divisor,
      clipScale, clipValue, coupledDecay, l1, shrink, rate, epsilonInside, epsilonOutside);
  } else if (canScale(scale, clipScale)) {
    adagradLoop(true, false, count, parameter, nextParameter, sum, accumulator, nextAccumulator, scale, divisor,
      clipScale, clipValue, coupledDecay, l1, shrink, rate, epsilonInside, epsilonOutside);
  } else {
    adagradLoop(false, false, count, parameter, nextParameter, sum, accumulator, nextAccumulator, scale, divisor,
      clipScale, clipValue, coupledDecay, l1, shrink, rate, epsilonInside, epsilonOutside);
  }
}

@inline
function rmspropLoop(
  scaled: bool, penalized: bool, centered: bool, withMomentum: bool,
  count: usize, parameter: usize, nextParameter: usize, sum: usize, square: usize, nextSquare: usize, mean: usize,
  nextMean: usize, velocity: usize, nextVelocity: usize,
  scale: f32, divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, l1: f32, shrink: f32, rateBefore: f32,
  rateAfter: f32, alpha: f32, oneMinusAlpha: f32, epsilonInside: f32, epsilonOutside: f32, momentum: f32,
): void {
  const shrinks = all(shrink);
  const before = all(rateBefore);
  const after = all(rateAfter);
  const keep = all(alpha);
  const fresh = all(oneMinusAlpha);
  const inside = all(epsilonInside);
  const outside = all(epsilonOutside);
  const momenta = all(momentum);
  const bytes = count << 2;
  for (let at: usize = 0; at < bytes; at += 16) {
    const p = v128.load(parameter + at);
    const g = gradient(
      scaled, penalized, v128.load(sum + at), p, scale, divisor, clipScale, clipValue, coupledDecay, l1,
    );
    const s = blendSquare(keep, v128.load(square + at), fresh, g);
    v128.store(nextSquare + at, s);
    let variance = s;
    if (centered) {
      const m = blend(keep, v128.load(mean + at), fresh, g);
      v128.store(nextMean + at, m);
      variance = f32x4.pmax(f32x4.sub(s, f32x4.mul(m, m)), all(0)); // the difference may round below zero
    }
    let step = f32x4.div(f32x4.mul(before, g), root(variance, inside, outside));
    if (withMomentum) {
      step = f32x4.add(f32x4.mul(momenta, v128.load(velocity + at)), step);
      v128.store(nextVelocity + at, step);
      step = f32x4.mul(after, step);
    }
    v128.store(nextParameter + at, f32x4.sub(f32x4.mul(p, shrinks), step));
  }
}

@inline
function rmspropPass(
  centered: bool, withMomentum: bool,
  count: usize, parameter: usize, nextParameter: usize, sum: usize, square: usize, nextSquare: usize, mean: usize,
  nextMean: usize, velocity: usize, nextVelocity: usize,
  scale: f32, divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, l1: f32, shrink: f32, rateBefore: f32,
  rateAfter: f32, alpha: f32, oneMinusAlpha: f32, epsilonInside: f32, epsilonOutside: f32, momentum: f32,
): void {
  if (hasPenalties(clipValue, coupledDecay, l1)) {
    rmspropLoop(false, true, centered, withMomentum, count, parameter, nextParameter, sum, square, nextSquare, mean,
      nextMean, velocity, nextVelocity, scale, divisor, clipScale, clipValue, coupledDecay, l1, shrink, rateBefore,
      rateAfter, alpha, oneMinusAlpha, epsilonInside, epsilonOutside, momentum);
  } else if (canScale(scale, clipScale)) {
    rmspropLoop(true, false, centered, withMomentum, count, parameter, nextParameter, sum, square, nextSquare, mean,
      nextMean, velocity, nextVelocity, scale, divisor, clipScale, clipValue, coupledDecay, l1, shrink, rateBefore,
      rateAfter, alpha, oneMinusAlpha, epsilonInside, epsilonOutside, momentum);
  } else {
    rmspropLoop(false, false, centered, withMomentum, count, parameter, nextParameter, sum, square, nextSquare, mean,
      nextMean, velocity, nextVelocity, scale, divisor, clipScale, clipValue, coupledDecay, l1, shrink, rateBefore,
      rateAfter, alpha, oneMinusAlpha, epsilonInside, epsilonOutside, momentum);
  }
}

export function rmsprop(
  count: usize, parameter: usize, nextParameter: usize, sum: usize, square: usize, nextSquare: usize,
  scale: f32, divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, l1: f32, shrink: f32, rate: f32,
  alpha: f32, oneMinusAlpha: f32, epsilonInside: f32, epsilonOutside: f32,
): void {
  rmspropPass(false, false, count, parameter, nextParameter, sum, square, nextSquare, 0, 0, 0, 0, scale, divisor,
    clipScale, clipValue, coupledDecay, l1, shrink, rate, 1, alpha, oneMinusAlpha, epsilonInside, epsilonOutside, 0);
}

export function rmspropMomentum(
  count: usize, parameter: usize, nextParameter: usize, sum: usize, square: usize, nextSquare: usize,
  velocity: usize, nextVelocity: usize,
  scale: f32, divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, l1: f32, shrink: f32, rateBefore: f32,
  rateAfter: f32, alpha: f32, oneMinusAlpha: f32, epsilonInside: f32, epsilonOutside: f32, momentum: f32,
): void {
  rmspropPass(false, true, count, parameter, nextParameter, sum, square, nextSquare, 0, 0, velocity, nextVelocity,
    scale, divisor, clipScale, clipValue, coupledDecay, l1, shrink, rateBefore, rateAfter, alpha, oneMinusAlpha,
    epsilonInside, epsilonOutside, momentum);
}

export function rmspropCentered(
  count: usize, parameter: usize, nextParameter: usize, sum: usize, square: usize, nextSquare: usize, mean: usize,
  nextMean: usize,
  scale: f32, divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, l1: f32, shrink: f32, rate: f32,
  alpha: f32, oneMinusAlpha: f32, epsilonInside: f32, epsilonOutside: f32,
): void {
  rmspropPass(true, false, count, parameter, nextParameter, sum, square, nextSquare, mean, nextMean, 0, 0, scale,
    divisor, clipScale, clipValue, coupledDecay, l1, shrink, rate, 1, alpha, oneMinusAlpha, epsilonInside,
    epsilonOutside, 0);
}

export function rmspropCenteredMomentum(
  count: usize, parameter: usize, nextParameter: usize, sum: usize, square: usize, nextSquare: usize, mean: usize,
  nextMean: usize, velocity: usize, nextVelocity: usize,
  scale: f32, divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, l1: f32, shrink: f32, rateBefore: f32,
  rateAfter: f32, alpha: f32, oneMinusAlpha: f32, epsilonInside: f32, epsilonOutside: f32, momentum: f32,
): void {
  rmspropPass(true, true, count, parameter, nextParameter, sum, square, nextSquare, mean, nextMean, velocity,
    nextVelocity, scale, divisor, clipScale, clipValue, coupledDecay, l1, shrink, rateBefore, rateAfter, alpha,
    oneMinusAlpha, epsilonInside, epsilonOutside, momentum);
}

@inline
function adadeltaLoop(
  scaled: bool, penalized: bool,
  count: usize, parameter: usize, nextParameter: usize, sum: usize, square: usize, nextSquare: usize, moved: usize,
  nextMoved: usize,
  scale: f32, divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, l1: f32, shrink: f32, rate: f32,
  rho: f32, oneMinusRho: f32, epsilon: f32,
): void {
  const shrinks = all(shrink);
  const rates = all(rate);
  const keep = all(rho);
  const fresh = all(oneMinusRho);
  const epsilons = all(epsilon);
  const bytes = count << 2;
  for (let at: usize = 0; at < bytes; at += 16) {
    const p = v128.load(parameter + at);
    const g = gradient(
      scaled, penalized, v128.load(sum + at), p, scale, divisor, clipScale, clipValue, coupledDecay, l1,
    );
    const s = blendSquare(keep, v128.load(square + at), fresh, g);
    const oldMoved = v128.load(moved + at);
    const ratio = f32x4.div(f32x4.add(oldMoved, epsilons), f32x4.add(s, epsilons));
    const step = f32x4.mul(f32x4.sqrt(ratio), g);
    v128.store(nextSquare + at, s);
    v128.store(nextMoved + at, blendSquare(keep, oldMoved, fresh, step));
    v128.store(nextParameter + at, f32x4.sub(f32x4.mul(p, shrinks), f32x4.mul(rates, step)));
  }
}

export function adadelta(
  count: usize, parameter: usize, nextParameter: usize, sum: usize, square: usize, nextSquare: usize, moved: usize,
  nextMoved: usize,
  scale: f32, divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, l1: f32, shrink: f32, rate: f32,
  rho: f32, oneMinusRho: f32, epsilon: f32,
): void {
  if (hasPenalties(clipValue, coupledDecay, l1)) {
    adadeltaLoop(false, true, count, parameter, nextParameter, sum, square, nextSquare, moved, nextMoved, scale,
      divisor, clipScale, clipValue, coupledDecay, l1, shrink, rate, rho, oneMinusRho, epsilon);
  } else if (canScale(scale, clipScale)) {
    adadeltaLoop(true, false, count, parameter, nextParameter, sum, square, nextSquare, moved, nextMoved, scale,
      divisor, clipScale, clipValue, coupledDecay, l1, shrink, rate, rho, oneMinusRho, epsilon);
  } else {
    adadeltaLoop(false, false, count, parameter, nextParameter, sum, square, nextSquare, moved, nextMoved, scale,
      divisor, clipScale, clipValue, coupledDecay, l1, shrink, rate, rho, oneMinusRho, epsilon);
  }
}
