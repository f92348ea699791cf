import { type SharedMemory, webAssembly } from "../memory/web-assembly.ts";

/**
 * What packages/core/assembly exports, in the order of its arguments. Addresses are bytes, `count` is floats; `divisor`
 * and all coefficients are rounded to float32 on the way in.
 */
export interface KernelExports {
  add(dst: number, a: number, b: number, count: number): void;
  copy(dst: number, src: number, count: number): void;
  sumOfSquares(address: number, count: number, divisor: number): number;
  firstNonFinite(address: number, count: number): number;
  hash64(address: number, bytes: number, seed: bigint): bigint;
  bernoulli(
    dst: number,
    samples: number,
    sampleFloats: number,
    firstPosition: number,
    key0: number,
    key1: number,
    path0: number,
    path1: number,
    threshold: number,
    scale: number,
  ): void;
  sgd(...pass: [...GradientPass, rate: number]): void;
  sgdMomentum(...pass: MomentumPass): void;
  sgdNesterov(...pass: MomentumPass): void;
  adagrad(
    ...pass: [
      ...GradientPassWithSlots<[accumulator: number, nextAccumulator: number]>,
      rate: number,
      epsilonInside: number,
      epsilonOutside: number,
    ]
  ): void;
  rmsprop(...pass: [...GradientPassWithSlots<Square>, rate: number, ...Averaging]): void;
  rmspropMomentum(
    ...pass: [
      ...GradientPassWithSlots<[...Square, ...Velocity]>,
      rateBefore: number,
      rateAfter: number,
      ...Averaging,
      momentum: number,
    ]
  ): void;
  rmspropCentered(...pass: [...GradientPassWithSlots<[...Square, ...Mean]>, rate: number, ...Averaging]): void;
  rmspropCenteredMomentum(
    ...pass: [
      ...GradientPassWithSlots<[...Square, ...Mean, ...Velocity]>,
      rateBefore: number,
      rateAfter: number,
      ...Averaging,
      momentum: number,
    ]
  ): void;
}

type MomentumPass = [
  ...GradientPassWithSlots<Velocity>,
  rateBefore: number,
  rateAfter: number,
  momentum: number,
  undampened: number,
];
type Square = [square: number, nextSquare: number];
type Mean = [mean: number, nextMean: number];
type Velocity = [velocity: number, nextVelocity: number];
type Averaging = [alpha: number, oneMinusAlpha: number, epsilonInside: number, epsilonOutside: number];

type GradientPass = GradientPassWithSlots<[]>;
type GradientPassWithSlots<Slots extends number[]> = [
  count: number,
  parameter: number,
  nextParameter: number,
  sum: number,
  ...slots: Slots,
  divisor: number,
  clipScale: number,
  clipValue: number,
  coupledDecay: number,
  decoupledDecay: number,
];

/** Compiles `bytes` and links it to `memory`, synchronously. */
export function instantiate(bytes: Uint8Array<ArrayBuffer>, memory: SharedMemory): KernelExports {
  const { exports } = new webAssembly.Instance(new webAssembly.Module(bytes), { env: { memory } });
  return exports as KernelExports; // the module is ours and is built together with this file
}
