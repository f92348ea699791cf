import { crc32 } from "node:zlib";
import { HeaderChecksums } from "@tutti/core/wire";
import { expect, test } from "vitest";

const headers = ["first", "", "third"].map((text) => Buffer.from(text));
const payload = Buffer.from("a tensor");

function frames(): readonly Buffer[] {
  const sums = new HeaderChecksums();
  return headers.map((header, i) => Buffer.from(sums.seal(header, i === 2 ? payload : undefined)));
}

test("ends each header with the CRC-32 of its payload, and one that continues the header's before", () => {
  let before = 0;
  for (const [i, frame] of frames().entries()) {
    const end = headers[i]!.byteLength;
    expect(frame.subarray(0, end)).toEqual(headers[i]);
    expect(frame.readUInt32LE(end)).toBe(i === 2 ? crc32(payload) : 0);
    before = crc32(frame.subarray(0, end + 4), before);
    expect(frame.readUInt32LE(end + 4)).toBe(before);
  }
});

test("takes headers apart in the order they were sent", () => {
  const sums = new HeaderChecksums();
  for (const [i, frame] of frames().entries()) {
    const { header, payloadChecksum } = sums.open(frame);
    expect(header).toEqual(headers[i]);
    expect(payloadChecksum).toBe(i === 2 ? crc32(payload) : 0);
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
    [first.subarray(0, 7)],
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
