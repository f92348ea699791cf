import { TuttiError } from "@tutti/core/errors";
import type { Generation, UpdatedGenerations } from "@tutti/core/exchange";
import { type CompiledOptimizer, checkOptimizer, compileOptimizer } from "@tutti/core/optim";
import type { FlatLayout } from "@tutti/core/step";
import type { MessageOf, ToWorker } from "@tutti/core/wire";
import type { Parameters } from "../parameters.ts";
import type { WorkerMemory } from "../worker-memory.ts";

type ReplicaMessage = MessageOf<ToWorker, "replica">;

/**
 * What a worker needs to apply an update itself: the optimizer and two generations of its state, beside the two of the
 * parameters, which it has anyway. State comes whole when the worker begins to take part, then only from its own updates.
 */
export class Replica implements UpdatedGenerations {
  readonly optimizer: CompiledOptimizer;
  readonly layout: FlatLayout;
  readonly statistics: ReplicaMessage["statistics"];
  readonly normBlockFloats: number;
  readonly updatedFloats: number;
  readonly #memory: WorkerMemory;
  readonly #parameters: Parameters;
  readonly #chunkFloats: number;
  readonly #slots: readonly [readonly number[], readonly number[]];
  #current: 0 | 1 = 0;
  /** The step whose state it holds; −1 for none. */
  #step = -1;
  #receiving = 0;
  #updates = 0;

  /** Throws BAD_OPTION for what is no optimizer, PROTOCOL for a layout that does not fit the welcome's sizes. */
  constructor(
    message: ReplicaMessage,
    welcome: MessageOf<ToWorker, "welcome">,
    parameters: Parameters,
    memory: WorkerMemory,
  ) {
    const { trainableFloats, trainable, statistics, normBlockFloats } = message;
    const { updatedFloats, chunkFloats, sumsFloats } = welcome;
    const isInside = ({ offset, length }: { offset: number; length: number }): boolean =>
      offset % 16 === 0 && offset + length <= trainableFloats;
    if (trainableFloats % 16 !== 0 || trainableFloats > updatedFloats || sumsFloats < updatedFloats)
      throw new TuttiError("PROTOCOL", `a replica of ${trainableFloats} floats of ${updatedFloats}`);
    if (!trainable.every(isInside)) throw new TuttiError("PROTOCOL", "a replica's layout does not fit its size");
    if (chunkFloats % normBlockFloats !== 0)
      throw new TuttiError("PROTOCOL", `blocks of ${normBlockFloats} floats do not fit chunks of ${chunkFloats}`);
    for (const { mean, variance, length } of statistics) {
      if (Math.max(mean, variance) + length > updatedFloats)
        throw new TuttiError("PROTOCOL", "a replica's statistics lie outside its parameters");
    }
    this.layout = { entries: trainable, totalFloats: trainableFloats };
    this.optimizer = compileOptimizer(checkOptimizer(message.optimizer), this.layout);
    this.statistics = statistics;
    this.normBlockFloats = normBlockFloats;
    this.updatedFloats = updatedFloats;
    this.#memory = memory;
    this.#parameters = parameters;
    this.#chunkFloats = chunkFloats;
    const slots = (generation: number): number[] =>
      this.optimizer.slots.map((_, i) => memory.block(`slot ${i} of ${generation}`, trainableFloats * 4));
    this.#slots = [slots(0), slots(1)];
  }

  get step(): number {
    return this.#step;
  }

  get updates(): number {
    return this.#updates;
  }

  get current(): Generation {
    return { parameters: this.#parameters.current.address, slots: this.#slots[this.#current] };
  }

  get next(): Generation {
    return { parameters: this.#parameters.stagingAddress, slots: this.#slots[this.#current === 0 ? 1 : 0] };
  }

  /** One chunk of the state at `step`: slot after slot, chunk after chunk. Throws PROTOCOL. */
  receive(step: number, slot: number, chunk: number, bytes: Uint8Array): void {
    const { totalFloats } = this.layout;
    const chunks = Math.ceil(totalFloats / this.#chunkFloats);
    const begin = chunk * this.#chunkFloats;
    const expected = (Math.min(totalFloats, begin + this.#chunkFloats) - begin) * 4;
    const address = this.#slots[this.#current][slot];
    if (slot === 0 && chunk === 0) this.#receiving = 0;
    if (address === undefined || slot * chunks + chunk !== this.#receiving || bytes.byteLength !== expected)
      throw new TuttiError("PROTOCOL", `state: chunk ${chunk} of slot ${slot} with ${bytes.byteLength} bytes`);
    this.#step = -1;
    this.#memory.arena.bytes(address + begin * 4, expected).set(bytes);
    this.#receiving++;
    if (this.#receiving === chunks * this.optimizer.slots.length) this.#step = step;
  }

  /** Before an update from `step`. Throws PROTOCOL if it does not hold that step's state. */
  expect(step: number, updates: number): void {
    if (this.optimizer.slots.length === 0) this.#step = step;
    if (this.#step !== step || this.#parameters.current.step !== step)
      throw new TuttiError("PROTOCOL", `an exchange of step ${step}; this worker holds the state of ${this.#step}`);
    this.#updates = updates;
  }

  /** What `next` held is current. */
  commit(step: number): void {
    this.#current = this.#current === 0 ? 1 : 0;
    this.#step = step;
  }

  skip(step: number): void {
    if (this.#step === step - 1) this.#step = step;
  }

  invalidate(): void {
    this.#step = -1;
  }
}
