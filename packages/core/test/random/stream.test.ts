import { createHash } from "node:crypto";
import { philox, randomStream } from "@tutti/core/random";
import { expect, test } from "vitest";
import { fnv1a64, hashPath } from "../../src/random/path-hash.ts";

test("FNV-1a gives the published hashes", () => {
  const hash = (text: string) => fnv1a64(new TextEncoder().encode(text)).toString(16);
  expect([hash(""), hash("a"), hash("foobar")]).toEqual(["cbf29ce484222325", "af63dc4c8601ec8c", "85944171f73967e8"]);
});

test("paths that read alike are different paths", () => {
  const paths = [["ab", "c"], ["a", "bc"], ["abc"], [1], ["1"], [1, 0], [0, 1], [-1], [2 ** 32], [], ["é"], ["e"]];
  expect(new Set(paths.map(hashPath)).size).toBe(paths.length);
  expect(() => hashPath([0.5])).toThrow(/integers, found 0.5/);
});

test("value i is word i mod 4 of Philox at block ⌊i/4⌋, keyed by the seed", () => {
  const seed = 0x0123456789abcdefn;
  const path = hashPath(["init", "fc1.weight"]);
  const stream = randomStream(seed, "init", "fc1.weight");
  for (const index of [0, 1, 5, 1002, 2 ** 34 + 3, 2 ** 40 + 1]) {
    const block = BigInt(Math.floor(index / 4));
    const words = [block & 0xffffffffn, block >> 32n, path & 0xffffffffn, path >> 32n].map(Number);
    const [c0, c1, c2, c3] = words as [number, number, number, number];
    expect(stream.uint32At(index)).toBe(philox([0x89abcdef, 0x01234567], [c0, c1, c2, c3])[index % 4]);
  }
});

test("a fill from the middle equals the middle of a fill, whatever was asked before", () => {
  for (const method of ["fillUniform", "fillNormal"] as const) {
    const whole = new Float32Array(1000);
    randomStream(7, "x")[method](whole, 0.25, 2);
    const stream = randomStream(7, "x");
    for (const [first, length] of [
      [997, 3],
      [0, 1],
      [1, 6],
      [403, 250],
    ] as const) {
      const part = new Float32Array(length);
      stream[method](part, 0.25, 2, first);
      expect(part).toEqual(whole.slice(first, first + length));
    }
  }
});

test("uniform values fill their range evenly", () => {
  const values = new Float32Array(100_000);
  randomStream(3, "uniform").fillUniform(values, -1, 3);
  const counts = new Array<number>(100).fill(0);
  for (const value of values) counts[Math.min(99, Math.floor((value + 1) * 25))]!++;
  const chiSquare = counts.reduce((total, count) => total + (count - 1000) ** 2 / 1000, 0);
  expect(chiSquare).toBeLessThan(149); // 99 degrees of freedom: exceeded by one seed in a thousand
  expect(Math.min(...values)).toBeGreaterThanOrEqual(-1);
  expect(Math.max(...values)).toBeLessThanOrEqual(3);
});

test("normal values have the moments and the tails of the normal distribution", () => {
  const count = 200_000;
  const values = new Float32Array(count);
  randomStream(3, "normal").fillNormal(values, 5, 2);
  const standard = Array.from(values, (value) => (value - 5) / 2);
  const moment = (power: number) => standard.reduce((total, value) => total + value ** power, 0) / count;
  const within = (found: number, wanted: number, variance: number) =>
    expect(Math.abs(found - wanted)).toBeLessThan(4 * Math.sqrt(variance / count));
  within(moment(1), 0, 1);
  within(moment(2), 1, 2);
  within(moment(3), 0, 15);
  within(moment(4), 3, 96);
  const beyond = (limit: number) => standard.filter((value) => Math.abs(value) > limit).length / count;
  within(beyond(1), 0.317310508, 0.317 * 0.683);
  within(beyond(2), 0.045500264, 0.0455 * 0.9545);
  within(beyond(3), 0.002699796, 0.0027);
  const lag = standard.slice(1).reduce((total, value, index) => total + value * standard[index]!, 0) / count;
  within(lag, 0, 1);
});

test("not one bit of a stream has changed since these hashes were recorded", () => {
  const hash = (values: Float32Array) =>
    createHash("sha256").update(new Uint8Array(values.buffer)).digest("hex").slice(0, 32);
  const normal = new Float32Array(4096);
  const uniform = new Float32Array(4096);
  randomStream(-1, "init", "fc1.weight", 3).fillNormal(normal, 0, 0.02);
  randomStream(2n ** 64n - 1n, "init", "fc1.weight", 3).fillUniform(uniform, -0.05, 0.05);
  expect({ normal: hash(normal), uniform: hash(uniform) }).toMatchInlineSnapshot(`
    {
      "normal": "eebe61edb860f78549c32414324c2a06",
      "uniform": "e24f3b4569f58f6027d907136653fcda",
    }
  `);
});

test("a seed that is no 64-bit integer is refused with the value found", () => {
  for (const seed of [0.5, Number.NaN, 2 ** 53, 2n ** 64n]) {
    expect(() => randomStream(seed)).toThrow(
      `seed must be an integer of at most 64 bits (a number: of at most 53), found ${seed}`,
    );
  }
});
