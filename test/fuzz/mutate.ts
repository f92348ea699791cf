import type { Dice } from "../simulator/dice.ts";

export function randomBytes(dice: Dice, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => dice.whole(0, 255));
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
