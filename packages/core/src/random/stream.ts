import { TuttiError } from "../errors/index.ts";
import { hashPath } from "./path-hash.ts";
import { philoxInto } from "./philox.ts";
import { portableCosSin, portableLog } from "./portable-math.ts";

const twoTo32 = 4_294_967_296;

/**
 * A random stream for one purpose: value i is a pure function of (seed, path, i), whoever asks, in whatever order. The
 * Philox key is the seed, the counter is (block, hash of the path); value i comes from block ⌊i/4⌋.
 *
 * @param seed a 64-bit integer; a number must be a safe integer. Negative seeds count modulo 2^64.
 * @param path what the numbers are for, such as ("init", "fc1.weight") or ("dropout", 0, step).
 * @throws TuttiError BAD_OPTION for a seed that is no integer or needs more than 64 bits.
 */
export function randomStream(seed: number | bigint, ...path: (string | number)[]): RandomStream {
  return new RandomStream(seedBits(seed), hashPath(path));
}

/** Where values of a stream come from: its definition, or kernels that give the same. */
export type ValueStream = Pick<RandomStream, "fillUniform" | "fillNormal">;

export class RandomStream {
  readonly #key0: number;
  readonly #key1: number;
  readonly #path0: number;
  readonly #path1: number;
  readonly #words = new Uint32Array(4);

  /** Both unsigned 64-bit integers; use `randomStream`. */
  constructor(seed: bigint, pathHash: bigint) {
    this.#key0 = Number(seed & 0xffffffffn);
    this.#key1 = Number(seed >> 32n);
    this.#path0 = Number(pathHash & 0xffffffffn);
    this.#path1 = Number(pathHash >> 32n);
  }

  /** Value `index` (an integer of 0 … 2^53 − 1), uniform over the uint32. */
  uint32At(index: number): number {
    this.#load(Math.floor(index / 4));
    return this.#words[index % 4]!;
  }

  /**
   * Fills `out` with uniform float32 in [low, high): `low + (high − low)·k/2^24` in float64, rounded once, which may
   * round up to `high`. `out[i]` is value `firstIndex + i`.
   */
  fillUniform(out: Float32Array, low: number, high: number, firstIndex = 0): void {
    this.#fill(out, firstIndex, (words, values) => {
      for (let lane = 0; lane < 4; lane++) values[lane] = low + (high - low) * ((words[lane]! >>> 8) / 16_777_216);
    });
  }

  /**
   * Fills `out` with normal float32, by Box and Muller (1958) in float64 with portable functions, rounded once: words
   * (0, 1) and (2, 3) of a block give a cosine and a sine each. |value − mean| stays below 6.67 std. `out[i]` is value
   * `firstIndex + i`.
   */
  fillNormal(out: Float32Array, mean: number, std: number, firstIndex = 0): void {
    const pair = new Float64Array(2);
    this.#fill(out, firstIndex, (words, values) => {
      for (let lane = 0; lane < 4; lane += 2) {
        const radius = Math.sqrt(-2 * portableLog((words[lane]! + 1) / twoTo32));
        portableCosSin(pair, 2 * Math.PI * (words[lane + 1]! / twoTo32));
        values[lane] = mean + std * (radius * pair[0]!);
        values[lane + 1] = mean + std * (radius * pair[1]!);
      }
    });
  }

  #fill(out: Float32Array, firstIndex: number, convert: (words: Uint32Array, values: Float64Array) => void): void {
    const values = new Float64Array(4);
    let loaded = -1;
    for (let i = 0; i < out.length; i++) {
      const index = firstIndex + i;
      const block = Math.floor(index / 4);
      if (block !== loaded) {
        this.#load(block);
        convert(this.#words, values);
        loaded = block;
      }
      out[i] = values[index % 4]!;
    }
  }

  #load(block: number): void {
    const high = Math.floor(block / twoTo32);
    philoxInto(this.#words, this.#key0, this.#key1, block >>> 0, high, this.#path0, this.#path1);
  }
}

/** Seed and path as Philox takes them, each two uint32, the lower first. Throws what `randomStream` throws. */
export function randomWords(
  seed: number | bigint,
  ...path: (string | number)[]
): { readonly key: readonly [number, number]; readonly path: readonly [number, number] } {
  const words = (bits: bigint) => [Number(bits & 0xffffffffn), Number(bits >> 32n)] as const;
  return { key: words(seedBits(seed)), path: words(hashPath(path)) };
}

function seedBits(seed: number | bigint): bigint {
  const isInteger = typeof seed === "bigint" || Number.isSafeInteger(seed);
  const value = isInteger ? BigInt(seed) : undefined;
  if (value === undefined || value < -(2n ** 63n) || value >= 2n ** 64n) {
    throw new TuttiError(
      "BAD_OPTION",
      `seed must be an integer of at most 64 bits (a number: of at most 53), found ${seed}.`,
    );
  }
  return BigInt.asUintN(64, value);
}
