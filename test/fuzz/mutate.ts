import type { HeaderChecksums } from "@tutti/core/wire";
import type { Dice } from "../../packages/tutti/src/chaos/dice.ts";

/** A header that gets its checksums when it is sent, for they continue those of the header before. */
export interface Header {
  readonly bytes: Uint8Array;
  readonly payload: Uint8Array | undefined;
  /** What becomes of it afterwards, on the way. */
  readonly damage?: (frame: Uint8Array) => Uint8Array;
}

/** Anything that can be sent. */
export type Frame = Uint8Array | string | Header;

export function sealed(frame: Frame, checksums: HeaderChecksums): Uint8Array | string {
  if (typeof frame === "string" || frame instanceof Uint8Array) return frame;
  const { bytes, payload, damage = (whole) => whole } = frame;
  return damage(checksums.seal(bytes, payload));
}

export function randomBytes(dice: Dice, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => dice.whole(0, 255));
}

/** A header mutated; mostly with the checksums of what has become of it, so that it is read. */
export function mutatedHeader(dice: Dice, header: Header): Header {
  if (dice.chance(0.2)) return { ...header, damage: (frame) => mutated(dice, frame) };
  return { ...header, bytes: mutated(dice, header.bytes) };
}

/** Random bytes, half of them with the checksums of a header. */
export function randomFrame(dice: Dice, length: number): Frame {
  const bytes = randomBytes(dice, length);
  return dice.chance(0.5) ? { bytes, payload: undefined } : bytes;
}

/** A copy with one to eight changes: flipped bits, replaced, removed, inserted or repeated bytes, or an end cut off. */
export function mutated(dice: Dice, frame: Uint8Array): Uint8Array {
  let bytes = [...frame];
  for (let change = dice.whole(1, 8); change > 0; change--) {
    const at = dice.whole(0, Math.max(0, bytes.length - 1));
    switch (dice.whole(0, 6)) {
      case 0:
        bytes[at] = dice.whole(0, 255);
        break;
      case 1:
        bytes.splice(at, dice.whole(1, 8));
        break;
      case 2:
        bytes.splice(at, 0, ...randomBytes(dice, dice.whole(1, 8)));
        break;
      case 3:
        bytes.splice(at, 0, ...bytes.slice(at, at + dice.whole(1, 32)));
        break;
      case 4:
        bytes = bytes.slice(0, at);
        break;
      default:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << dice.whole(0, 7));
    }
  }
  return Uint8Array.from(bytes);
}
