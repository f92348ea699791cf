import { TuttiError } from "@tutti/core/errors";
import type { Kernels } from "@tutti/core/kernels";
import type { Arena } from "@tutti/core/memory";
import type { ParameterBuffer, Parameters } from "./parameters.ts";

/**
 * The parameters of a worker that sees the coordinator's memory, in the same process or in another of the same machine: what it
 * is sent are views of the coordinator's two generations, so nothing is copied, and nothing can differ that a hash would find. The coordinator
 * writes t+1 while leases of t are computed, and t+2 over t once t+1 is committed, as it would on the wire.
 */
export class SharedParameters implements Parameters {
  readonly #arena: Arena;
  readonly #kernels: Kernels;
  readonly #floats: { readonly total: number; readonly chunk: number };
  #current: { address: number; step: number; version: number } = { address: 0, step: -1, version: 0 };
  #staged: { readonly step: number; readonly address: number } | undefined;
  /** Own memory: the canary's parameters, and averaged weights beside what is not averaged. */
  #canary: number | undefined;
  #average: { address: number; step: number; version: number } | undefined;
  #nextVersion = 1;

  constructor(arena: Arena, kernels: Kernels, floats: { readonly total: number; readonly chunk: number }) {
    this.#arena = arena;
    this.#kernels = kernels;
    this.#floats = floats;
  }

  get current(): ParameterBuffer {
    return this.#current;
  }

  get average(): ParameterBuffer {
    return this.#average ?? { address: 0, step: -1, version: 0 };
  }

  get stagingAddress(): number {
    return this.#staged?.address ?? 0;
  }

  get isStaging(): boolean {
    return this.#staged !== undefined;
  }

  get stagedHash(): string {
    return "";
  }

  borrow(): { address: number; version: number } {
    this.#canary ??= this.#arena.allocate(this.#floats.total * 4);
    return { address: this.#canary, version: this.#nextVersion++ };
  }

  receive(step: number, chunk: number, bytes: Uint8Array): void {
    this.#staged = undefined;
    this.#current = { address: this.#start(chunk, bytes), step, version: this.#nextVersion++ };
  }

  receiveAverage(step: number, chunk: number, chunks: number, _floats: number, bytes: Uint8Array): void {
    this.#average ??= { address: this.#arena.allocate(this.#floats.total * 4), step: -1, version: 0 };
    const { address } = this.#average;
    if (chunk === 0) {
      this.#average.step = -1;
      this.#kernels.copy(address, this.#current.address, this.#floats.total);
    }
    this.#arena.bytes(address + chunk * this.#floats.chunk * 4, bytes.byteLength).set(bytes);
    if (chunk < chunks - 1) return;
    this.#average.step = step;
    this.#average.version = this.#nextVersion++;
  }

  stage(step: number, chunk: number, bytes: Uint8Array): void {
    if (step !== this.#current.step + 1)
      throw new TuttiError("PROTOCOL", `update to step ${step}; this worker is at ${this.#current.step}`);
    this.#staged ??= { step, address: this.#start(chunk, bytes) };
  }

  /** The coordinator commits when its memory, which is this, holds t+1. */
  commit(step: number): string | undefined {
    const staged = this.#staged;
    this.#staged = undefined;
    if (staged?.step !== step) return "";
    this.#current = { ...staged, version: this.#nextVersion++ };
    return undefined;
  }

  skip(step: number): void {
    this.#staged = undefined;
    if (this.#current.step === step - 1) this.#current.step = step;
  }

  abort(): void {
    this.#staged = undefined;
  }

  /** Address of the generation that a chunk is a view of. */
  #start(chunk: number, bytes: Uint8Array): number {
    if (!this.#arena.owns(bytes)) throw new TuttiError("PROTOCOL", "parameters that are not in shared memory");
    return bytes.byteOffset - chunk * this.#floats.chunk * 4;
  }
}
