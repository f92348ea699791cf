import type { TypedValues } from "../graph/graph.ts";
import type { DType } from "../graph/shape.ts";
import { alignUp, type SharedMemory } from "../memory/index.ts";

/** Memory in which tensors lie at byte addresses. Addresses stay valid; a view keeps its memory alive. */
export interface TensorMemory {
  /** Throws RangeError if the range is not inside the memory. */
  view(dtype: DType, address: number, elements: number): TypedValues;
}

interface ArrayType {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): TypedValues;
}

const arrays: Readonly<Record<DType, ArrayType>> = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  bool: Uint8Array,
};

/** Bytes of one element, as they lie in memory. */
export function bytesPerElement(dtype: DType): number {
  return arrays[dtype].BYTES_PER_ELEMENT;
}

/** The process's arena, as any thread sees it. */
export function sharedMemory(memory: SharedMemory): TensorMemory {
  return {
    view(dtype, address, elements) {
      // Another thread may have grown the memory; asking to grow by nothing makes this thread take notice.
      if (address + elements * bytesPerElement(dtype) > memory.buffer.byteLength) memory.grow(0);
      return new arrays[dtype](memory.buffer, address, elements);
    },
  };
}

/** Zeroed memory of one thread, for runtimes that refuse shared memory. Starts on a page, as the arena does. */
export function privateMemory(bytes: number): TensorMemory {
  const buffer = pageAlignedBuffer(bytes);
  return { view: (dtype, address, elements) => new arrays[dtype](buffer, address, elements) };
}

interface UnsharedMemoryApi {
  readonly Memory: new (descriptor: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
}

/** An ArrayBuffer's own start is only on 16 bytes; a WebAssembly.Memory's is on a page. */
function pageAlignedBuffer(bytes: number): ArrayBuffer {
  const { WebAssembly: api } = globalThis as typeof globalThis & { WebAssembly: UnsharedMemoryApi };
  const pages = alignUp(Math.max(bytes, 1), 65_536) / 65_536;
  return new api.Memory({ initial: pages, maximum: pages }).buffer;
}
