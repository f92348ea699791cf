import { all, blend, canScale, gradient, hasPenalties } from "./gradient";

// One fused pass: reads parameters and state of generation t and the gradient sum, writes generation t + 1. The
// formulas, with their rounding order, are in src/optim.

@inline
function sgdLoop(
  scaled: bool, penalized: bool,
  count: usize, parameter: usize, nextParameter: usize, sum: usize,
  scale: f32, divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, l1: f32, shrink: f32, rate: f32,
): void {
  const shrinks = all(shrink);
  const rates = all(rate);
  const bytes = count << 2;
  for (let at: usize = 0; at < bytes; at += 16) {
    const p = v128.load(parameter + at);
    const g = gradient(
      scaled, penalized, v128.load(sum + at), p, scale, divisor, clipScale, clipValue, coupledDecay, l1,
    );
    v128.store(nextParameter + at, f32x4.sub(f32x4.mul(p, shrinks), f32x4.mul(rates, g)));
  }
}

export function sgd(
  count: usize, parameter: usize, nextParameter: usize, sum: usize,
  scale: f32, divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, l1: f32, shrink: f32, rate: f32,
): void {
  if (hasPenalties(clipValue, coupledDecay, l1)) {
    sgdLoop(false, true, count, parameter, nextParameter, sum, scale, divisor, clipScale, clipValue, coupledDecay,
      l1, shrink, rate);
  } else if (canScale(scale, clipScale)) {
    sgdLoop(true, false, count, parameter, nextParameter, sum, scale, divisor, clipScale, clipValue, coupledDecay,
      l1, shrink, rate);
  } else {
    sgdLoop(false, false, count, parameter, nextParameter, sum, scale, divisor, clipScale, clipValue, coupledDecay,
      l1, shrink, rate);
  }
}

@inline
function momentumLoop(
  scaled: bool, penalized: bool, nesterov: bool,
  count: usize, parameter: usize, nextParameter: usize, sum: usize, velocity: usize, nextVelocity: usize,
  scale: f32, divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, l1: f32, shrink: f32, rateBefore: f32,
  rateAfter: f32, momentum: f32, undampened: f32,
): void {
  const shrinks = all(shrink);
  const before = all(rateBefore);
  const after = all(rateAfter);
  const momenta = all(momentum);
  const fresh = all(undampened);
  const bytes = count << 2;
  for (let at: usize = 0; at < bytes; at += 16) {
    const p = v128.load(parameter + at);
    const g = gradient(
      scaled, penalized, v128.load(sum + at), p, scale, divisor, clipScale, clipValue, coupledDecay, l1,
    );
    const step = f32x4.mul(before, g);
    const v = blend(momenta, v128.load(velocity + at), fresh, step);
    const direction = nesterov ? f32x4.add(step, f32x4.mul(momenta, v)) : v;
    v128.store(nextVelocity + at, v);
    v128.store(nextParameter + at, f32x4.sub(f32x4.mul(p, shrinks), f32x4.mul(after, direction)));
  }
}

@inline
function momentumPass(
  nesterov: bool,
  count: usize, parameter: usize, nextParameter: usize, sum: usize, velocity: usize, nextVelocity: usize,
  scale: f32, divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, l1: f32, shrink: f32, rateBefore: f32,
  rateAfter: f32, momentum: f32, undampened: f32,
): void {
  if (hasPenalties(clipValue, coupledDecay, l1)) {
    momentumLoop(false, true, nesterov, count, parameter, nextParameter, sum, velocity, nextVelocity, scale, divisor,
      clipScale, clipValue, coupledDecay, l1, shrink, rateBefore, rateAfter, momentum, undampened);
  } else if (canScale(scale, clipScale)) {
    momentumLoop(true, false, nesterov, count, parameter, nextParameter, sum, velocity, nextVelocity, scale, divisor,
      clipScale, clipValue, coupledDecay, l1, shrink, rateBefore, rateAfter, momentum, undampened);
  } else {
    momentumLoop(false, false, nesterov, count, parameter, nextParameter, sum, velocity, nextVelocity, scale,
      divisor, clipScale, clipValue, coupledDecay, l1, shrink, rateBefore, rateAfter, momentum, undampened);
  }
}

export function sgdMomentum(
  count: usize, parameter: usize, nextParameter: usize, sum: usize, velocity: usize, nextVelocity: usize,
  scale: f32, divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, l1: f32, shrink: f32, rateBefore: f32,
  rateAfter: f32, momentum: f32, undampened: f32,
): void {
  momentumPass(false, count, parameter, nextParameter, sum, velocity, nextVelocity, scale, divisor, clipScale,
    clipValue, coupledDecay, l1, shrink, rateBefore, rateAfter, momentum, undampened);
}

export function sgdNesterov(
  count: usize, parameter: usize, nextParameter: usize, sum: usize, velocity: usize, nextVelocity: usize,
  scale: f32, divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, l1: f32, shrink: f32, rateBefore: f32,
  rateAfter: f32, momentum: f32, undampened: f32,
): void {
  momentumPass(true, count, parameter, nextParameter, sum, velocity, nextVelocity, scale, divisor, clipScale,
    clipValue, coupledDecay, l1, shrink, rateBefore, rateAfter, momentum, undampened);
}
