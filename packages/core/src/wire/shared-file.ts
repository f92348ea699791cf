import { randomUUID } from "node:crypto";
import { closeSync, openSync, readSync, statfsSync, unlinkSync, writeSync } from "node:fs";
import type { MessageSocket, OnMessage } from "./connection.ts";
import { RelayedSocket } from "./relayed-socket.ts";
import type { SharedBlocks } from "./shared-blocks.ts";

/** HTTP header in which a worker names the file that it shares with the coordinator's process: "NAME", or "NAME blocks". */
export const sharedFileHeader = "x-tutti-shared-file";

/** Files here live in memory. */
const folder = "/dev/shm";

/** Shorter frames are quicker through the socket. */
const leastBytes = 16 * 1024;

/** Room for one direction; more than one core's cache is slower. */
const capacityBytes = 8 << 20;

/** Which half of the file an end writes to; it reads from the other. */
export type SharedFileEnd = "parent" | "child";

/**
 * A nameless file in memory which a process shares with a child that it starts, through an inherited descriptor. Frames
 * between the two are written to it and read from it, which takes a third of the time of a socket and leaves no garbage;
 * the socket then carries only where they are. Without it, or where it is full, everything goes through the socket.
 */
export class SharedFile {
  /** To be handed to the child. */
  readonly descriptor: number;
  readonly #end: SharedFileEnd;
  readonly #blocks: SharedBlocks | undefined;
  #socket: SharedFileSocket | undefined;

  /** @param blocks what both processes see where it is, beside the file. */
  constructor(descriptor: number, end: SharedFileEnd, blocks?: SharedBlocks) {
    this.descriptor = descriptor;
    this.#end = end;
    this.#blocks = blocks;
  }

  /** The parent's end of a new file; undefined where the machine has no memory for one (such as anywhere but on Linux). */
  static create(blocks?: SharedBlocks): SharedFile | undefined {
    try {
      const { bavail, bsize } = statfsSync(folder);
      if (bavail * bsize < 8 * capacityBytes) return undefined;
      const path = `${folder}/tutti-${randomUUID()}`;
      const descriptor = openSync(path, "wx+", 0o600);
      unlinkSync(path);
      return new SharedFile(descriptor, "parent", blocks);
    } catch {
      return undefined;
    }
  }

  /** Both processes see parts of each other's arenas, beside the file. */
  get sharesBlocks(): boolean {
    return this.#blocks !== undefined;
  }

  /** This end's name in `sharedFileHeader`. */
  header(name: string): string {
    return this.#blocks === undefined ? name : `${name} blocks`;
  }

  /**
   * A connection's socket, sped up. The one before, if there was one, uses the file no more.
   * @param withBlocks the other end sees this end's blocks, too.
   */
  wrap(socket: MessageSocket, withBlocks = true): MessageSocket {
    this.#socket?.detach();
    this.#socket = new SharedFileSocket(socket, this.descriptor, this.#end, withBlocks ? this.#blocks : undefined);
    return this.#socket;
  }

  /** Closes this end's descriptors. */
  close(): void {
    this.#socket?.detach();
    this.#blocks?.close();
    closeSync(this.descriptor);
  }
}

/**
 * Binary frames as they are, but for large ones: a text frame "at POSITION BYTES" stands for one in the file, and "read
 * POSITION" says up to where the other end has read. Positions count all bytes ever written; the file holds the last of them.
 * "in …" stands for bytes that the other end sees where they are (`SharedBlocks`).
 */
class SharedFileSocket extends RelayedSocket {
  readonly #descriptor: number;
  readonly #blocks: SharedBlocks | undefined;
  readonly #writeOffset: number;
  readonly #readOffset: number;
  /** Handed over with each frame; only valid during the call. */
  #frame = Buffer.alloc(0);
  #isUsable = true;
  #written = 0;
  #readByPeer = 0;
  #read = 0;
  #told = 0;

  constructor(socket: MessageSocket, descriptor: number, end: SharedFileEnd, blocks: SharedBlocks | undefined) {
    super(socket);
    this.#descriptor = descriptor;
    this.#blocks = blocks;
    this.#writeOffset = end === "parent" ? 0 : capacityBytes;
    this.#readOffset = end === "parent" ? capacityBytes : 0;
  }

  /** The file belongs to another connection now: this one is over. */
  detach(): void {
    if (!this.#isUsable) return;
    this.#isUsable = false;
    this.socket.terminate();
  }

  override placeOf(data: Uint8Array): string | undefined {
    return this.#isUsable ? this.#blocks?.placeOf(data) : undefined;
  }

  override send(
    data: Uint8Array,
    options: { binary: boolean; compress: boolean },
    callback?: (error?: Error) => void,
  ): void {
    const place = this.placeOf(data);
    if (place !== undefined) {
      this.#tell(place, callback);
      return;
    }
    const position = data.byteLength < leastBytes ? undefined : this.#write(data);
    if (position === undefined) super.send(data, options, callback);
    else this.#tell(`at ${position} ${data.byteLength}`, callback);
  }

  protected override listen(listener: OnMessage): unknown {
    return this.socket.on("message", (data, isBinary) => {
      if (isBinary) listener(data, true);
      else this.#receive(data.toString("latin1"), listener);
    });
  }

  /** Where it was written; undefined if there is no room for it now. */
  #write(data: Uint8Array): number | undefined {
    if (!this.#isUsable || data.byteLength > capacityBytes) return undefined;
    const rest = capacityBytes - (this.#written % capacityBytes);
    const position = this.#written + (rest < data.byteLength ? rest : 0); // a frame lies in one piece
    if (position + data.byteLength - this.#readByPeer > capacityBytes) return undefined;
    try {
      const at = this.#writeOffset + (position % capacityBytes);
      if (writeSync(this.#descriptor, data, 0, data.byteLength, at) !== data.byteLength) return undefined;
    } catch {
      return undefined; // the machine has no memory for it left
    }
    this.#written = position + data.byteLength;
    return position;
  }

  #receive(text: string, receive: OnMessage): void {
    const shared = this.#isUsable && text.startsWith("in ") ? this.#blocks?.at(text) : undefined;
    if (shared !== undefined) {
      receive(shared, true, text);
      return;
    }
    const [, word, first, second] = /^(at|read) (\d{1,15})(?: (\d{1,15}))?$/.exec(text) ?? [];
    const [position, bytes] = [Number(first), Number(second)];
    if (word === "read" && position >= this.#readByPeer && position <= this.#written) {
      this.#readByPeer = position;
      return;
    }
    const isInside = position >= this.#read && (position % capacityBytes) + bytes <= capacityBytes;
    if (!this.#isUsable || word !== "at" || !(bytes > 0) || !isInside) {
      receive(Buffer.from(text, "latin1"), false); // refused as any text frame
      return;
    }
    if (this.#frame.byteLength < bytes) this.#frame = Buffer.allocUnsafeSlow(bytes);
    readSync(this.#descriptor, this.#frame, 0, bytes, this.#readOffset + (position % capacityBytes));
    this.#read = position + bytes;
    if (this.#read - this.#told > capacityBytes / 4) {
      this.#told = this.#read;
      this.#tell(`read ${this.#read}`);
    }
    receive(this.#frame.subarray(0, bytes), true);
  }

  #tell(text: string, callback?: (error?: Error) => void): void {
    super.send(Buffer.from(text, "latin1"), { binary: false, compress: false }, callback);
  }
}
