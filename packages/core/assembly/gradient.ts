// What all optimizers do to a gradient before their own step. Every loop is compiled in three forms: `scaled` multiplies by
// the divisor's reciprocal, where that is exact; the next divides and clips by norm; `penalized` does everything. Options
// that are off arrive as the neutral number (1, 0, infinity) and change no bit of finite numbers.
//
// Vectors in front of a loop are made of arguments, nothing else: compilers move into the loop what is computed for them.
// One scalar division there cost AdaGrad half of its time.

/** @param scale 1/divisor if that is exact, else 0. */
@inline
export function canScale(scale: f32, clipScale: f32): bool {
  return scale != 0 && clipScale == 1;
}

@inline
export function hasPenalties(clipValue: f32, coupledDecay: f32, l1: f32): bool {
  return clipValue != Infinity || coupledDecay != 0 || l1 != 0;
}

@inline
export function all(value: f32): v128 {
  return f32x4.splat(value);
}

/** The gradient to descend along: the sum over the batch, divided once, clipped by norm and by value, plus penalties. */
@inline
export function gradient(
  scaled: bool, penalized: bool, sum: v128, parameter: v128, scale: f32, divisor: f32, clipScale: f32,
  clipValue: f32, coupledDecay: f32, l1: f32,
): v128 {
  if (scaled) return f32x4.mul(sum, all(scale));
  let g = f32x4.mul(f32x4.div(sum, all(divisor)), all(clipScale));
  if (!penalized) return g;
  g = f32x4.pmin(g, all(clipValue)); // pmin and pmax keep the first operand when it is NaN
  g = f32x4.pmax(g, all(-clipValue));
  if (coupledDecay != 0) g = f32x4.add(g, f32x4.mul(all(coupledDecay), parameter)); // adding +0 would change −0
  if (l1 != 0) g = f32x4.add(g, f32x4.mul(all(l1), sign(parameter)));
  return g;
}

/** ±1, and x itself where it is ±0 or NaN. */
@inline
export function sign(x: v128): v128 {
  const one = v128.or(v128.and(x, f32x4.splat(-0.0)), f32x4.splat(1));
  return v128.bitselect(one, x, f32x4.gt(f32x4.abs(x), f32x4.splat(0)));
}

/** keep·average + fresh·value: the running mean. */
@inline
export function blend(keep: v128, average: v128, fresh: v128, value: v128): v128 {
  return f32x4.add(f32x4.mul(keep, average), f32x4.mul(fresh, value));
}

/** keep·average + (fresh·value)·value: the running mean of squares. */
@inline
export function blendSquare(keep: v128, average: v128, fresh: v128, value: v128): v128 {
  return f32x4.add(f32x4.mul(keep, average), f32x4.mul(f32x4.mul(fresh, value), value));
}
