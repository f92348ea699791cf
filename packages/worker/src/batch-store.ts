import { type Arena, alignUp } from "@tutti/core/memory";

interface HeldShard {
  readonly program: string;
  readonly firstPosition: number;
  readonly address: number;
  readonly bytes: number;
}

/** Rows of shards that leases will need, in the arena. Blocks are used again, so a long run allocates nothing. */
export class BatchStore {
  readonly #arena: Arena;
  readonly #rounds = new Map<number, Map<number, HeldShard>>();
  readonly #free = new Map<number, number[]>();

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  /** @param firstPosition place of the shard's first sample in the global batch. */
  put(round: number, shard: number, program: string, firstPosition: number, rows: Uint8Array): void {
    const shards = this.#rounds.get(round) ?? new Map<number, HeldShard>();
    this.#rounds.set(round, shards);
    if (shards.has(shard)) return;
    const bytes = alignUp(Math.max(1, rows.byteLength));
    const address = this.#free.get(bytes)?.pop() ?? this.#arena.allocate(bytes);
    this.#arena.bytes(address, rows.byteLength).set(rows);
    shards.set(shard, { program, firstPosition, address, bytes });
  }

  get(round: number, shard: number): HeldShard | undefined {
    return this.#rounds.get(round)?.get(shard);
  }

  /** Frees a round's rows. The caller makes sure that nothing computes from them any more. */
  release(round: number): void {
    for (const { address, bytes } of this.#rounds.get(round)?.values() ?? []) {
      const free = this.#free.get(bytes) ?? [];
      this.#free.set(bytes, free);
      free.push(address);
    }
    this.#rounds.delete(round);
  }

  clear(): void {
    for (const round of [...this.#rounds.keys()]) this.release(round);
  }
}
