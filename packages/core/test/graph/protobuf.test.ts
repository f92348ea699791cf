import protobuf from "protobufjs/light.js";
import { expect, test } from "vitest";
import { decode, encode, many, message, one } from "../../src/graph/protobuf.ts";

const inner = message({ name: one("string", 1), size: one("int64", 3) });
const outer = message({
  float: one("float", 2),
  count: one("int32", 20),
  ints: many("int64", 8),
  words: many("string", 7),
  doubles: many("double", 10),
  raw: one("bytes", 9),
  inner: one(inner, 5),
  all: many(inner, 11),
});

/** The library's own reading of a schema, which writes functions for it. */
const oracle = protobuf.Root.fromJSON({
  nested: {
    Inner: { fields: { name: { type: "string", id: 1 }, size: { type: "int64", id: 3 } } },
    Outer: {
      fields: {
        float: { type: "float", id: 2 },
        count: { type: "int32", id: 20 },
        ints: { rule: "repeated", type: "int64", id: 8 },
        words: { rule: "repeated", type: "string", id: 7 },
        doubles: { rule: "repeated", type: "double", id: 10 },
        raw: { type: "bytes", id: 9 },
        inner: { type: "Inner", id: 5 },
        all: { rule: "repeated", type: "Inner", id: 11 },
      },
    },
  },
}).lookupType("Outer");

const values = {
  float: 0.5,
  count: -3,
  ints: ["1", "-1", "9007199254740993", "-9223372036854775808"],
  words: ["", "a"],
  doubles: [1e300, -0.1],
  raw: Uint8Array.of(0, 255),
  inner: { name: "ä", size: "7" },
  all: [{}, { size: "2" }],
};

test("bytes are those that the library writes for the same schema, and what it reads is read", () => {
  const bytes = encode(outer, values);
  expect(Buffer.from(bytes).equals(oracle.encode(oracle.fromObject(values)).finish())).toBe(true);
  expect(decode(outer, bytes)).toEqual(values);
  const read = oracle.toObject(oracle.decode(bytes), { longs: String });
  expect({ ...read, raw: Uint8Array.from(read.raw) }).toEqual(values);
});

test("what is absent, zero or empty is not written, but a negative zero is, and arrays are there when nothing was", () => {
  const none = { float: 0, count: 0, ints: [], raw: new Uint8Array(0), doubles: [] };
  expect(encode(outer, none)).toHaveLength(0);
  expect(encode(inner, { name: "", size: 0 })).toHaveLength(0);
  expect(encode(inner, { size: "0" })).toHaveLength(0);
  expect(decode(outer, new Uint8Array(0))).toEqual({ ints: [], words: [], doubles: [], all: [] });
  expect(decode(outer, encode(outer, { float: -0 })).float).toBe(-0);
});

test("numbers are read packed or one by one, parts of a message are joined, other fields and wire types are skipped", () => {
  const writer = protobuf.Writer.create();
  writer.uint32(8 << 3).int64(5);
  writer
    .uint32((8 << 3) | 2)
    .fork()
    .int64(6)
    .int64(7)
    .ldelim();
  writer.uint32((99 << 3) | 2).string("unknown");
  writer.uint32(2 << 3).uint32(1); // a float as a varint
  writer.uint32((5 << 3) | 2).bytes(encode(inner, { name: "a", size: 1 }));
  writer.uint32((5 << 3) | 2).bytes(encode(inner, { size: 2 }));
  expect(decode(outer, writer.finish())).toEqual({
    ints: ["5", "6", "7"],
    words: [],
    doubles: [],
    all: [],
    inner: { name: "a", size: "2" },
  });
});

test.each([
  ["a cut length", Uint8Array.of((9 << 3) | 2, 200)],
  ["a cut message", encode(outer, values).subarray(0, -1)],
  ["a message longer than the one around it", Uint8Array.of((5 << 3) | 2, 3, (1 << 3) | 2, 9, 65, 65, 65)],
  ["text that is no UTF-8", Uint8Array.of((7 << 3) | 2, 1, 0xff)],
  ["an unknown wire type", Uint8Array.of((2 << 3) | 7)],
])("refuses %s", (_, bytes) => {
  expect(() => decode(outer, bytes)).toThrow();
});
