import { type SharedMemory, webAssembly } from "./web-assembly.ts";

/** Tensors in flat buffers and frames start on multiples of this: the engine's reductions give other bits elsewhere. */
export const alignmentBytes = 64;

export function alignUp(bytes: number, to: number = alignmentBytes): number {
  return Math.ceil(bytes / to) * to;
}

const pageBytes = 65_536;

/**
 * One growing, shared `WebAssembly.Memory` with a bump allocator: home of a process's parameters, gradients and
 * optimizer state, seen by the kernels and (through SharedArrayBuffer) by every lane. Blocks live as long as the arena
 * and start on 64 bytes. Growing keeps every address and every view that was handed out.
 */
export class Arena {
  readonly memory: SharedMemory;
  #nextByte = alignmentBytes; // address 0 stays unused, so that 0 can mean "none"

  /** @param maximumBytes upper limit, reserved as address space, not as memory; at most 4 GiB − 64 KiB. */
  constructor(maximumBytes: number = 65_535 * pageBytes) {
    const maximum = Math.min(65_535, Math.ceil(maximumBytes / pageBytes));
    this.memory = new webAssembly.Memory({ initial: 1, maximum, shared: true });
  }

  /** Reserves zeroed bytes; returns their address, a multiple of 64. Throws RangeError beyond the maximum. */
  allocate(bytes: number): number {
    const address = this.#nextByte;
    const next = alignUp(address + bytes);
    const missing = next - this.memory.buffer.byteLength;
    if (missing > 0) this.memory.grow(Math.ceil(missing / pageBytes)); // before anything is taken: it may throw
    this.#nextByte = next;
    return address;
  }

  /** A float32 view of `length` elements at `address`; no copy. */
  floats(address: number, length: number): Float32Array<SharedArrayBuffer> {
    return new Float32Array(this.memory.buffer, address, length);
  }

  bytes(address: number, length: number): Uint8Array<SharedArrayBuffer> {
    return new Uint8Array(this.memory.buffer, address, length);
  }
}
