import { createKernels } from "@tutti/core/kernels";
import { Arena } from "@tutti/core/memory";
import fc from "fast-check";
import { expect, test } from "vitest";

const awkward = [0, -0, 1e-45, -1e-45, 1.17549421e-38, 1e-20, -3.5, 1, 16777216, 1e19, 3.4028234e38, -3.4028234e38].map(
  Math.fround,
);
const anyFloat = fc.oneof(fc.constantFrom(...awkward), fc.float({ noNaN: true, noDefaultInfinity: true }));
const vector = fc
  .integer({ min: 0, max: 6 })
  .chain((blocks) => fc.array(anyFloat, { minLength: 16 * blocks, maxLength: 16 * blocks }));

const limits = fc.constantFrom(0.1, 1, 3.5, 1e10, 1e38);

function place(arena: Arena, values: readonly number[]): number {
  const address = arena.allocate(Math.max(64, values.length * 4));
  arena.floats(address, values.length).set(values);
  return address;
}

const bits = (values: Float32Array<ArrayBufferLike>) => [...new Uint32Array(values.slice().buffer)];

test("the module owns no byte of the memory", () => {
  const arena = new Arena();
  const before = arena.bytes(0, 65_536);
  before.fill(0xa5);
  createKernels(arena.memory);
  expect(before.every((byte) => byte === 0xa5)).toBe(true);
});

test("add equals a Math.fround loop bit for bit, also onto its own operand", () => {
  fc.assert(
    fc.property(vector, (values) => {
      const arena = new Arena(1 << 20);
      const kernels = createKernels(arena.memory);
      const other = values.map((_, index) => values[(index * 7 + 3) % values.length]!);
      const a = place(arena, values);
      const b = place(arena, other);
      const dst = place(arena, values);
      const wanted = bits(Float32Array.from(values, (value, index) => Math.fround(value + other[index]!)));
      kernels.add(dst, a, b, values.length);
      expect(bits(arena.floats(dst, values.length))).toEqual(wanted);
      kernels.add(a, a, b, values.length);
      expect(bits(arena.floats(a, values.length))).toEqual(wanted);
    }),
    { seed: 1, numRuns: 100 },
  );
});

test("copy keeps every bit, NaN payloads included, and touches nothing else", () => {
  const arena = new Arena();
  const kernels = createKernels(arena.memory);
  const src = arena.allocate(128);
  const dst = arena.allocate(192);
  new Uint32Array(arena.memory.buffer, src, 32).fill(0x7fa00001);
  kernels.copy(dst, src, 32);
  expect([...new Uint32Array(arena.memory.buffer, dst, 48)]).toEqual([
    ...new Array(32).fill(0x7fa00001),
    ...new Array(16).fill(0),
  ]);
});

function sumOfSquares(values: readonly number[], divisor: number): number {
  const lanes = new Float64Array(8);
  for (const [index, value] of values.entries()) {
    const quotient = Math.fround(Math.fround(value) / Math.fround(divisor));
    lanes[index % 8]! += quotient * quotient;
  }
  const [l0, l1, l2, l3, l4, l5, l6, l7] = [...lanes] as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return l0 + l2 + (l4 + l6) + (l1 + l3 + (l5 + l7));
}

test("the sum of squares equals its definition bit for bit, at every address", () => {
  fc.assert(
    fc.property(vector, fc.constantFrom(1, 3, 256, 1e-3, 77.7), (values, divisor) => {
      const arena = new Arena(1 << 20);
      const kernels = createKernels(arena.memory);
      const wanted = sumOfSquares(values, divisor);
      for (let copies = 0; copies < 3; copies++) {
        const found = kernels.sumOfSquares(place(arena, values), values.length, divisor);
        expect(Object.is(found, wanted), `${found} is not ${wanted}`).toBe(true);
      }
    }),
    { seed: 2, numRuns: 200 },
  );
});

/** By the words of its docstring: 64 at a time, what is left 16 at a time. */
function quickSquares(values: readonly number[]): number {
  const square = (i: number): number => Math.fround(Math.fround(values[i]!) ** 2);
  const add = (a: number, b: number): number => Math.fround(a + b);
  const four = (at: number, floats: number): number[] => {
    const lanes = Array.from({ length: 16 }, (_, lane) => {
      let sum = square(at + lane);
      for (let i = lane + 16; i < floats; i += 16) sum = add(sum, square(at + i));
      return sum;
    });
    return [0, 1, 2, 3].map((l) => add(add(lanes[l]!, lanes[l + 4]!), add(lanes[l + 8]!, lanes[l + 12]!)));
  };
  const sums = [0, 0, 0, 0];
  const wholes = values.length - (values.length % 64);
  for (let at = 0; at < wholes; at += 64) for (const [l, one] of four(at, 64).entries()) sums[l]! += one;
  let rest = [0, 0, 0, 0];
  for (let at = wholes; at < values.length; at += 16) rest = four(at, 16).map((one, l) => add(rest[l]!, one));
  for (const [l, one] of rest.entries()) sums[l]! += one;
  return sums[0]! + sums[2]! + (sums[1]! + sums[3]!);
}

test("the quick sum of squares equals its definition bit for bit, at every address, and the exact one to 1e-6", () => {
  const values = fc
    .integer({ min: 0, max: 13 })
    .chain((blocks) => fc.array(anyFloat, { minLength: 16 * blocks, maxLength: 16 * blocks }));
  const places = [0, 16, 32, 48];
  let compared = 0;
  fc.assert(
    fc.property(values, fc.constantFrom(1, 1e-30, 1e-20), (wide, scale) => {
      const numbers = wide.map((value) => Math.fround(value * scale));
      const arena = new Arena(1 << 20);
      const kernels = createKernels(arena.memory);
      const wanted = quickSquares(numbers);
      for (const gap of places) {
        arena.allocate(gap * 4);
        const found = kernels.quickSquares(place(arena, numbers), numbers.length);
        expect(Object.is(found, wanted), `${found} is not ${wanted}`).toBe(true);
      }
      const exact = sumOfSquares(numbers, 1);
      if (wanted === Number.POSITIVE_INFINITY || exact < 1e-25) return;
      compared++;
      expect(Math.abs(wanted - exact)).toBeLessThan(1e-6 * exact);
    }),
    { seed: 21, numRuns: 200 },
  );
  expect(compared).toBeGreaterThan(20);
});

test("limiting rows equals its definition bit for bit, for rows of every length and start", () => {
  const row = fc
    .integer({ min: 1, max: 19 })
    .chain((floats) => fc.tuple(fc.constant(floats), fc.integer({ min: 0, max: 7 })));
  fc.assert(
    fc.property(
      row,
      fc.array(anyFloat, { minLength: 140, maxLength: 140 }),
      limits,
      ([floats, rows], values, limit) => {
        const arena = new Arena(1 << 20);
        const kernels = createKernels(arena.memory);
        const wanted = [...values];
        for (let start = 0; start < rows * floats; start += floats) {
          const lanes = [0, 0, 0, 0];
          for (let j = 0; j < floats; j++) lanes[j % 4]! += values[start + j]! ** 2;
          const norm = Math.sqrt(lanes[0]! + lanes[1]! + (lanes[2]! + lanes[3]!));
          if (norm <= limit) continue;
          const scale = Math.fround(limit / (norm + 1e-7));
          for (let j = start; j < start + floats; j++) wanted[j] = Math.fround(values[j]! * scale);
        }
        const address = place(arena, values);
        kernels.raw.limitRows(address, rows, floats, limit);
        expect(bits(arena.floats(address, 140))).toEqual(bits(Float32Array.from(wanted)));
      },
    ),
    { seed: 3, numRuns: 400 },
  );
});

test("the sum of squares is finite for the largest floats and not finite with one NaN or infinity anywhere", () => {
  const arena = new Arena();
  const kernels = createKernels(arena.memory);
  const address = arena.allocate(64 * 4);
  const values = arena.floats(address, 64);
  values.fill(3.4028234e38);
  expect(kernels.sumOfSquares(address, 64, 1)).toBe(64 * Math.fround(3.4028234e38) ** 2);
  expect(kernels.firstNonFinite(address, 64)).toBe(-1);
  for (let index = 0; index < 64; index++) {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      values[index] = bad;
      expect(Number.isFinite(kernels.sumOfSquares(address, 64, 8))).toBe(false);
      expect(Number.isFinite(kernels.quickSquares(address, 64))).toBe(false);
      expect(kernels.firstNonFinite(address, 64)).toBe(index);
      values[63] = index % 2 === 0 ? 1 : bad;
      expect(kernels.firstNonFinite(address, 64)).toBe(index === 63 && index % 2 === 0 ? -1 : index);
      values[63] = 1;
    }
    values[index] = -3.4028234e38;
  }
});

/** XXH64 in BigInt, from its specification. */
function xxh64(data: Uint8Array, seed: bigint): bigint {
  const [p1, p2, p3, p4, p5] = [
    11400714785074694791n,
    14029467366897019727n,
    1609587929392839161n,
    9650029242287828579n,
    2870177450012600261n,
  ] as const;
  const u64 = (value: bigint) => BigInt.asUintN(64, value);
  const rotate = (value: bigint, by: bigint) => u64((value << by) | (value >> (64n - by)));
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const round = (lane: bigint, word: bigint) => u64(rotate(u64(lane + word * p2), 31n) * p1);
  let at = 0;
  let hash = u64(seed + p5);
  if (data.length >= 32) {
    const lanes = [seed + p1 + p2, seed + p2, seed, seed - p1].map(u64);
    for (; at + 32 <= data.length; at += 32) {
      for (let lane = 0; lane < 4; lane++) lanes[lane] = round(lanes[lane]!, view.getBigUint64(at + 8 * lane, true));
    }
    hash = u64([1n, 7n, 12n, 18n].reduce((total, by, lane) => total + rotate(lanes[lane]!, by), 0n));
    for (const lane of lanes) hash = u64((hash ^ round(0n, lane)) * p1 + p4);
  }
  hash = u64(hash + BigInt(data.length));
  for (; at + 8 <= data.length; at += 8) {
    hash = u64(rotate(hash ^ round(0n, view.getBigUint64(at, true)), 27n) * p1 + p4);
  }
  for (; at + 4 <= data.length; at += 4)
    hash = u64(rotate(hash ^ u64(BigInt(view.getUint32(at, true)) * p1), 23n) * p2 + p3);
  for (; at < data.length; at++) hash = u64(rotate(hash ^ u64(BigInt(data[at]!) * p5), 11n) * p1);
  hash = u64((hash ^ (hash >> 33n)) * p2);
  hash = u64((hash ^ (hash >> 29n)) * p3);
  return hash ^ (hash >> 32n);
}

test("hash64 is XXH64: published answers, and the specification in BigInt at every length", () => {
  const arena = new Arena();
  const kernels = createKernels(arena.memory);
  const address = arena.allocate(256);
  const data = arena.bytes(address, 256);
  const hashText = (text: string) => {
    data.set(new TextEncoder().encode(text));
    return kernels.hash64(address, text.length, 0n).toString(16);
  };
  expect(hashText("")).toBe("ef46db3751d8e999");
  expect(hashText("a")).toBe("d24ec4f1a98c6e5b");
  expect(hashText("abc")).toBe("44bc2cf5ad770999");
  for (let index = 0; index < 256; index++) data[index] = (index * 167 + 13) & 0xff;
  for (let length = 0; length <= 256; length++) {
    for (const seed of [0n, 1n, 0xfedcba9876543210n]) {
      expect(kernels.hash64(address, length, seed)).toBe(xxh64(data.slice(0, length), seed));
    }
  }
});

test("addresses off 64 bytes and counts off 16 are refused, a range outside the memory traps", () => {
  const arena = new Arena();
  const kernels = createKernels(arena.memory);
  expect(() => kernels.add(64, 128, 132, 16)).toThrow(/address on 64 bytes, found 132/);
  expect(() => kernels.copy(64, 128, 15)).toThrow(/multiple of 16 floats, found 15/);
  expect(() => kernels.sumOfSquares(65_536, 16, 1)).toThrow(/out of bounds/);
});
