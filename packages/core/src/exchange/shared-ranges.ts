import { initialPlateau } from "../optim/index.ts";
import type { RangeWork, WorkKind } from "./range-work.ts";

/** Words that threads wait on and count with. */
const jobWord = 0;
const openWord = 1;
const missingWord = 2;
const failedWord = 3;
const words = 4;

/** Numbers in front of the slots' addresses. */
const fixedNumbers = 11;

const kindBits: readonly WorkKind[] = ["exactSquares", "quickSquares", "update"];

/** Floats [begin, end) of the layout. */
export interface FloatRange {
  readonly begin: number;
  readonly end: number;
}

/**
 * One job after the other, cut into ranges that threads take from each other: memory that they share. A job is over when the last of its
 * ranges is finished, whoever took it; the next may begin only then, so that whoever takes a range reads the job that it belongs to.
 */
export class SharedRanges {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #numbers: Float64Array<SharedArrayBuffer>;
  readonly #slots: number;

  /** @param slots of the optimizer. @param buffer another thread's, to see what it does. */
  constructor(slots: number, buffer?: SharedArrayBuffer) {
    const numbers = fixedNumbers + 2 * slots;
    this.buffer = buffer ?? new SharedArrayBuffer(4 * words + 8 * numbers);
    this.#words = new Int32Array(this.buffer, 0, words);
    this.#numbers = new Float64Array(this.buffer, 4 * words, numbers);
    this.#slots = slots;
  }

  /** Begins a job on [begin, end), `rangeFloats` at a time, and wakes those who wait for one. */
  begin(work: RangeWork, { begin, end }: FloatRange, rangeFloats: number): void {
    const { kinds, step, divisor, clipScale, gradientSum, plateau, from, to } = work;
    const kindMask = kindBits.reduce((mask, kind, bit) => (kinds.includes(kind) ? mask | (1 << bit) : mask), 0);
    const scale = plateau === undefined ? Number.NaN : plateau.scale;
    this.#numbers.set([begin, end, rangeFloats, kindMask, step, divisor, clipScale, gradientSum, scale]);
    this.#numbers.set([from.parameters, to.parameters, ...from.slots, ...to.slots], fixedNumbers - 2);
    const ranges = Math.ceil((end - begin) / rangeFloats);
    Atomics.store(this.#words, failedWord, 0);
    Atomics.store(this.#words, missingWord, ranges);
    Atomics.store(this.#words, openWord, ranges); // from here on they are taken
    Atomics.add(this.#words, jobWord, 1);
    Atomics.notify(this.#words, jobWord);
  }

  /** Takes a range of the job; undefined when all are taken. Whoever takes one calls `finished` or `failed`. */
  take(): FloatRange | undefined {
    for (let open = Atomics.load(this.#words, openWord); open > 0; ) {
      const found = Atomics.compareExchange(this.#words, openWord, open, open - 1);
      if (found === open) {
        // What is read before a range is taken may be the next job's, half written.
        const [begin = 0, end = 0, rangeFloats = 0] = this.#numbers;
        const at = begin + (open - 1) * rangeFloats;
        return { begin: at, end: Math.min(end, at + rangeFloats) };
      }
      open = found;
    }
    return undefined;
  }

  /** The job, for whoever has taken a range of it. */
  get work(): RangeWork {
    const slots = this.#slots;
    const [
      ,
      ,
      ,
      kindMask = 0,
      step = 0,
      divisor = 0,
      clipScale = 0,
      gradientSum = 0,
      scale = 0,
      from = 0,
      to = 0,
      ...rest
    ] = this.#numbers;
    return {
      kinds: kindBits.filter((_, bit) => (kindMask & (1 << bit)) !== 0),
      ...{ step, divisor, clipScale, gradientSum },
      from: { parameters: from, slots: rest.slice(0, slots) },
      to: { parameters: to, slots: rest.slice(slots) },
      ...(Number.isNaN(scale) ? {} : { plateau: { ...initialPlateau, scale } }), // rates depend on nothing else of it
    };
  }

  finished(): void {
    if (Atomics.sub(this.#words, missingWord, 1) === 1) Atomics.notify(this.#words, missingWord);
  }

  /** A taken range was not worked on to its end; nor will it be. */
  failed(): void {
    Atomics.store(this.#words, failedWord, 1);
    this.finished();
  }

  /** Blocks until the job is over, at most so long. @returns whether all of it was done. */
  waitUntilDone(limitMs: number): boolean {
    const beganMs = performance.now();
    let spins = 0;
    for (;;) {
      const missing = Atomics.load(this.#words, missingWord);
      if (missing === 0) return Atomics.load(this.#words, failedWord) === 0;
      if (++spins % 64 !== 0) continue;
      const waitedMs = performance.now() - beganMs;
      if (waitedMs > limitMs) return false;
      if (waitedMs > spinMs) Atomics.wait(this.#words, missingWord, missing, limitMs - waitedMs);
    }
  }

  /** Jobs begun so far: what `waitForJob` takes. */
  get jobs(): number {
    return Atomics.load(this.#words, jobWord);
  }

  /** Blocks until another job than the first `jobs` has begun. */
  waitForJob(jobs: number): void {
    Atomics.wait(this.#words, jobWord, jobs);
  }
}

/** Being woken takes about as long. */
const spinMs = 0.1;
