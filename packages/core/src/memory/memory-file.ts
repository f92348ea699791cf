import { closeSync, fstatSync, ftruncateSync } from "node:fs";
import { createRequire } from "node:module";
import type Koffi from "koffi";
import { TuttiError } from "../errors/index.ts";
import type { PageRange } from "./arena.ts";
import type { SharedMemory } from "./web-assembly.ts";

/** Of mmap(2), on Linux. Only readable pages would end the process when its memory grows: V8 makes all of it writable then. */
const readWrite = 3;
const sharedFixed = 0x01 | 0x10;
const closeOnExec = 1;

/** The C library's functions that Node does not offer. */
interface MemoryCalls {
  readonly createFile: (name: string) => number;
  /** Puts a file's bytes in the place of `pages`. */
  readonly map: (memory: SharedMemory, pages: PageRange, descriptor: number, offset: number) => void;
}

/**
 * A nameless file in memory (memfd_create(2)) whose pages are laid over pages of an arena: processes that have its descriptor
 * then see each other's writes where they are, without a copy. It lives as long as someone has it open or mapped.
 */
export class MemoryFile {
  readonly descriptor: number;
  readonly #calls: MemoryCalls;

  private constructor(descriptor: number, calls: MemoryCalls) {
    this.descriptor = descriptor;
    this.#calls = calls;
  }

  /** A new, empty one; undefined where there is no such thing (such as anywhere but on Linux). */
  static create(): MemoryFile | undefined {
    const calls = memoryCalls();
    const descriptor = calls?.createFile("tutti") ?? -1;
    return calls === undefined || descriptor < 0 ? undefined : new MemoryFile(descriptor, calls);
  }

  /** One that another process has made; undefined where its pages cannot be laid over an arena's. */
  static inherited(descriptor: number): MemoryFile | undefined {
    const calls = memoryCalls();
    return calls === undefined ? undefined : new MemoryFile(descriptor, calls);
  }

  /** What it holds now, whoever made it grow. */
  get bytes(): number {
    return fstatSync(this.descriptor).size;
  }

  /** Puts this file's bytes from `offset` on in the place of the arena's pages. Throws INTERNAL. */
  mapAt(memory: SharedMemory, pages: PageRange, offset: number): void {
    this.#calls.map(memory, pages, this.descriptor, offset);
  }

  /** As `mapAt` with the pages' own address for an offset; the file grows as needed. */
  layOver(memory: SharedMemory, pages: PageRange): void {
    const needed = pages.address + pages.bytes;
    if (needed > this.bytes) ftruncateSync(this.descriptor, needed); // what was never written takes no memory
    this.mapAt(memory, pages, pages.address);
  }

  close(): void {
    closeSync(this.descriptor);
  }
}

function memoryCalls(): MemoryCalls | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    const koffi = createRequire(import.meta.url)("koffi") as typeof Koffi; // optional: 10 ms that only those who share memory spend
    const library = koffi.load(null);
    const mmap = library.func("void *mmap(void *addr, size_t length, int prot, int flags, int fd, int64_t offset)");
    const memfdCreate = library.func("int memfd_create(const char *name, unsigned int flags)");
    return {
      createFile: (name) => Number(memfdCreate(name, closeOnExec)),
      map: (memory, { address, bytes }, descriptor, offset) => {
        // A shared memory never moves: growing only makes more of its reserved addresses usable.
        const at = koffi.address(Buffer.from(memory.buffer)) + BigInt(address);
        const mapped: unknown = mmap(at, bytes, readWrite, sharedFixed, descriptor, offset);
        if (koffi.address(mapped) !== at)
          throw new TuttiError("INTERNAL", `${bytes} bytes of shared memory could not be mapped`, { bytes, offset });
      },
    };
  } catch {
    return undefined;
  }
}
