import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { crc32c } from "../../src/tensorboard/crc32c.ts";
import { type EventContent, encodeEvent, tfRecord } from "../../src/tensorboard/event-file.ts";

test("writes the bytes that TensorBoard's own writer writes (test/parity/event-files.py)", () => {
  const { file } = JSON.parse(readFileSync(new URL("recorded.json", import.meta.url), "utf8")) as { file: string };
  const events: readonly [number, EventContent][] = [
    [1.5, { fileVersion: "brain.Event:2" }],
    [1794000000.25, { step: 101, sessionStart: true }],
    [1794000001, { step: 0, scalars: { loss: 2.5 } }],
    [1794000002.125, { step: 3_000_000_000, scalars: { loss: 0.1, "größe/µ": -1e-30, nan: Number.NaN } }],
  ];
  const written = Buffer.concat(events.map(([seconds, content]) => tfRecord(encodeEvent(seconds, content))));
  expect(written.toString("base64")).toBe(file);
});

test("sums as RFC 3720, appendix B.4 does", () => {
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
  expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e);
});
