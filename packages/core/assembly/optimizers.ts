// One fused pass per optimizer: reads parameters and state of generation t and the gradient sum, writes generation t + 1.
// Options that are off arrive as the neutral number (1, 0, infinity), not as a branch, and change no bit of finite
// numbers; the formulas are spelled out, with their rounding order, in src/optim. Only options that add memory traffic have a function of their own.

/**
 * Gradient of the loss to descend on: the sum over the batch, divided once, clipped by norm and by value, decayed.
 * `scale` other than 0 says that this is the multiplication sum·scale, exactly.
 */
@inline
function gradient(
  sum: v128, parameter: v128, scale: f32, divisor: v128, clipScale: v128, clipValue: v128, decay: v128, noDecay: v128,
): v128 {
  if (scale != 0) return f32x4.mul(sum, f32x4.splat(scale));
  let g = f32x4.mul(f32x4.div(sum, divisor), clipScale);
  g = f32x4.pmin(g, clipValue); // pmin and pmax keep the first operand when it is NaN
  g = f32x4.pmax(g, f32x4.neg(clipValue));
  // Adding −0 changes no bit, adding +0 would change −0.
  return f32x4.add(g, v128.or(f32x4.mul(decay, parameter), noDecay));
}

/**
 * The factor that does all of `gradient` at once with the same bits, or 0: the divisor is a power of two, whose reciprocal
 * is exact, and nothing is clipped or decayed. It saves a third of the time.
 */
@inline
function plainScale(divisor: f32, clipScale: f32, clipValue: f32, decay: f32): f32 {
  const bits = reinterpret<u32>(divisor);
  const exponent = (bits >> 23) & 0xff;
  const powerOfTwo = (bits & 0x7fffff) == 0 && exponent > 1 && exponent < 253;
  return powerOfTwo && clipScale == 1 && clipValue == Infinity && decay == 0 ? 1 / divisor : 0;
}

@inline
function shrink(parameter: v128, growth: v128): v128 {
  return f32x4.add(parameter, f32x4.mul(growth, parameter));
}

export function sgd(
  count: usize, parameter: usize, nextParameter: usize, sum: usize,
  divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, decoupledDecay: f32, rate: f32,
): void {
  const bytes = count << 2;
  const scale = plainScale(divisor, clipScale, clipValue, coupledDecay);
  const divisors = f32x4.splat(divisor);
  const clipScales = f32x4.splat(clipScale);
  const clipValues = f32x4.splat(clipValue);
  const coupled = f32x4.splat(coupledDecay);
  const noCoupled = f32x4.splat(coupledDecay == 0 ? -0.0 : 0);
  const growth = f32x4.splat(decoupledDecay == 0 ? 0 : -decoupledDecay); // θ + 0·θ changes no bit, θ − 0·θ would
  const rates = f32x4.splat(rate);
  for (let at: usize = 0; at < bytes; at += 16) {
    const p = v128.load(parameter + at);
    const g = gradient(v128.load(sum + at), p, scale, divisors, clipScales, clipValues, coupled, noCoupled);
    v128.store(nextParameter + at, f32x4.sub(shrink(p, growth), f32x4.mul(rates, g)));
  }
}

@inline
function momentumLoop(
  nesterov: bool,
  count: usize, parameter: usize, nextParameter: usize, sum: usize, velocity: usize, nextVelocity: usize,
  divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, decoupledDecay: f32, rateBefore: f32, rateAfter: f32,
  momentum: f32, undampened: f32,
): void {
  const bytes = count << 2;
  const scale = plainScale(divisor, clipScale, clipValue, coupledDecay);
  const divisors = f32x4.splat(divisor);
  const clipScales = f32x4.splat(clipScale);
  const clipValues = f32x4.splat(clipValue);
  const coupled = f32x4.splat(coupledDecay);
  const noCoupled = f32x4.splat(coupledDecay == 0 ? -0.0 : 0);
  const growth = f32x4.splat(decoupledDecay == 0 ? 0 : -decoupledDecay); // θ + 0·θ changes no bit, θ − 0·θ would
  const before = f32x4.splat(rateBefore);
  const after = f32x4.splat(rateAfter);
  const momenta = f32x4.splat(momentum);
  const fresh = f32x4.splat(undampened);
  for (let at: usize = 0; at < bytes; at += 16) {
    const p = v128.load(parameter + at);
    const g = f32x4.mul(before, gradient(v128.load(sum + at), p, scale, divisors, clipScales, clipValues, coupled, noCoupled));
    const v = f32x4.add(f32x4.mul(momenta, v128.load(velocity + at)), f32x4.mul(fresh, g));
    const direction = nesterov ? f32x4.add(g, f32x4.mul(momenta, v)) : v;
    v128.store(nextVelocity + at, v);
    v128.store(nextParameter + at, f32x4.sub(shrink(p, growth), f32x4.mul(after, direction)));
  }
}

export function sgdMomentum(
  count: usize, parameter: usize, nextParameter: usize, sum: usize, velocity: usize, nextVelocity: usize,
  divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, decoupledDecay: f32, rateBefore: f32, rateAfter: f32,
  momentum: f32, undampened: f32,
): void {
  momentumLoop(false, count, parameter, nextParameter, sum, velocity, nextVelocity, divisor, clipScale, clipValue,
    coupledDecay, decoupledDecay, rateBefore, rateAfter, momentum, undampened);
}

export function sgdNesterov(
  count: usize, parameter: usize, nextParameter: usize, sum: usize, velocity: usize, nextVelocity: usize,
  divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, decoupledDecay: f32, rateBefore: f32, rateAfter: f32,
  momentum: f32, undampened: f32,
): void {
  momentumLoop(true, count, parameter, nextParameter, sum, velocity, nextVelocity, divisor, clipScale, clipValue,
    coupledDecay, decoupledDecay, rateBefore, rateAfter, momentum, undampened);
}

export function adagrad(
  count: usize, parameter: usize, nextParameter: usize, sum: usize, accumulator: usize, nextAccumulator: usize,
  divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, decoupledDecay: f32, rate: f32,
  epsilonInside: f32, epsilonOutside: f32,
): void {
  const bytes = count << 2;
  const scale = plainScale(divisor, clipScale, clipValue, coupledDecay);
  const divisors = f32x4.splat(divisor);
  const clipScales = f32x4.splat(clipScale);
  const clipValues = f32x4.splat(clipValue);
  const coupled = f32x4.splat(coupledDecay);
  const noCoupled = f32x4.splat(coupledDecay == 0 ? -0.0 : 0);
  const growth = f32x4.splat(decoupledDecay == 0 ? 0 : -decoupledDecay); // θ + 0·θ changes no bit, θ − 0·θ would
  const rates = f32x4.splat(rate);
  const inside = f32x4.splat(epsilonInside);
  const outside = f32x4.splat(epsilonOutside);
  for (let at: usize = 0; at < bytes; at += 16) {
    const p = v128.load(parameter + at);
    const g = gradient(v128.load(sum + at), p, scale, divisors, clipScales, clipValues, coupled, noCoupled);
    const a = f32x4.add(v128.load(accumulator + at), f32x4.mul(g, g));
    const root = f32x4.add(f32x4.sqrt(f32x4.add(a, inside)), outside);
    v128.store(nextAccumulator + at, a);
    v128.store(nextParameter + at, f32x4.sub(shrink(p, growth), f32x4.div(f32x4.mul(rates, g), root)));
  }
}

@inline
function rmspropLoop(
  centered: bool, withMomentum: bool,
  count: usize, parameter: usize, nextParameter: usize, sum: usize, square: usize, nextSquare: usize,
  mean: usize, nextMean: usize, velocity: usize, nextVelocity: usize,
  divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, decoupledDecay: f32, rateBefore: f32, rateAfter: f32,
  alpha: f32, oneMinusAlpha: f32, epsilonInside: f32, epsilonOutside: f32, momentum: f32,
): void {
  const bytes = count << 2;
  const scale = plainScale(divisor, clipScale, clipValue, coupledDecay);
  const divisors = f32x4.splat(divisor);
  const clipScales = f32x4.splat(clipScale);
  const clipValues = f32x4.splat(clipValue);
  const coupled = f32x4.splat(coupledDecay);
  const noCoupled = f32x4.splat(coupledDecay == 0 ? -0.0 : 0);
  const growth = f32x4.splat(decoupledDecay == 0 ? 0 : -decoupledDecay); // θ + 0·θ changes no bit, θ − 0·θ would
  const before = f32x4.splat(rateBefore);
  const after = f32x4.splat(rateAfter);
  const keep = f32x4.splat(alpha);
  const fresh = f32x4.splat(oneMinusAlpha);
  const inside = f32x4.splat(epsilonInside);
  const outside = f32x4.splat(epsilonOutside);
  const momenta = f32x4.splat(momentum);
  const zero = f32x4.splat(0);
  for (let at: usize = 0; at < bytes; at += 16) {
    const p = v128.load(parameter + at);
    const g = gradient(v128.load(sum + at), p, scale, divisors, clipScales, clipValues, coupled, noCoupled);
    const s = f32x4.add(f32x4.mul(keep, v128.load(square + at)), f32x4.mul(f32x4.mul(fresh, g), g));
    v128.store(nextSquare + at, s);
    let variance = s;
    if (centered) {
      const m = f32x4.add(f32x4.mul(keep, v128.load(mean + at)), f32x4.mul(fresh, g));
      v128.store(nextMean + at, m);
      variance = f32x4.pmax(f32x4.sub(s, f32x4.mul(m, m)), zero); // the difference may round below zero
    }
    const root = f32x4.add(f32x4.sqrt(f32x4.add(variance, inside)), outside);
    let direction = f32x4.div(f32x4.mul(before, g), root);
    if (withMomentum) {
      direction = f32x4.add(f32x4.mul(momenta, v128.load(velocity + at)), direction);
      v128.store(nextVelocity + at, direction);
      direction = f32x4.mul(after, direction);
    }
    v128.store(nextParameter + at, f32x4.sub(shrink(p, growth), direction));
  }
}

export function rmsprop(
  count: usize, parameter: usize, nextParameter: usize, sum: usize, square: usize, nextSquare: usize,
  divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, decoupledDecay: f32, rate: f32,
  alpha: f32, oneMinusAlpha: f32, epsilonInside: f32, epsilonOutside: f32,
): void {
  rmspropLoop(false, false, count, parameter, nextParameter, sum, square, nextSquare, 0, 0, 0, 0, divisor, clipScale,
    clipValue, coupledDecay, decoupledDecay, rate, 1, alpha, oneMinusAlpha, epsilonInside, epsilonOutside, 0);
}

export function rmspropMomentum(
  count: usize, parameter: usize, nextParameter: usize, sum: usize, square: usize, nextSquare: usize,
  velocity: usize, nextVelocity: usize,
  divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, decoupledDecay: f32, rateBefore: f32, rateAfter: f32,
  alpha: f32, oneMinusAlpha: f32, epsilonInside: f32, epsilonOutside: f32, momentum: f32,
): void {
  rmspropLoop(false, true, count, parameter, nextParameter, sum, square, nextSquare, 0, 0, velocity, nextVelocity,
    divisor, clipScale, clipValue, coupledDecay, decoupledDecay, rateBefore, rateAfter, alpha, oneMinusAlpha,
    epsilonInside, epsilonOutside, momentum);
}

export function rmspropCentered(
  count: usize, parameter: usize, nextParameter: usize, sum: usize, square: usize, nextSquare: usize,
  mean: usize, nextMean: usize,
  divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, decoupledDecay: f32, rate: f32,
  alpha: f32, oneMinusAlpha: f32, epsilonInside: f32, epsilonOutside: f32,
): void {
  rmspropLoop(true, false, count, parameter, nextParameter, sum, square, nextSquare, mean, nextMean, 0, 0, divisor,
    clipScale, clipValue, coupledDecay, decoupledDecay, rate, 1, alpha, oneMinusAlpha, epsilonInside, epsilonOutside, 0);
}

export function rmspropCenteredMomentum(
  count: usize, parameter: usize, nextParameter: usize, sum: usize, square: usize, nextSquare: usize,
  mean: usize, nextMean: usize, velocity: usize, nextVelocity: usize,
  divisor: f32, clipScale: f32, clipValue: f32, coupledDecay: f32, decoupledDecay: f32, rateBefore: f32, rateAfter: f32,
  alpha: f32, oneMinusAlpha: f32, epsilonInside: f32, epsilonOutside: f32, momentum: f32,
): void {
  rmspropLoop(true, true, count, parameter, nextParameter, sum, square, nextSquare, mean, nextMean, velocity,
    nextVelocity, divisor, clipScale, clipValue, coupledDecay, decoupledDecay, rateBefore, rateAfter, alpha,
    oneMinusAlpha, epsilonInside, epsilonOutside, momentum);
}
