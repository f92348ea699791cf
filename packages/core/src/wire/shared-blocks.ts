import { type Arena, type MemoryFile, type PageRange, pageBytes } from "../memory/index.ts";

/**
 * What two processes have in common of their arenas, where both see it: blocks of this end's, which lie in its own memory file,
 * and blocks of the other's, mapped here when they are first named. "in BLOCK BYTES OFFSET LENGTH" names bytes of a block, by
 * the block's address at its owner and its size.
 */
export class SharedBlocks {
  readonly #arena: Arena;
  readonly #theirs: MemoryFile;
  readonly #mapped = new Map<string, PageRange>();

  /** @param theirs the other end's file. */
  constructor(arena: Arena, theirs: MemoryFile) {
    this.#arena = arena;
    this.#theirs = theirs;
  }

  /** How to name these bytes to the other end; undefined if it does not see them. */
  placeOf(data: Uint8Array): string | undefined {
    const pages = this.#arena.sharedPagesOf(data);
    if (pages === undefined) return undefined;
    return `in ${pages.address} ${pages.bytes} ${data.byteOffset - pages.address} ${data.byteLength}`;
  }

  /** The bytes that the other end has named; undefined if that is no name of any. */
  at(place: string): Buffer | undefined {
    const [, address, bytes, offset, length] = /^in (\d{1,10}) (\d{1,10}) (\d{1,10}) (\d{1,10})$/.exec(place) ?? [];
    const named: PageRange = { address: Number(address), bytes: Number(bytes) };
    const [begin, count] = [Number(offset), Number(length)];
    const areWhole = named.address % pageBytes === 0 && named.bytes % pageBytes === 0;
    if (!areWhole || !(count > 0) || begin + count > named.bytes) return undefined;
    const pages = this.#mapped.get(`${address} ${bytes}`) ?? this.#map(named);
    return pages && this.#arena.buffer(pages.address + begin, count);
  }

  /** The connection to that process is over for good: its blocks may be replaced once nothing uses them. */
  close(): void {
    for (const pages of this.#mapped.values()) this.#arena.retirePages(pages);
    this.#mapped.clear();
    this.#theirs.close();
  }

  #map(named: PageRange): PageRange | undefined {
    if (named.address + named.bytes > this.#theirs.bytes) return undefined; // reading it would be fatal
    const pages = this.#arena.takePages(named.bytes);
    this.#theirs.mapAt(this.#arena.memory, pages, named.address);
    this.#mapped.set(`${named.address} ${named.bytes}`, pages);
    return pages;
  }
}
