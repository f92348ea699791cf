import { type Arena, alignUp } from "../memory/index.ts";

/** Blocks of the arena that are used again and again: an arena frees nothing. */
export class BufferPool {
  readonly #arena: Arena;
  readonly #free = new Map<string, number[]>();

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  /**
   * A block of that many bytes, zeroed when it is new, else as it was given back. `purpose` keeps apart what must not be
   * mixed: the zeros between the tensors of a layout stay zero only as long as no other layout is written there.
   */
  take(bytes: number, purpose: string): Block {
    return this.#take(bytes, purpose, () => this.#arena.allocate(bytes));
  }

  /** As `take`, of memory that other processes may see. A purpose has either these blocks or the others. */
  takeShared(bytes: number, purpose: string): Block {
    return this.#take(bytes, purpose, () => this.#arena.allocateShared(bytes));
  }

  #take(bytes: number, purpose: string, allocate: () => number): Block {
    const key = `${purpose}/${alignUp(bytes)}`;
    return { key, address: this.#free.get(key)?.pop() ?? allocate() };
  }

  giveBack(blocks: readonly Block[]): void {
    for (const { key, address } of blocks) {
      const free = this.#free.get(key);
      if (free === undefined) this.#free.set(key, [address]);
      else free.push(address);
    }
  }
}

export interface Block {
  readonly key: string;
  readonly address: number;
}
