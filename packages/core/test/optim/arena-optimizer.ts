import { createKernels, type Kernels } from "@tutti/core/kernels";
import { Arena } from "@tutti/core/memory";
import {
  type CompiledOptimizer,
  compileOptimizer,
  type GenerationAddresses,
  type OptimizerDefinition,
} from "@tutti/core/optim";

/** A compiled optimizer over its own arena with two generations, for tests that care about numbers only. */
export class ArenaOptimizer {
  readonly compiled: CompiledOptimizer;
  readonly totalFloats: number;
  readonly #arena = new Arena();
  readonly #kernels: Kernels;
  readonly #length: number;
  readonly #gradientSum: number;
  #current: GenerationAddresses;
  #next: GenerationAddresses;
  step = 0;

  constructor(definition: OptimizerDefinition, start: readonly number[]) {
    this.#length = start.length;
    this.totalFloats = Math.ceil(start.length / 16) * 16;
    this.#kernels = createKernels(this.#arena.memory);
    const entries = [{ name: "p", offset: 0, length: start.length }];
    this.compiled = compileOptimizer(definition, { totalFloats: this.totalFloats, entries });
    const vector = () => this.#arena.allocate(this.totalFloats * 4);
    const generation = () => ({ parameters: vector(), slots: this.compiled.slots.map(vector) });
    this.#current = generation();
    this.#next = generation();
    this.#gradientSum = vector();
    this.#arena.floats(this.#current.parameters, start.length).set(start);
    for (const [slot, { initialValue }] of this.compiled.slots.entries()) {
      this.#arena.floats(this.#current.slots[slot]!, this.totalFloats).fill(initialValue);
    }
  }

  get parameters(): Float32Array {
    return this.#arena.floats(this.#current.parameters, this.#length);
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

  /** One update, range by range, between `cuts` (floats); clips by the global norm where the definition does. */
  update(gradientSum: Iterable<number>, divisor = 1, cuts: readonly number[] = []): void {
    this.#arena.floats(this.#gradientSum, this.#length).set([...gradientSum]);
    this.step++;
    const squares = this.#kernels.sumOfSquares(this.#gradientSum, this.totalFloats, divisor);
    const clipScale = this.compiled.needsGlobalNorm ? this.compiled.clipScale(Math.sqrt(squares)) : 1;
    const bounds = [0, ...cuts, this.totalFloats];
    for (const [index, end] of bounds.slice(1).entries()) {
      const range = { begin: bounds[index]!, end, step: this.step, divisor, clipScale };
      const addresses = { from: this.#current, to: this.#next, gradientSum: this.#gradientSum };
      this.compiled.update(this.#kernels, { ...range, ...addresses });
    }
    [this.#current, this.#next] = [this.#next, this.#current];
  }
}
