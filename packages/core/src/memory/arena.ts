import { type SharedMemory, webAssembly } from "./web-assembly.ts";

/** Tensors in flat buffers and frames start on multiples of this: the engine's reductions give other bits elsewhere. */
export const alignmentBytes = 64;

export function alignUp(bytes: number, to: number = alignmentBytes): number {
  return Math.ceil(bytes / to) * to;
}

/** WebAssembly's; a multiple of any machine's. */
export const pageBytes = 65_536;

/** Whole pages of an arena, both multiples of `pageBytes`. */
export interface PageRange {
  readonly address: number;
  readonly bytes: number;
}

/**
 * One growing, shared `WebAssembly.Memory` with a bump allocator: home of a process's parameters, gradients and
 * optimizer state, seen by the kernels and (through SharedArrayBuffer) by every lane. Blocks live as long as the arena
 * and start on 64 bytes. Growing keeps every address and every view that was handed out.
 */
export class Arena {
  readonly memory: SharedMemory;
  #nextByte = alignmentBytes; // address 0 stays unused, so that 0 can mean "none"
  #share: ((pages: PageRange) => void) | undefined;
  readonly #shared: PageRange[] = [];
  /** Every buffer that views were made of: growing makes another, at once or somewhat later. */
  readonly #buffers = new WeakSet<ArrayBufferLike>();
  #lastBuffer: SharedArrayBuffer | undefined;
  /** Pages whose use has ended, and those of them that nothing can refer to any more. */
  #retired: PageRange[] = [];
  #free: PageRange[] = [];

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

  /** From now on other processes may see what `allocateShared` gives: `share` puts their memory in the place of these pages. */
  shareBlocks(share: (pages: PageRange) => void): void {
    this.#share = share;
  }

  /** As `allocate`, for what other processes are to see where it is; whole pages if there is a way for them to. */
  allocateShared(bytes: number): number {
    if (this.#share === undefined) return this.allocate(bytes);
    const pages = this.takePages(bytes);
    this.#share(pages);
    this.#shared.push(pages);
    return pages.address;
  }

  /** The shared pages in which all of `view` lies; undefined if there are none. */
  sharedPagesOf(view: Uint8Array): PageRange | undefined {
    if (this.#shared.length === 0 || !this.owns(view)) return undefined;
    const { byteOffset, byteLength } = view;
    return this.#shared.find(
      ({ address, bytes }) => byteOffset >= address && byteOffset + byteLength <= address + bytes,
    );
  }

  /** True for a view that this arena has given. */
  owns(view: Uint8Array): boolean {
    return this.#buffers.has(view.buffer);
  }

  /** Whole pages with room for `bytes`; what is in them is whatever was there if they were given back before. */
  takePages(bytes: number): PageRange {
    const room = alignUp(bytes, pageBytes);
    const free = this.#free.findIndex((pages) => pages.bytes === room);
    if (free >= 0) return this.#free.splice(free, 1)[0]!;
    return { address: alignUp(this.allocate(room + pageBytes), pageBytes), bytes: room };
  }

  /** Gives pages back; they are not given out again before the next `reclaim`. */
  retirePages(pages: PageRange): void {
    this.#retired.push(pages);
  }

  /** Nothing refers to retired pages any more. */
  reclaimPages(): void {
    if (this.#retired.length === 0) return;
    this.#free.push(...this.#retired);
    this.#retired = [];
  }

  /** A float32 view of `length` elements at `address`; no copy. */
  floats(address: number, length: number): Float32Array<SharedArrayBuffer> {
    return new Float32Array(this.#buffer(), address, length);
  }

  bytes(address: number, length: number): Uint8Array<SharedArrayBuffer> {
    return new Uint8Array(this.#buffer(), address, length);
  }

  /** As `bytes`, for whoever wants Node's own kind of view. */
  buffer(address: number, length: number): Buffer {
    return Buffer.from(this.#buffer(), address, length);
  }

  #buffer(): SharedArrayBuffer {
    const { buffer } = this.memory;
    if (buffer !== this.#lastBuffer) {
      this.#buffers.add(buffer);
      this.#lastBuffer = buffer;
    }
    return buffer;
  }
}
