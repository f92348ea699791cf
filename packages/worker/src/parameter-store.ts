import { TuttiError } from "@tutti/core/errors";
import { combineChunkHashes } from "@tutti/core/exchange";
import type { Kernels } from "@tutti/core/kernels";
import type { Arena } from "@tutti/core/memory";
import type { ParameterBuffer, Parameters } from "./parameters.ts";

interface Buffer {
  readonly address: number;
  step: number;
  version: number;
}

/** Parameters as they come over a wire: copied into the worker's arena and hashed. Sized once per run. */
export class ParameterStore implements Parameters {
  readonly #arena: Arena;
  readonly #kernels: Kernels;
  readonly #floats: { readonly total: number; readonly updated: number; readonly chunk: number };
  readonly #hashScratch: number;
  readonly #buffers: readonly [Buffer, Buffer];
  #current: 0 | 1 = 0;
  #received = 0;
  #staged: { step: number; hashes: BigUint64Array; have: Uint8Array; missing: number } | undefined;
  #average: Buffer | undefined;
  #nextVersion = 1;

  constructor(
    arena: Arena,
    kernels: Kernels,
    floats: { readonly total: number; readonly updated: number; readonly chunk: number },
  ) {
    this.#arena = arena;
    this.#kernels = kernels;
    this.#floats = floats;
    this.#hashScratch = arena.allocate(8 * Math.max(1, this.#updateChunks));
    const buffer = (): Buffer => ({ address: arena.allocate(floats.total * 4), step: -1, version: 0 });
    this.#buffers = [buffer(), buffer()];
  }

  get #updateChunks(): number {
    return Math.ceil(this.#floats.updated / this.#floats.chunk);
  }

  get current(): ParameterBuffer {
    return this.#buffers[this.#current];
  }

  get stagingAddress(): number {
    return this.#buffers[this.#current === 0 ? 1 : 0].address;
  }

  borrow(): { address: number; version: number } {
    const buffer = this.#buffers[this.#current];
    buffer.step = -1;
    buffer.version = this.#nextVersion++;
    return buffer;
  }

  receive(step: number, chunk: number, bytes: Uint8Array): void {
    const buffer = this.#buffers[this.#current];
    if (chunk === 0) {
      buffer.step = -1;
      this.#received = 0;
      this.#staged = undefined;
    }
    if (chunk !== this.#received)
      throw new TuttiError("PROTOCOL", `parameters: chunk ${chunk}, expected ${this.#received}`);
    // Both generations: what updates do not cover must be the same in either.
    for (const { address } of this.#buffers) this.#write(address, chunk, bytes, this.#floats.total);
    this.#received++;
    if (this.#received * this.#floats.chunk < this.#floats.total) return;
    buffer.step = step;
    buffer.version = this.#nextVersion++;
  }

  get average(): ParameterBuffer {
    return this.#average ?? { address: 0, step: -1, version: 0 };
  }

  receiveAverage(step: number, chunk: number, chunks: number, floats: number, bytes: Uint8Array): void {
    this.#average ??= { address: this.#arena.allocate(this.#floats.total * 4), step: -1, version: 0 };
    if (chunk === 0) {
      this.#average.step = -1;
      this.#kernels.copy(this.#average.address, this.current.address, this.#floats.total);
    }
    this.#write(this.#average.address, chunk, bytes, floats);
    if (chunk < chunks - 1) return;
    this.#average.step = step;
    this.#average.version = this.#nextVersion++;
  }

  stage(step: number, chunk: number, bytes: Uint8Array): void {
    if (step !== this.current.step + 1)
      throw new TuttiError("PROTOCOL", `update to step ${step}; this worker is at ${this.current.step}`);
    const chunks = this.#updateChunks;
    this.#staged ??= { step, hashes: new BigUint64Array(chunks), have: new Uint8Array(chunks), missing: chunks };
    const address = this.#write(this.stagingAddress, chunk, bytes, this.#floats.updated);
    if (this.#staged.have[chunk] === 0) this.#staged.missing--;
    this.#staged.have[chunk] = 1;
    this.#staged.hashes[chunk] = this.#kernels.hash64(address, bytes.byteLength, 0n);
  }

  get isStaging(): boolean {
    return this.#staged !== undefined;
  }

  commit(step: number): string {
    const staged = this.#staged;
    this.#staged = undefined;
    if (staged === undefined || staged.step !== step || staged.missing > 0) return "";
    this.#current = this.#current === 0 ? 1 : 0;
    const buffer = this.#buffers[this.#current];
    buffer.step = step;
    buffer.version = this.#nextVersion++;
    return this.#hashOf(staged.hashes);
  }

  get stagedHash(): string {
    return this.#staged === undefined || this.#staged.missing > 0 ? "" : this.#hashOf(this.#staged.hashes);
  }

  skip(step: number): void {
    this.#staged = undefined;
    if (this.current.step === step - 1) this.#buffers[this.#current].step = step;
  }

  abort(): void {
    this.#staged = undefined;
  }

  #hashOf(hashes: BigUint64Array): string {
    return combineChunkHashes(this.#kernels, this.#arena, this.#hashScratch, hashes);
  }

  #write(base: number, chunk: number, bytes: Uint8Array, total: number): number {
    const begin = chunk * this.#floats.chunk;
    const expected = (Math.min(total, begin + this.#floats.chunk) - begin) * 4;
    if (bytes.byteLength !== expected) {
      throw new TuttiError("PROTOCOL", `chunk ${chunk}: ${bytes.byteLength} bytes, expected ${expected}`);
    }
    const address = base + begin * 4;
    const place = this.#arena.bytes(address, expected);
    if (bytes.buffer !== place.buffer || bytes.byteOffset !== address) place.set(bytes);
    return address;
  }
}
