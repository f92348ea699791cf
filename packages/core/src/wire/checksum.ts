import { crc32 } from "node:zlib";
import { TuttiError } from "../errors/index.ts";
import { type ComputeMemory, computeMemory } from "../kernels/index.ts";
import { Arena, alignmentBytes } from "../memory/index.ts";

/** Largest raw message; longer payloads are cut into several. */
export const frameBytes = 1 << 20;

const trailerBytes = 12;

/**
 * The checksum of payloads: XXH64 of the first frame, with it as the seed XXH64 of the second, and so on; 0 without a payload. The
 * kernel reads 9 GB/s on one core where Node's CRC-32 read 3. What does not lie in the arena is copied there, frame by frame.
 */
export class PayloadChecksum {
  #memory: ComputeMemory | undefined;
  #scratch: number | undefined;

  /** @param memory where most payloads lie that are sent; its own, once it is needed, by default. */
  constructor(memory?: ComputeMemory) {
    this.#memory = memory;
  }

  of(payload: Uint8Array): bigint {
    let checksum = 0n;
    for (let at = 0; at < payload.byteLength; at += frameBytes)
      checksum = this.continued(checksum, payload.subarray(at, at + frameBytes));
    return checksum;
  }

  /** The checksum up to and with this frame. @param before the checksum up to it. */
  continued(before: bigint, frame: Uint8Array): bigint {
    this.#memory ??= computeMemory(new Arena(2 * frameBytes));
    const { arena, kernels } = this.#memory;
    if (arena.owns(frame) && frame.byteOffset % alignmentBytes === 0)
      return kernels.hash64(frame.byteOffset, frame.byteLength, before);
    this.#scratch ??= arena.allocate(frameBytes);
    arena.bytes(this.#scratch, frame.byteLength).set(frame);
    return kernels.hash64(this.#scratch, frame.byteLength, before);
  }
}

/**
 * The checksums of one direction of a connection. A header goes over the wire as its bytes, the checksum of its payload (0
 * without one), then the CRC-32 of all that as the continuation of the header's before it, both little-endian: so a frame
 * that was lost, repeated or overtaken on the way is found like one that was damaged. TCP's own 16 bits let damage by bad
 * network hardware through, and a sum with one flipped bit looks like any other.
 */
export class HeaderChecksums {
  readonly #payloads: PayloadChecksum;
  #last = 0;

  constructor(payloads: PayloadChecksum = new PayloadChecksum()) {
    this.#payloads = payloads;
  }

  /** The next header frame to send. */
  seal(header: Uint8Array, payload: Uint8Array | undefined): Uint8Array {
    const frame = Buffer.allocUnsafe(header.byteLength + trailerBytes);
    frame.set(header);
    frame.writeBigUInt64LE(payload === undefined ? 0n : this.#payloads.of(payload), header.byteLength);
    this.#last = crc32(frame.subarray(0, -4), this.#last);
    frame.writeUInt32LE(this.#last, header.byteLength + 8);
    return frame;
  }

  /** Takes the next header frame apart. Throws CONNECTION_LOST if it is not what was sent, in the order it was sent. */
  open(frame: Buffer): { readonly header: Buffer; readonly payloadChecksum: bigint } {
    const end = frame.byteLength - trailerBytes;
    if (end < 0 || frame.readUInt32LE(end + 8) !== crc32(frame.subarray(0, -4), this.#last))
      throw damaged("a header frame was damaged, lost or repeated on the way: its checksum is another");
    this.#last = frame.readUInt32LE(end + 8);
    return { header: frame.subarray(0, end), payloadChecksum: frame.readBigUInt64LE(end) };
  }
}

/** Throws CONNECTION_LOST if a payload was damaged on the way. */
export function checkPayload(type: string, found: bigint, checksum: bigint): void {
  if (found !== checksum) throw damaged(`${type}: its payload was damaged on the way: its checksum is another`);
}

function damaged(message: string): TuttiError {
  return new TuttiError("CONNECTION_LOST", message);
}
