/**
 * The fused passes of packages/core/assembly, in the order of their arguments. Addresses are bytes, `count` is floats; all
 * coefficients are rounded to float32 on the way in. What is off is the neutral number.
 */
export interface OptimizerKernels {
  sgd(...pass: Pass<[], [rate: number]>): void;
  sgdMomentum(...pass: MomentumPass): void;
  sgdNesterov(...pass: MomentumPass): void;
  adagrad(...pass: Pass<[accumulator: number, nextAccumulator: number], [rate: number, ...Epsilons]>): void;
  rmsprop(...pass: Pass<Square, [rate: number, ...Averaging]>): void;
  rmspropMomentum(...pass: Pass<[...Square, ...Velocity], [...Rates, ...Averaging, momentum: number]>): void;
  rmspropCentered(...pass: Pass<[...Square, ...Mean], [rate: number, ...Averaging]>): void;
  rmspropCenteredMomentum(
    ...pass: Pass<[...Square, ...Mean, ...Velocity], [...Rates, ...Averaging, momentum: number]>
  ): void;
  adadelta(
    ...pass: Pass<
      [...Square, moved: number, nextMoved: number],
      [rate: number, rho: number, oneMinusRho: number, epsilon: number]
    >
  ): void;
  adam(...pass: Pass<[...Mean, ...Square], [meanRate: number, ...Betas, ...Root]>): void;
  adamAmsgrad(
    ...pass: Pass<[...Mean, ...Square, maximum: number, nextMaximum: number], [meanRate: number, ...Betas, ...Root]>
  ): void;
  nadam(...pass: Pass<[...Mean, ...Square], [meanRate: number, gradientRate: number, ...Betas, ...Root]>): void;
  lion(...pass: Pass<Mean, [rate: number, ...Betas]>): void;
  /** next[i] = keep·average[i] + fresh·value[i] in float32. */
  average(count: number, value: number, average: number, next: number, keep: number, fresh: number): void;
  /**
   * Scales rows of `rowFloats` floats whose norm is above `limit` (float64) down to it, in place. Order of summation: element j
   * of a row is added to lane j mod 4, then the lanes as (0+1) + (2+3), in float64.
   */
  limitRows(address: number, rows: number, rowFloats: number, limit: number): void;
}

type Pass<Slots extends number[], Coefficients extends number[]> = [
  count: number,
  parameter: number,
  nextParameter: number,
  sum: number,
  ...slots: Slots,
  scale: number,
  divisor: number,
  clipScale: number,
  clipValue: number,
  coupledDecay: number,
  l1: number,
  shrink: number,
  ...coefficients: Coefficients,
];

type MomentumPass = Pass<Velocity, [...Rates, momentum: number, undampened: number]>;
type Square = [square: number, nextSquare: number];
type Mean = [mean: number, nextMean: number];
type Velocity = [velocity: number, nextVelocity: number];
type Rates = [rateBefore: number, rateAfter: number];
type Epsilons = [epsilonInside: number, epsilonOutside: number];
type Averaging = [alpha: number, oneMinusAlpha: number, ...Epsilons];
type Betas = [beta1: number, oneMinusBeta1: number, beta2: number, oneMinusBeta2: number];
type Root = [rootScale: number, epsilon: number];
