import { permutation } from "@tutti/core/random";
import { expect, test } from "vitest";

function all(seed: number, epoch: number, size: number): number[] {
  const order = permutation(seed, epoch, size);
  return Array.from({ length: size }, (_, position) => order.at(position));
}

test("every position gets its own thing, for any size", () => {
  const sizes = [
    ...Array.from({ length: 70 }, (_, index) => index),
    100,
    255,
    256,
    257,
    1000,
    1023,
    1024,
    1025,
    4097,
    60_000,
  ];
  for (const size of sizes) {
    const seen = new Uint8Array(size);
    for (const thing of all(1, 0, size)) seen[thing]!++;
    expect(
      seen.every((count) => count === 1),
      `size ${size}`,
    ).toBe(true);
  }
});

test("the order depends on seed, epoch and size, and on nothing else", () => {
  const first = all(1, 0, 1000);
  expect(all(1, 0, 1000)).toEqual(first);
  const order = permutation(1, 0, 1000);
  expect([999, 0, 500].map((position) => order.at(position))).toEqual([first[999], first[0], first[500]]);
  for (const other of [all(2, 0, 1000), all(1, 1, 1000), all(1, 0, 1001).slice(0, 1000)]) {
    const fixed = other.filter((thing, position) => thing === first[position]).length;
    expect(fixed).toBeLessThan(10); // one is expected by chance
  }
});

test("over the epochs every thing comes to every position about equally often", () => {
  // Bounds are the 99.99 % points of chi-square with (size − 1)² degrees of freedom, the seed is fixed.
  for (const [size, bound] of [
    [2, 15.1],
    [3, 23.5],
    [5, 45.9],
    [7, 77],
    [10, 136],
  ] as const) {
    const epochs = 2000;
    const counts = new Array<number>(size * size).fill(0);
    for (let epoch = 0; epoch < epochs; epoch++) {
      for (const [position, thing] of all(11, epoch, size).entries()) counts[position * size + thing]!++;
    }
    const expected = epochs / size;
    const chiSquare = counts.reduce((total, count) => total + (count - expected) ** 2 / expected, 0);
    expect(chiSquare, `size ${size}`).toBeLessThan(bound);
  }
});

test("neighbours in the data do not stay neighbours", () => {
  const order = all(5, 3, 60_000);
  const adjacent = order.slice(1).filter((thing, index) => Math.abs(thing - order[index]!) === 1).length;
  expect(adjacent).toBeLessThan(10); // two are expected by chance
  const meanOfFirstBatch = order.slice(0, 1000).reduce((sum, thing) => sum + thing, 0) / 1000;
  expect(Math.abs(meanOfFirstBatch - 30_000)).toBeLessThan(4 * (60_000 / Math.sqrt(12 * 1000)));
});

test("not one position has moved since this order was recorded", () => {
  expect(all(1, 2, 12)).toMatchInlineSnapshot(`
    [
      5,
      0,
      1,
      6,
      8,
      10,
      2,
      9,
      3,
      11,
      7,
      4,
    ]
  `);
  const large = permutation(1, 2, 2 ** 32);
  expect([0, 1, 2 ** 32 - 1].map((position) => large.at(position))).toMatchInlineSnapshot(`
    [
      581035806,
      3834623293,
      2365753216,
    ]
  `);
});

test("positions and sizes out of range are refused", () => {
  const order = permutation(1, 0, 10);
  for (const position of [-1, 10, 0.5, Number.NaN]) expect(() => order.at(position)).toThrow(RangeError);
  for (const size of [-1, 1.5, 2 ** 32 + 1]) expect(() => permutation(1, 0, size)).toThrow(/0 to 2\^32 things, found/);
});
