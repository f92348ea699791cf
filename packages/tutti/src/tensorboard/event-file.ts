import { closeSync, openSync, writeSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import protobuf from "protobufjs/light.js";
import { maskedCrc32c } from "./crc32c.ts";

/** Field numbers of `tensorboard/compat/proto/event.proto` and `summary.proto`. */
const eventField = { wallTime: 1, step: 2, fileVersion: 3, summary: 5, sessionLog: 7 } as const;
const summaryValue = 1;
const valueField = { tag: 1, simpleValue: 2 } as const;
const sessionLogStatus = 1;
const sessionStart = 1;

const [varint, fixed64, lengthDelimited, fixed32] = [0, 1, 2, 5] as const;

/** What an event says besides its time; `step` counts from 0. */
export type EventContent =
  | { readonly fileVersion: string }
  /** The run goes on from here: what another file of the folder holds of this step and later ones no longer counts. */
  | { readonly step: number; readonly sessionStart: true }
  | { readonly step: number; readonly scalars: Readonly<Record<string, number>> };

/** An `Event` message. @param wallTimeSeconds since 1970. */
export function encodeEvent(wallTimeSeconds: number, content: EventContent): Uint8Array {
  const event = protobuf.Writer.create();
  event.uint32(tag(eventField.wallTime, fixed64)).double(wallTimeSeconds);
  if ("fileVersion" in content) {
    event.uint32(tag(eventField.fileVersion, lengthDelimited)).string(content.fileVersion);
    return event.finish();
  }
  if (content.step !== 0) event.uint32(tag(eventField.step, varint)).int64(content.step);
  if ("sessionStart" in content) {
    event.uint32(tag(eventField.sessionLog, lengthDelimited)).fork();
    event.uint32(tag(sessionLogStatus, varint)).int32(sessionStart).ldelim();
    return event.finish();
  }
  event.uint32(tag(eventField.summary, lengthDelimited)).fork();
  for (const [name, value] of Object.entries(content.scalars)) {
    event.uint32(tag(summaryValue, lengthDelimited)).fork();
    event.uint32(tag(valueField.tag, lengthDelimited)).string(name);
    event.uint32(tag(valueField.simpleValue, fixed32)).float(value);
    event.ldelim();
  }
  return event.ldelim().finish();
}

/**
 * A record of the TFRecord format: length (uint64), masked CRC-32C of those eight bytes, data, masked CRC-32C of the data; all
 * little-endian.
 */
export function tfRecord(data: Uint8Array): Uint8Array {
  const record = Buffer.alloc(data.byteLength + 16);
  record.writeBigUInt64LE(BigInt(data.byteLength), 0);
  record.writeUInt32LE(maskedCrc32c(record.subarray(0, 8)), 8);
  record.set(data, 12);
  record.writeUInt32LE(maskedCrc32c(data), 12 + data.byteLength);
  return record;
}

function tag(field: number, wireType: number): number {
  return (field << 3) | wireType;
}

/** A file that TensorBoard reads while it grows. What is written is with the system at once. */
export class EventFile {
  readonly #descriptor: number;

  /** Makes a new file in an existing folder. Throws what the file system says. */
  constructor(directory: string) {
    const nowSeconds = Date.now() / 1000;
    // The name that TensorBoard looks for holds "tfevents"; seconds first, so that files sort by age.
    const name = `events.out.tfevents.${Math.floor(nowSeconds)}.${hostname()}.${process.pid}.tutti`;
    this.#descriptor = openSync(join(directory, name), "ax");
    this.write({ fileVersion: "brain.Event:2" }, nowSeconds);
  }

  write(content: EventContent, wallTimeSeconds = Date.now() / 1000): void {
    writeSync(this.#descriptor, tfRecord(encodeEvent(wallTimeSeconds, content)));
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
