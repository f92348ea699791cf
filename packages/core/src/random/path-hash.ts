import { TuttiError } from "../errors/index.ts";

/**
 * FNV-1a, 64 bits (Fowler, Noll, Vo; RFC 9923), of a path's unambiguous encoding: for a string the byte 0x73 ("s"), its UTF-8
 * length as 4 bytes, its UTF-8 bytes; for an integer the byte 0x6e ("n") and 8 bytes of two's complement; all little
 * endian. So ["ab", "c"], ["a", "bc"], [1] and ["1"] differ. Throws TuttiError INTERNAL for a number that is no safe integer.
 */
export function hashPath(path: readonly (string | number)[]): bigint {
  const bytes: number[] = [];
  for (const part of path) {
    if (typeof part === "string") {
      const text = new TextEncoder().encode(part);
      bytes.push(0x73, ...littleEndian(BigInt(text.length), 4), ...text);
    } else if (Number.isSafeInteger(part)) {
      bytes.push(0x6e, ...littleEndian(BigInt(part), 8));
    } else {
      throw new TuttiError("INTERNAL", `A random stream's path takes strings and integers, found ${part}.`, { path });
    }
  }
  return fnv1a64(bytes);
}

/** FNV-1a, 64 bits, as an unsigned integer. */
export function fnv1a64(bytes: Iterable<number>): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash;
}

function littleEndian(value: bigint, count: number): number[] {
  return Array.from({ length: count }, (_, index) => Number((value >> BigInt(8 * index)) & 0xffn));
}
