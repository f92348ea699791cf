import { crc32 } from "node:zlib";
import { TuttiError } from "../errors/index.ts";

const trailerBytes = 8;

/**
 * A header as it goes over the wire: its bytes, the CRC-32 of its payload (0 without one), then the CRC-32 of all that,
 * both little-endian. TCP's own 16 bits let damage by bad network hardware through, and a sum with one flipped bit looks
 * like any other.
 */
export function withChecksums(header: Uint8Array, payload: Uint8Array | undefined): Uint8Array {
  const frame = Buffer.allocUnsafe(header.byteLength + trailerBytes);
  frame.set(header);
  frame.writeUInt32LE(payload === undefined ? 0 : crc32(payload), header.byteLength);
  frame.writeUInt32LE(crc32(frame.subarray(0, -4)), header.byteLength + 4);
  return frame;
}

/** Takes a header frame apart. Throws PROTOCOL if it was damaged on the way. */
export function withoutChecksums(frame: Buffer): { readonly header: Buffer; readonly payloadChecksum: number } {
  if (frame.byteLength < trailerBytes || frame.readUInt32LE(frame.byteLength - 4) !== crc32(frame.subarray(0, -4)))
    throw new TuttiError("PROTOCOL", "a header frame was damaged on the way: its checksum is another");
  const end = frame.byteLength - trailerBytes;
  return { header: frame.subarray(0, end), payloadChecksum: frame.readUInt32LE(end) };
}

/** Throws PROTOCOL if a payload was damaged on the way. */
export function checkPayload(type: string, payload: Uint8Array, checksum: number): void {
  if (crc32(payload) !== checksum)
    throw new TuttiError("PROTOCOL", `${type}: its payload was damaged on the way: its checksum is another`);
}
