import { createHash } from "node:crypto";
import { decodeSafetensors, decodeSnapshot, encodeSafetensors, encodeSnapshot } from "@tutti/core/checkpoint";
import fc from "fast-check";
import { expect, test } from "vitest";
import { floats, snapshotAt } from "./samples.ts";

function fileOf({ header, data }: { header: Uint8Array; data: readonly Uint8Array[] }): Uint8Array {
  return Buffer.concat([header, ...data]);
}

/** A file put together by hand from the format's description. */
function fileWith(
  header: string,
  data: Uint8Array = new Uint8Array(0),
  length = Buffer.byteLength(header),
): Uint8Array {
  const lengthField = Buffer.alloc(8);
  lengthField.writeBigUInt64LE(BigInt(length));
  return Buffer.concat([lengthField, Buffer.from(header), data]);
}

test("writes the bytes of the format's description", () => {
  const bytes = Buffer.from(
    fileOf(
      encodeSafetensors(
        [floats("b", [2], [1, -2]), { name: "a", dtype: "bool", shape: [3], data: Uint8Array.of(1, 0, 1) }],
        { format: "pt" },
      ),
    ),
  );
  const headerBytes = Number(bytes.readBigUInt64LE(0));
  expect((8 + headerBytes) % 8).toBe(0);
  const text = bytes.toString("utf8", 8, 8 + headerBytes);
  expect(text).toMatch(/^\{.*\} *$/);
  expect(JSON.parse(text)).toEqual({
    __metadata__: { format: "pt" },
    b: { dtype: "F32", shape: [2], data_offsets: [0, 8] },
    a: { dtype: "BOOL", shape: [3], data_offsets: [8, 11] },
  });
  expect([...bytes.subarray(8 + headerBytes)]).toEqual([0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 1, 0, 1]);
});

test("reads a file written by hand, whatever the order of its header", () => {
  const header =
    '{"z":{"dtype":"I16","shape":[1,2],"data_offsets":[8,12]},"y":{"data_offsets":[0,8],"dtype":"F64","shape":[]},"n":{"dtype":"U8","shape":[0],"data_offsets":[12,12]}}   ';
  const data = Buffer.alloc(12);
  data.writeDoubleLE(-0.5, 0);
  data.writeInt16LE(-300, 8);
  data.writeInt16LE(5, 10);
  const { tensors, metadata } = decodeSafetensors(fileWith(header, data), "x");
  expect(metadata).toEqual({});
  expect(tensors.map(({ name, dtype, shape }) => [name, dtype, shape])).toEqual([
    ["y", "float64", []],
    ["z", "int16", [1, 2]],
    ["n", "uint8", [0]],
  ]);
  expect(Buffer.from(tensors[0]!.data).readDoubleLE(0)).toBe(-0.5);
  expect([...tensors[1]!.data]).toEqual([...data.subarray(8)]);
});

test("gives back every tensor and text that was written", () => {
  const dtypes = ["float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "int64", "bool"] as const;
  const sizes = { float32: 4, float64: 8, int8: 1, uint8: 1, int16: 2, uint16: 2, int32: 4, int64: 8, bool: 1 };
  const tensor = fc
    .record({
      name: fc.string({ unit: "grapheme" }).filter((name) => name !== "__metadata__"),
      dtype: fc.constantFrom(...dtypes),
      shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
      fill: fc.integer({ min: 0, max: 255 }),
    })
    .map(({ name, dtype, shape, fill }) => {
      const bytes = shape.reduce((product, size) => product * size, sizes[dtype]);
      return { name, dtype, shape, data: Uint8Array.from({ length: bytes }, (_, index) => (index + fill) & 255) };
    });
  const tensors = fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 6 });
  fc.assert(
    fc.property(tensors, fc.dictionary(fc.string(), fc.string({ unit: "grapheme" })), (written, metadata) => {
      const read = decodeSafetensors(new Uint8Array(fileOf(encodeSafetensors(written, metadata))), "x");
      expect(Object.entries(read.metadata).sort()).toEqual(Object.entries(metadata).sort());
      const byName = new Map(read.tensors.map((found) => [found.name, found]));
      expect(byName.size).toBe(written.length);
      for (const expected of written) expect(byName.get(expected.name)).toEqual(expected);
    }),
  );
});

test("refuses to write names and sizes that no reader could use", () => {
  const one = floats("a", [1], [1]);
  expect(() => encodeSafetensors([one, one], {})).toThrow('tensor name "a" is reserved or used twice');
  expect(() => encodeSafetensors([floats("__metadata__", [1], [1])], {})).toThrow("reserved or used twice");
  expect(() => encodeSafetensors([floats("a", [3], [1, 2])], {})).toThrow("float32 [3] takes 12 bytes, found 8");
});

test("refuses malformed files with the file and the reason", () => {
  const four = new Uint8Array(4);
  const entry = (fields: object) =>
    JSON.stringify({ t: { dtype: "F32", shape: [1], data_offsets: [0, 4], ...fields } });
  const cases: readonly [Uint8Array, string][] = [
    [new Uint8Array(7), "expected a length of 8 bytes, the file has 7"],
    [fileWith("{}", four, 100), "its header of 100 bytes does not fit the file or the limit"],
    [Buffer.alloc(64, 0xff), "its header of 18446744073709551615 bytes does not fit"],
    [fileWith("{"), "its header is no JSON text"],
    [fileWith("[]"), "its header is no JSON object"],
    [Buffer.concat([fileWith("", undefined, 1), Buffer.of(0xff)]), "its header is no JSON text"],
    [fileWith('{"__metadata__":{"a":1}}'), "__metadata__ is no map of texts"],
    [fileWith('{"t":7}'), 'tensor "t" has the dtype undefined'],
    [fileWith(entry({ dtype: "F16" }), four), 'tensor "t" has the dtype "F16", which is not read here'],
    [fileWith(entry({ shape: [-1] }), four), 'tensor "t" has no valid shape: [-1]'],
    [fileWith(entry({ shape: "1" }), four), 'tensor "t" has no valid shape: "1"'],
    [fileWith(entry({ data_offsets: [0] }), four), 'tensor "t" has no valid data_offsets: [0]'],
    [fileWith(entry({ data_offsets: [4, 0] }), four), "its offsets span -4"],
    [fileWith(entry({ shape: [2] }), four), "F32 [2] takes 8 bytes, its offsets span 4"],
    [fileWith(entry({ shape: [2 ** 40, 2 ** 40] }), four), "its offsets span 4"],
    [fileWith(entry({ data_offsets: [4, 8] }), new Uint8Array(8)), "starts at byte 4 of the data, expected 0"],
    [fileWith(entry({})), "ends at byte 4, the data has 0"],
    [fileWith(entry({}), new Uint8Array(6)), "2 bytes of data belong to no tensor"],
    [
      fileWith(
        '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        four,
      ),
      'tensor "b" starts at byte 0 of the data, expected 4',
    ],
  ];
  for (const [bytes, reason] of cases) {
    const read = () => decodeSafetensors(bytes, "dir/file.safetensors");
    expect(read, reason).toThrow(expect.objectContaining({ code: "CHECKPOINT_INVALID" }));
    expect(read).toThrow(/^dir\/file\.safetensors: no valid checkpoint: /);
    expect(read).toThrow(reason);
  }
});

test("gives a snapshot back with every value", async () => {
  const { header, data } = encodeSnapshot(snapshotAt(123));
  const read = await decodeSnapshot(new Uint8Array(fileOf({ header, data })), "file");
  expect(read).toEqual({ ...snapshotAt(123), path: "file" });
  expect(read.metrics.accuracy).toBe(0.1 + 0.2);
  expect(Object.is(new Float32Array(read.parameters[0]!.data.slice().buffer)[5], -0)).toBe(true);
});

test("keeps parameters under their own names and every tensor aligned for its elements", () => {
  const bytes = Buffer.from(fileOf(encodeSnapshot(snapshotAt(1))));
  const headerBytes = Number(bytes.readBigUInt64LE(0));
  const { __metadata__: metadata, ...tensors } = JSON.parse(bytes.toString("utf8", 8, 8 + headerBytes)) as Record<
    string,
    { dtype: string; data_offsets: [number, number] }
  >;
  expect(Object.keys(tensors).sort()).toEqual([
    "bn.num_batches_tracked",
    "fc1.bias",
    "fc1.weight",
    "optimizer.momentum/fc1.weight",
    "tutti.inference.onnx",
  ]);
  const width: Record<string, number> = { I64: 8, F32: 4, U8: 1 };
  for (const { dtype, data_offsets: offsets } of Object.values(tensors)) expect(offsets[0] % width[dtype]!).toBe(0);
  const stored = (metadata as unknown as Record<string, string>)["tutti.sha256.data"];
  expect(stored).toBe(
    createHash("sha256")
      .update(bytes.subarray(8 + headerBytes))
      .digest("hex"),
  );
});

test("finds every single flipped bit", async () => {
  const good = new Uint8Array(fileOf(encodeSnapshot(snapshotAt(1))));
  for (let bit = 0; bit < 8 * good.byteLength; bit++) {
    const bad = good.slice();
    bad[bit >> 3]! ^= 1 << (bit & 7);
    await expect(decodeSnapshot(bad, "file"), `bit ${bit}`).rejects.toMatchObject({ code: "CHECKPOINT_INVALID" });
  }
});

test("finds a file that was cut off anywhere or has bytes too many", async () => {
  const good = new Uint8Array(fileOf(encodeSnapshot(snapshotAt(1))));
  for (let length = 0; length < good.byteLength; length++) {
    await expect(decodeSnapshot(good.slice(0, length), "file")).rejects.toMatchObject({ code: "CHECKPOINT_INVALID" });
  }
  await expect(decodeSnapshot(Buffer.concat([good, Buffer.of(0)]), "file")).rejects.toMatchObject({
    code: "CHECKPOINT_INVALID",
  });
});

test("refuses safetensors that are no checkpoint", async () => {
  const foreign = new Uint8Array(fileOf(encodeSafetensors([floats("a", [1], [1])], {})));
  await expect(decodeSnapshot(foreign, "file")).rejects.toThrow("it has no checksum, so it is no checkpoint of Tutti");
});

test("refuses a snapshot whose plain state JSON would change", () => {
  const state = { best: Number.POSITIVE_INFINITY };
  expect(() => encodeSnapshot(snapshotAt(1, { state }))).toThrow('the snapshot\'s "best" is Infinity');
});
