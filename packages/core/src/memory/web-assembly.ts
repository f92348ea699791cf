/** A `WebAssembly.Memory` made with `shared: true`. Growing by pages of 64 KiB keeps what its buffers hold. */
export interface SharedMemory {
  readonly buffer: SharedArrayBuffer;
  grow(pages: number): number;
}

interface WebAssemblyApi {
  readonly Memory: new (descriptor: { initial: number; maximum: number; shared: true }) => SharedMemory;
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (module: object, imports: { env: { memory: SharedMemory } }) => { readonly exports: object };
}

/** The part of the platform's WebAssembly that is used here: TypeScript declares it with the DOM only, which Node lacks. */
export const webAssembly = (globalThis as typeof globalThis & { WebAssembly: WebAssemblyApi }).WebAssembly;
