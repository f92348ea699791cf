import { workerCodec } from "@tutti/core/wire";
import fc from "fast-check";
import { Packr } from "msgpackr";
import { expect, test } from "vitest";
import { checkPlainMessagePack } from "../../src/wire/plain-message-pack.ts";

const packr = new Packr({ useRecords: false, variableMapSize: true, mapsAsObjects: true });

const plain = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.integer(),
    fc.double(),
    fc.boolean(),
    fc.constant(null),
    fc.string({ maxLength: 300 }),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie("value"), { maxLength: 40 }),
    fc.dictionary(fc.string({ maxLength: 40 }), tie("value"), { maxKeys: 40 }),
  ),
})).value;

test("lets everything pass that msgpackr makes of plain data", () => {
  fc.assert(
    fc.property(plain, (value) => checkPlainMessagePack(packr.pack(value))),
    { seed: 1, numRuns: 500 },
  );
});

test("refuses every value that is cut off, or followed by more", () => {
  fc.assert(
    fc.property(plain, fc.nat(), (value, cut) => {
      const frame = packr.pack(value);
      expect(() => checkPlainMessagePack(frame.subarray(0, cut % frame.length))).toThrow(/not valid MessagePack/);
      expect(() => checkPlainMessagePack(Buffer.concat([frame, Buffer.of(0xc0)]))).toThrow(/1 bytes follow/);
    }),
    { seed: 2, numRuns: 200 },
  );
});

const more = new Packr({ useRecords: true, moreTypes: true, structuredClone: true });
const own: readonly [string, unknown][] = [
  ["a date", new Date(5)],
  ["a set", new Set([1])],
  ["a regular expression", /(a+)+$/],
  ["an error", new Error("no")],
  ["a typed array", new Float64Array(3)],
  ["a big integer", 2n ** 70n],
  ["a record", { type: "hello" }],
  ["a map with numbers as keys", new Map([[1, 2]])],
];
test.each(own)("refuses msgpackr's own encoding of %s", (_name, value) => {
  expect(() => checkPlainMessagePack(more.pack([value]))).toThrow(/no extensions|key is no text/);
});

const array32 = [0xdd, 0xff, 0xff, 0xff, 0xff];
const bombs: readonly [string, readonly number[]][] = [
  ["an array of four thousand million values", array32],
  ["a map of as many", [0xdf, 0xff, 0xff, 0xff, 0xff]],
  ["a text of as many bytes", [0xdb, 0xff, 0xff, 0xff, 0xff, 0x61]],
  ["bytes of as many", [0xc6, 0xff, 0xff, 0xff, 0xff, 0x61]],
  ["an array within an array without end", Array.from({ length: 100_000 }, () => 0x91)],
  ["a type that MessagePack does not have", [0xc1]],
  ["nothing", []],
];
test.each(bombs)("refuses %s before anything is allocated for it", (_name, bytes) => {
  const before = process.memoryUsage().heapTotal;
  expect(() => workerCodec().decode(Uint8Array.from(bytes))).toThrow(expect.objectContaining({ code: "PROTOCOL" }));
  expect(process.memoryUsage().heapTotal - before).toBeLessThan(64 * 2 ** 20);
});

test("takes texts for people without control and direction characters, on one line, and bounded", () => {
  const said = (message: string): string => {
    const frame = packr.pack({ type: "goodbye", code: "stopped", message, rejoin: false });
    const decoded = workerCodec().decode(frame);
    return decoded.type === "goodbye" ? decoded.message : "";
  };
  expect(said("\u001b[2Jgone\r\nnext\u202eflipped\u0007")).toBe(" [2Jgone next flipped ");
  expect(said("Größe ≥ 3 µs — 数")).toBe("Größe ≥ 3 µs — 数");
  expect(said("x".repeat(5000))).toHaveLength(4096);
});
