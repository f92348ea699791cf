import { philox, philoxInto } from "@tutti/core/random";
import { expect, test } from "vitest";

// Known answers published with Random123 by the authors of the paper ("kat_vectors", philox4x32, 10 rounds).
const knownAnswers = [
  { counter: [0, 0, 0, 0], key: [0, 0], words: [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8] },
  {
    counter: [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    key: [0xffffffff, 0xffffffff],
    words: [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  },
  {
    counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    key: [0xa4093822, 0x299f31d0],
    words: [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  },
] as const;

test("Philox4x32-10 gives the published words", () => {
  for (const { counter, key, words } of knownAnswers) expect([...philox(key, counter)]).toEqual(words);
});

test("Philox agrees with 64-bit integer arithmetic on arbitrary keys and counters", () => {
  const mask = 0xffffffffn;
  const reference = (key: bigint[], counter: bigint[]) => {
    let [c0, c1, c2, c3] = counter as [bigint, bigint, bigint, bigint];
    let [k0, k1] = key as [bigint, bigint];
    for (let round = 0; round < 10; round++) {
      const first = c0 * 0xd2511f53n;
      const second = c2 * 0xcd9e8d57n;
      [c0, c1, c2, c3] = [(second >> 32n) ^ c1 ^ k0, second & mask, (first >> 32n) ^ c3 ^ k1, first & mask];
      [k0, k1] = [(k0 + 0x9e3779b9n) & mask, (k1 + 0xbb67ae85n) & mask];
    }
    return [c0, c1, c2, c3].map(Number);
  };
  const words = new Uint32Array(6);
  for (let i = 0; i < 2000; i++) {
    const [k0 = 0, k1 = 0, c0 = 0, c1 = 0, c2 = 0, c3 = 0] = words;
    const wanted = reference([k0, k1].map(BigInt), [c0, c1, c2, c3].map(BigInt));
    const found = new Uint32Array(4);
    philoxInto(found, k0, k1, c0, c1, c2, c3);
    expect([...found]).toEqual(wanted);
    words.set([found[2]!, found[3]!, ...found]);
  }
});
