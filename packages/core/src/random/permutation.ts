import { TuttiError } from "../errors/index.ts";
import { randomStream } from "./stream.ts";

const rounds = 10;

/**
 * A random order of `size` things, computed per position: no index array, any position at any time. A pure function of
 * (seed, epoch, size). `size` is an integer of 0 … 2^32, otherwise TuttiError BAD_OPTION.
 */
export function permutation(seed: number | bigint, epoch: number, size: number): Permutation {
  return new Permutation(seed, epoch, size);
}

/**
 * A Feistel network over the next power of two, made a bijection of [0, size) by cycle walking (Black and Rogaway,
 * "Ciphers with arbitrary finite domains", 2002): less than two walks on average. Round keys come from Philox.
 */
export class Permutation {
  readonly size: number;
  readonly #leftBits: number;
  readonly #rightBits: number;
  readonly #keys = new Int32Array(2 * rounds);

  constructor(seed: number | bigint, epoch: number, size: number) {
    if (!Number.isInteger(size) || size < 0 || size > 4_294_967_296) {
      throw new TuttiError("BAD_OPTION", `A permutation takes 0 to 2^32 things, found ${size}.`);
    }
    this.size = size;
    let bits = 2;
    for (let domain = 4; domain < size; domain *= 2) bits++;
    this.#rightBits = bits >> 1;
    this.#leftBits = bits - this.#rightBits;
    const stream = randomStream(seed, "permutation", epoch, size);
    for (let i = 0; i < this.#keys.length; i++) this.#keys[i] = stream.uint32At(i);
  }

  /** The thing at `position`, an integer of 0 … size − 1; otherwise RangeError. */
  at(position: number): number {
    if (!Number.isInteger(position) || position < 0 || position >= this.size) {
      throw new RangeError(`position must be an integer of 0 to ${this.size - 1}, found ${position}`);
    }
    let value = position;
    do value = this.#encrypt(value);
    while (value >= this.size);
    return value;
  }

  #encrypt(value: number): number {
    const leftMask = (1 << this.#leftBits) - 1;
    const rightMask = (1 << this.#rightBits) - 1;
    let left = value >>> this.#rightBits;
    let right = value & rightMask;
    for (let round = 0; round < rounds; round += 2) {
      left = (left ^ scramble(right, this.#keys[2 * round]!, this.#keys[2 * round + 1]!)) & leftMask;
      right = (right ^ scramble(left, this.#keys[2 * round + 2]!, this.#keys[2 * round + 3]!)) & rightMask;
    }
    return ((left << this.#rightBits) | right) >>> 0;
  }
}

/** A keyed mixture of 32 bits: the key, then the constants of Wellons' "lowbias32" (2018). */
function scramble(value: number, add: number, multiply: number): number {
  let mixed = Math.imul((value + add) | 0, multiply | 1);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x7feb352d);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x846ca68b);
  return mixed ^ (mixed >>> 16);
}
