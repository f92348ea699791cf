import { crc32 } from "node:zlib";
import { TuttiError } from "../errors/index.ts";

const trailerBytes = 8;

/**
 * The checksums of one direction of a connection. A header goes over the wire as its bytes, the CRC-32 of its payload (0
 * without one), then the CRC-32 of all that as the continuation of the header's before it, both little-endian: so a frame
 * that was lost, repeated or overtaken on the way is found like one that was damaged. TCP's own 16 bits let damage by bad
 * network hardware through, and a sum with one flipped bit looks like any other.
 */
export class HeaderChecksums {
  #last = 0;

  /** The next header frame to send. */
  seal(header: Uint8Array, payload: Uint8Array | undefined): Uint8Array {
    const frame = Buffer.allocUnsafe(header.byteLength + trailerBytes);
    frame.set(header);
    frame.writeUInt32LE(payload === undefined ? 0 : crc32(payload), header.byteLength);
    this.#last = crc32(frame.subarray(0, -4), this.#last);
    frame.writeUInt32LE(this.#last, header.byteLength + 4);
    return frame;
  }

  /** Takes the next header frame apart. Throws CONNECTION_LOST if it is not what was sent, in the order it was sent. */
  open(frame: Buffer): { readonly header: Buffer; readonly payloadChecksum: number } {
    const end = frame.byteLength - trailerBytes;
    if (end < 0 || frame.readUInt32LE(end + 4) !== crc32(frame.subarray(0, -4), this.#last))
      throw damaged("a header frame was damaged, lost or repeated on the way: its checksum is another");
    this.#last = frame.readUInt32LE(end + 4);
    return { header: frame.subarray(0, end), payloadChecksum: frame.readUInt32LE(end) };
  }
}

/** Throws CONNECTION_LOST if a payload was damaged on the way. */
export function checkPayload(type: string, payload: Uint8Array, checksum: number): void {
  if (crc32(payload) !== checksum)
    throw damaged(`${type}: its payload was damaged on the way: its checksum is another`);
}

function damaged(message: string): TuttiError {
  return new TuttiError("CONNECTION_LOST", message);
}
