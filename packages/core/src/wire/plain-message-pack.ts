import { TuttiError } from "../errors/index.ts";

const maxDepth = 16;

/**
 * Makes sure, before a decoder builds anything, that a frame is one whole MessagePack value of plain data: every declared
 * length is inside the frame, nesting is bounded, map keys are texts, and there are no extensions (a decoder's own types
 * such as records, dates, regular expressions, big integers). Throws PROTOCOL. Format: the MessagePack specification.
 */
export function checkPlainMessagePack(frame: Uint8Array): void {
  const end = new Scanner(frame).value(0, 0);
  if (end !== frame.byteLength) throw invalid(`${frame.byteLength - end} bytes follow its value`);
}

class Scanner {
  readonly #frame: Uint8Array;
  readonly #view: DataView;

  constructor(frame: Uint8Array) {
    this.#frame = frame;
    this.#view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  }

  /** Returns where the value that starts at `at` ends. */
  value(at: number, depth: number): number {
    const type = this.#frame[at];
    if (type === undefined) throw invalid("it is cut off");
    if (type <= 0x7f || type >= 0xe0) return at + 1; // fixint
    if (type <= 0x8f) return this.#map(at + 1, type & 0x0f, depth);
    if (type <= 0x9f) return this.#array(at + 1, type & 0x0f, depth);
    if (type <= 0xbf) return this.#inside(at + 1, type & 0x1f); // fixstr
    switch (type) {
      case 0xc0: // nil
      case 0xc2: // false
      case 0xc3: // true
        return at + 1;
      case 0xc4: // bin 8
      case 0xd9: // str 8
        return this.#inside(at + 2, this.#length(at + 1, 1));
      case 0xc5: // bin 16
      case 0xda: // str 16
        return this.#inside(at + 3, this.#length(at + 1, 2));
      case 0xc6: // bin 32
      case 0xdb: // str 32
        return this.#inside(at + 5, this.#length(at + 1, 4));
      case 0xcc: // uint 8
      case 0xd0: // int 8
        return this.#inside(at + 1, 1);
      case 0xcd: // uint 16
      case 0xd1: // int 16
        return this.#inside(at + 1, 2);
      case 0xca: // float 32
      case 0xce: // uint 32
      case 0xd2: // int 32
        return this.#inside(at + 1, 4);
      case 0xcb: // float 64
      case 0xcf: // uint 64
      case 0xd3: // int 64
        return this.#inside(at + 1, 8);
      case 0xdc:
        return this.#array(at + 3, this.#length(at + 1, 2), depth);
      case 0xdd:
        return this.#array(at + 5, this.#length(at + 1, 4), depth);
      case 0xde:
        return this.#map(at + 3, this.#length(at + 1, 2), depth);
      case 0xdf:
        return this.#map(at + 5, this.#length(at + 1, 4), depth);
      default:
        throw invalid(`it holds a value of type 0x${type.toString(16)}: expected plain data, no extensions`);
    }
  }

  #array(at: number, count: number, depth: number): number {
    this.#refuseDeeper(depth);
    let next = this.#room(at, count);
    for (let i = 0; i < count; i++) next = this.value(next, depth + 1);
    return next;
  }

  #map(at: number, count: number, depth: number): number {
    this.#refuseDeeper(depth);
    let next = this.#room(at, 2 * count);
    for (let i = 0; i < count; i++) {
      const type = this.#frame[next] ?? 0;
      const isText = (type >= 0xa0 && type <= 0xbf) || (type >= 0xd9 && type <= 0xdb);
      if (!isText) throw invalid("a map's key is no text");
      next = this.value(this.value(next, depth + 1), depth + 1);
    }
    return next;
  }

  #refuseDeeper(depth: number): void {
    if (depth >= maxDepth) throw invalid(`it is nested more than ${maxDepth} deep`);
  }

  /** Every one of `count` values takes a byte at least. */
  #room(at: number, count: number): number {
    this.#inside(at, count);
    return at;
  }

  #inside(at: number, bytes: number): number {
    const end = at + bytes;
    if (end > this.#frame.byteLength) throw invalid("it is cut off, or declares more than there is");
    return end;
  }

  #length(at: number, bytes: 1 | 2 | 4): number {
    this.#inside(at, bytes);
    if (bytes === 1) return this.#view.getUint8(at);
    return bytes === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }
}

function invalid(why: string): TuttiError {
  return new TuttiError("PROTOCOL", `a header frame is not valid MessagePack: ${why}`);
}
