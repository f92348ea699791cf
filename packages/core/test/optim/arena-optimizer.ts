import { createKernels, type Kernels } from "@tutti/core/kernels";
import { Arena } from "@tutti/core/memory";
import {
  type CompiledOptimizer,
  compileOptimizer,
  type GenerationAddresses,
  type OptimizerDefinition,
  type OptimizerLayout,
  type PlateauState,
} from "@tutti/core/optim";
import { flatLayout } from "@tutti/core/step";

/**
 * A compiled optimizer over its own arena with two generations, for tests that care about numbers only. Vectors are given
 * and returned without padding, one parameter after the other; by default there is one parameter, "p".
 */
export class ArenaOptimizer {
  readonly compiled: CompiledOptimizer;
  readonly totalFloats: number;
  readonly #arena = new Arena();
  readonly #kernels: Kernels;
  readonly #layout: OptimizerLayout;
  readonly #gradientSum: number;
  #current: GenerationAddresses;
  #next: GenerationAddresses;
  step = 0;
  plateau: PlateauState | undefined;

  constructor(
    definition: OptimizerDefinition,
    start: readonly number[],
    shapes: Readonly<Record<string, readonly number[]>> = { p: [start.length] },
  ) {
    this.#layout = flatLayout(Object.entries(shapes).map(([name, shape]) => ({ name, shape })));
    this.totalFloats = this.#layout.totalFloats;
    this.#kernels = createKernels(this.#arena.memory);
    this.compiled = compileOptimizer(definition, this.#layout);
    const vector = () => this.#arena.allocate(this.totalFloats * 4);
    const generation = () => ({ parameters: vector(), slots: this.compiled.slots.map(vector) });
    this.#current = generation();
    this.#next = generation();
    this.#gradientSum = vector();
    this.#write(this.#current.parameters, start);
    for (const [slot, { initialValue }] of this.compiled.slots.entries()) {
      this.#arena.floats(this.#current.slots[slot]!, this.totalFloats).fill(initialValue);
    }
  }

  get parameters(): Float32Array {
    return this.#read(this.#current.parameters);
  }

  slot(index: number): Float32Array {
    return this.#read(this.#current.slots[index]!);
  }

  /** Parameters and slots of the current generation with their padding. */
  get state(): Float32Array[] {
    const { parameters, slots } = this.#current;
    return [parameters, ...slots].map((address) => this.#arena.floats(address, this.totalFloats).slice());
  }

  /** Takes over what `state` gave, after `step` updates. */
  restore(state: readonly Float32Array[], step: number): void {
    const { parameters, slots } = this.#current;
    for (const [index, address] of [parameters, ...slots].entries()) {
      this.#arena.floats(address, this.totalFloats).set(state[index]!);
    }
    this.step = step;
  }

  /** One update, range by range, between `cuts` (floats), the last first if they fall; clips where the definition does. */
  update(gradientSum: Iterable<number>, divisor = 1, cuts: readonly number[] = []): void {
    this.#write(this.#gradientSum, [...gradientSum]);
    this.step++;
    const squares = this.#kernels.sumOfSquares(this.#gradientSum, this.totalFloats, divisor);
    const clipScale = this.compiled.needsGlobalNorm ? this.compiled.clipScale(Math.sqrt(squares)) : 1;
    const isRising = cuts.length < 2 || cuts[0]! < cuts[1]!;
    const bounds = isRising ? [0, ...cuts, this.totalFloats] : [this.totalFloats, ...cuts, 0];
    const plateau = this.plateau === undefined ? {} : { plateau: this.plateau };
    for (const [index, bound] of bounds.slice(1).entries()) {
      const [begin, end] = isRising ? [bounds[index]!, bound] : [bound, bounds[index]!];
      const range = { ...plateau, begin, end, step: this.step, divisor, clipScale };
      const addresses = { from: this.#current, to: this.#next, gradientSum: this.#gradientSum };
      this.compiled.update(this.#kernels, { ...range, ...addresses });
    }
    [this.#current, this.#next] = [this.#next, this.#current];
  }
  /** Floats [begin, end) of parameters and slots after the next update, from a call for this range alone; commits nothing. */
  updatedRange(gradientSum: readonly number[], divisor: number, begin: number, end: number): Float32Array[] {
    this.#write(this.#gradientSum, gradientSum);
    const { parameters, slots } = this.#next;
    const addresses = [parameters, ...slots];
    for (const address of addresses) this.#arena.floats(address, this.totalFloats).fill(Number.NaN);
    const range = { begin, end, step: this.step + 1, divisor, clipScale: 1, gradientSum: this.#gradientSum };
    this.compiled.update(this.#kernels, { ...range, from: this.#current, to: this.#next });
    return addresses.map((address) => this.#arena.floats(address, this.totalFloats).slice(begin, end));
  }

  #write(address: number, values: readonly number[]): void {
    let at = 0;
    for (const { offset, length } of this.#layout.entries) {
      this.#arena.floats(address + offset * 4, length).set(values.slice(at, at + length));
      at += length;
    }
  }

  #read(address: number): Float32Array {
    return Float32Array.from(
      this.#layout.entries.flatMap(({ offset, length }) => [...this.#arena.floats(address + offset * 4, length)]),
    );
  }
}
