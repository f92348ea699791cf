import { crc32 } from "node:zlib";
import { computeMemory } from "@tutti/core/kernels";
import { Arena } from "@tutti/core/memory";
import { frameBytes, HeaderChecksums, PayloadChecksum } from "@tutti/core/wire";
import { expect, test } from "vitest";

const headers = ["first", "", "third"].map((text) => Buffer.from(text));
const payload = Buffer.from("abc");
/** XXH64 of "abc", by the reference implementation (xxHash, "xxhsum -H1"). */
const payloadHash = 0x44bc2cf5ad770999n;

function frames(): readonly Buffer[] {
  const sums = new HeaderChecksums();
  return headers.map((header, i) => Buffer.from(sums.seal(header, i === 2 ? payload : undefined)));
}

test("ends each header with the XXH64 of its payload, and a CRC-32 that continues the header's before", () => {
  let before = 0;
  for (const [i, frame] of frames().entries()) {
    const end = headers[i]!.byteLength;
    expect(frame.subarray(0, end)).toEqual(headers[i]);
    expect(frame.readBigUInt64LE(end)).toBe(i === 2 ? payloadHash : 0n);
    before = crc32(frame.subarray(0, end + 8), before);
    expect(frame.readUInt32LE(end + 8)).toBe(before);
  }
});

test("takes headers apart in the order they were sent", () => {
  const sums = new HeaderChecksums();
  for (const [i, frame] of frames().entries()) {
    const { header, payloadChecksum } = sums.open(frame);
    expect(header).toEqual(headers[i]);
    expect(payloadChecksum).toBe(i === 2 ? payloadHash : 0n);
  }
});

test("finds every flipped bit, and every header that was lost, repeated, overtaken or cut off", () => {
  const [first, second, third] = frames() as [Buffer, Buffer, Buffer];
  const orders: Buffer[][] = [
    [first, first],
    [first, second, second],
    [first, third],
    [second],
    [first, second, third, first],
    [first.subarray(0, 11)],
    [first.subarray(1)],
  ];
  for (let bit = 0; bit < third.byteLength * 8; bit++) {
    const damaged = Buffer.from(third);
    damaged[bit >> 3]! ^= 1 << (bit & 7);
    orders.push([first, second, damaged]);
  }
  for (const order of orders) {
    const sums = new HeaderChecksums();
    const bad = order.pop()!;
    for (const frame of order) sums.open(frame);
    expect(() => sums.open(bad)).toThrow(expect.objectContaining({ code: "CONNECTION_LOST" }));
  }
});

test("sums a payload alike, wherever it lies, and goes on from frame to frame", () => {
  const memory = computeMemory(new Arena(1 << 23));
  const bytes = Uint8Array.from({ length: frameBytes + 100 }, (_, i) => i * 7 + (i >> 8));
  const address = memory.arena.allocate(bytes.byteLength + 4);
  const inArena = (offset: number): Uint8Array => {
    const view = memory.arena.bytes(address + offset, bytes.byteLength);
    view.set(bytes);
    return view;
  };
  const elsewhere = new PayloadChecksum().of(bytes);
  const checksum = new PayloadChecksum(memory);
  expect(checksum.of(inArena(0))).toBe(elsewhere);
  expect(checksum.of(inArena(4))).toBe(elsewhere);
  const first = checksum.continued(0n, bytes.subarray(0, frameBytes));
  expect(first).not.toBe(elsewhere);
  expect(checksum.continued(first, bytes.subarray(frameBytes))).toBe(elsewhere);
  expect(checksum.of(new Uint8Array(0))).toBe(0n);
});
