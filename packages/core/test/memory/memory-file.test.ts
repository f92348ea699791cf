import { Arena, MemoryFile, pageBytes } from "@tutti/core/memory";
import { afterEach, describe, expect, test } from "vitest";

const probe = MemoryFile.create();
probe?.close();
if (probe === undefined) console.warn("SKIPPED: memory files need Linux and koffi, which this machine has not");
const opened: { close(): void }[] = [];

afterEach(() => {
  for (const one of opened.splice(0)) one.close();
});

/** An arena whose shared blocks lie in a new file. */
async function sharingArena() {
  const file = MemoryFile.create()!;
  opened.push(file);
  const arena = new Arena(1 << 26);
  arena.shareBlocks((pages) => file.layOver(arena.memory, pages));
  return { file, arena };
}

describe.skipIf(probe === undefined)("a file in memory", () => {
  test("laid over two arenas, holds what either writes, also after both have grown", async () => {
    const { file, arena } = await sharingArena();
    const address = arena.allocateShared(100_000);
    const pages = arena.sharedPagesOf(arena.bytes(address, 100_000))!;
    const other = new Arena(1 << 26);
    const mapped = other.takePages(pages.bytes);
    file.mapAt(other.memory, mapped, pages.address);

    arena.floats(address, 3).set([1, 2, 3]);
    expect([...other.floats(mapped.address, 4)]).toEqual([1, 2, 3, 0]);
    arena.allocate(5_000_000);
    other.allocate(5_000_000);
    other.floats(mapped.address, 3).set([4], 1);
    expect([...arena.floats(address, 3)]).toEqual([1, 4, 3]);
  });

  test("keeps blocks apart from each other and from what is not shared", async () => {
    const { arena } = await sharingArena();
    const before = arena.allocate(64);
    const one = arena.allocateShared(70_000);
    const two = arena.allocateShared(64);
    const after = arena.allocate(64);
    const all = [before, one, two, after];
    for (const [value, address] of all.entries()) arena.bytes(address, 64).fill(value + 1);
    expect(all.map((address) => arena.bytes(address, 64)[63])).toEqual([1, 2, 3, 4]);
    expect([one % pageBytes, two % pageBytes]).toEqual([0, 0]);
    expect(arena.sharedPagesOf(arena.bytes(one, 70_000))).toEqual({ address: one, bytes: 2 * pageBytes });
    expect(arena.sharedPagesOf(arena.bytes(before, 64))).toBeUndefined();
    expect(arena.sharedPagesOf(arena.bytes(one, 2 * pageBytes + 1))).toBeUndefined();
    expect(arena.sharedPagesOf(new Uint8Array(64))).toBeUndefined();
  });
});

describe("pages of an arena", () => {
  test("are given out again when they were retired and then reclaimed, to who wants as many", () => {
    const arena = new Arena(1 << 26);
    const first = arena.takePages(pageBytes + 1);
    arena.retirePages(first);
    expect(arena.takePages(2 * pageBytes).address).not.toBe(first.address); // something may still refer to them
    arena.reclaimPages();
    expect(arena.takePages(pageBytes).address).not.toBe(first.address);
    expect(arena.takePages(2 * pageBytes)).toEqual(first);
    expect(arena.takePages(2 * pageBytes).address).not.toBe(first.address);
  });

  test("views are known as the arena's own, whenever it has grown since", () => {
    const arena = new Arena(1 << 26);
    const address = arena.allocate(64);
    const views = Array.from({ length: 20 }, () => {
      arena.allocate(100_000);
      return arena.bytes(address, 64);
    });
    expect(views.every((view) => arena.owns(view))).toBe(true);
    expect(arena.owns(new Arena(1 << 20).bytes(64, 0))).toBe(false);
  });
});
