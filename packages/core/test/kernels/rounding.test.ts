import { createKernels, type Kernels, type PackedFormat, packedBytes } from "@tutti/core/kernels";
import { Arena } from "@tutti/core/memory";
import { philox } from "@tutti/core/random";
import fc from "fast-check";
import { expect, test } from "vitest";

const key = [0x12345678, 0x9abcdef0] as const;
const path = [0xdeadbeef, 0x00c0ffee] as const;
const formats = ["bf16", "int8"] as const;
const largest = 3.4028234663852886e38;

const awkward = [
  ...[0, -0, 1e-45, -1e-45, 1.17549421e-38, 1e-20, -3.5, 1, 0.1, -127, 127.5, 16777216, 1e19, 3.3e38, -3.38e38],
  ...[largest, -largest, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
].map(Math.fround);
const ordinary = fc.float({ noNaN: true, noDefaultInfinity: true, min: -4, max: 4 });
const anyFloat = fc.oneof(
  { weight: 20, arbitrary: ordinary },
  { weight: 4, arbitrary: fc.float({ noNaN: true, noDefaultInfinity: true }) },
  { weight: 1, arbitrary: fc.constantFrom(...awkward) },
);
const vector = fc
  .integer({ min: 1, max: 7 })
  .chain((blocks) => fc.array(anyFloat, { minLength: 16 * blocks, maxLength: 16 * blocks }));

const bits = (values: Float32Array<ArrayBufferLike>) => [...new Uint32Array(values.slice().buffer)];

/** The 16 random bits of a coordinate, as the kernels' documentation says. */
function randomBits(coordinate: number): number {
  const words = philox(key, [4 * Math.floor(coordinate / 32) + (coordinate % 4), 0, path[0], path[1]]);
  const word = words[Math.floor(coordinate / 4) % 4]!;
  return coordinate % 32 < 16 ? word & 0xffff : word >>> 16;
}

/** By arithmetic on numbers: the neighbours of x among multiples of 2^(exponent − 7), or of the smallest subnormal's. */
function bfloat16Reference(x: number, random: number): number {
  if (!Number.isFinite(x)) return x;
  const size = Math.abs(x);
  const exponent = Math.max(
    -126,
    Math.floor(Math.log2(size)) + (size >= 2 ** (Math.floor(Math.log2(size)) + 1) ? 1 : 0),
  );
  const unit = 2 ** ((size === 0 ? -126 : exponent) - 7);
  const rounded = Math.floor(size / unit + random / 65_536) * unit;
  return (Object.is(x, -0) || x < 0 ? -1 : 1) * (rounded >= 2 ** 128 ? Number.POSITIVE_INFINITY : rounded);
}

function int8Reference(values: readonly number[], random: (index: number) => number): number[] {
  const most = 127 * 2 ** 121;
  if (values.some((x) => !(Math.abs(x) <= most))) return values.map((x) => (Math.abs(x) <= most ? 0 : Number.NaN));
  const size = Math.max(...values.map(Math.abs));
  let unit = 2 ** -110;
  while (size > 127 * unit) unit *= 2;
  return values.map((x, i) => {
    const fixed = Math.trunc((Math.fround(x) / unit) * 65_536);
    return Math.floor((fixed + random(i)) / 65_536) * unit || 0;
  });
}

function place(arena: Arena, values: readonly number[]): number {
  const address = arena.allocate(values.length * 4);
  arena.floats(address, values.length).set(values);
  return address;
}

function rounded(
  to: PackedFormat,
  values: readonly number[],
  first = 0,
): { arena: Arena; kernels: Kernels; at: number } {
  const arena = new Arena(1 << 20);
  const kernels = createKernels(arena.memory);
  const at = place(arena, values);
  kernels.round(to, at, values.length, first, key, path);
  return { arena, kernels, at };
}

test("rounding to bfloat16 equals its definition bit for bit", () => {
  fc.assert(
    fc.property(vector, fc.constantFrom(0, 32, 65_536), (values, first) => {
      const { arena, at } = rounded("bf16", values, first);
      const wanted = values.map((x, i) => bfloat16Reference(Math.fround(x), randomBits(first + i)));
      expect(bits(arena.floats(at, values.length))).toEqual(bits(Float32Array.from(wanted)));
    }),
    { seed: 1, numRuns: 300 },
  );
});

test("rounding to int8 blocks equals its definition bit for bit", () => {
  fc.assert(
    fc.property(vector, fc.constantFrom(0, 32, 65_536), (values, first) => {
      const { arena, at } = rounded("int8", values, first);
      const wanted: number[] = [];
      for (let begin = 0; begin < values.length; begin += 32)
        wanted.push(...int8Reference(values.slice(begin, begin + 32), (i) => randomBits(first + begin + i)));
      expect(bits(arena.floats(at, values.length))).toEqual(bits(Float32Array.from(wanted)));
    }),
    { seed: 2, numRuns: 300 },
  );
});

test.each(formats)("packing what was rounded to %s loses nothing, in place or not, and writes no byte more", (to) => {
  fc.assert(
    fc.property(vector, (values) => {
      const { arena, kernels, at } = rounded(to, values);
      const wanted = bits(arena.floats(at, values.length));
      const bytes = packedBytes(to, values.length);
      const packed = arena.allocate(values.length * 4 + 64);
      arena.bytes(packed, values.length * 4 + 64).fill(0xa5);
      kernels.pack(to, packed, at, values.length);
      expect(arena.bytes(packed + bytes, 64).every((byte) => byte === 0xa5)).toBe(true);
      kernels.pack(to, at, at, values.length);
      expect(arena.bytes(at, bytes)).toEqual(arena.bytes(packed, bytes));
      const unpacked = place(arena, values);
      kernels.unpack(to, unpacked, packed, values.length);
      const found = bits(arena.floats(unpacked, values.length));
      expect(found).toEqual(wanted);
    }),
    { seed: 3, numRuns: 300 },
  );
});

test.each(formats)("rounding a range to %s in parts gives the same bits", (to) => {
  const values = Array.from({ length: 160 }, (_, i) => Math.fround(Math.sin(i) * 1.7 ** (i % 11)));
  const { arena, kernels, at } = rounded(to, values);
  const parts = place(arena, values);
  kernels.round(to, parts + 96 * 4, 64, 96, key, path);
  kernels.round(to, parts, 96, 0, key, path);
  expect(bits(arena.floats(parts, 160))).toEqual(bits(arena.floats(at, 160)));
  expect(() => kernels.round(to, parts, 16, 16, key, path)).toThrow(/block of 32 coordinates, found 16/);
});

test.each([
  ["bf16", 0.3, 2 ** -9],
  ["int8", 0.3, 2 ** -7],
] as const)("rounding to %s is right on average", (to, x, unit) => {
  const count = 32 * 4000;
  // One coordinate of each block is 0.98, so that 0.3 is no multiple of the unit that it sets.
  const values = Array.from({ length: count }, (_, i) => Math.fround(i % 32 === 0 ? 0.98 : x));
  const { arena, at } = rounded(to, values);
  const found = [...arena.floats(at, count)].filter((_, i) => i % 32 !== 0);
  const mean = found.reduce((sum, value) => sum + value, 0) / found.length;
  const share = (Math.fround(x) / unit) % 1;
  const deviation = unit * Math.sqrt((share * (1 - share)) / found.length);
  expect(Math.abs(mean - Math.fround(x))).toBeLessThan(4 * deviation + unit / 65_536);
  expect(new Set(found)).toEqual(new Set([Math.floor(x / unit) * unit, Math.ceil(x / unit) * unit]));
});

test("any bytes unpack to some floats", () => {
  const arena = new Arena(1 << 20);
  const kernels = createKernels(arena.memory);
  const [packed, at] = [arena.allocate(64), arena.allocate(128)];
  for (let exponent = 0; exponent < 256; exponent++) {
    arena.bytes(packed, 33).fill(0x81);
    arena.bytes(packed, 33)[0] = exponent;
    kernels.unpack("int8", at, packed, 32);
    const expected = exponent < 23 ? Number.NaN : -127 * 2 ** (exponent - 133);
    expect(arena.floats(at, 32)).toEqual(new Float32Array(32).fill(expected));
  }
});
