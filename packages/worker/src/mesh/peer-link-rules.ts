import { packedSumsBytes } from "@tutti/core/compression";
import { TuttiError } from "@tutti/core/errors";
import type { TreeNode } from "@tutti/core/step";
import { type MessageOf, type PeerMessage, type PeerRules, RateLimit, type ToWorker } from "@tutti/core/wire";

/** A greeting, and nodes and chunks as the run has them. */
const largestHeaderBytes = 4096;

/**
 * What a worker may say to another: who opened the connection greets, the other accepts, then chunks of exactly the run's
 * sizes, and heartbeats. Whether a chunk is wanted is judged by the step that it says it is for.
 */
export class PeerLinkRules implements PeerRules<PeerMessage, PeerMessage> {
  readonly maxHeaderBytes = largestHeaderBytes;
  readonly #welcome: MessageOf<ToWorker, "welcome">;
  readonly #opens: boolean;
  readonly #heartbeats: RateLimit;
  #isOpen = false;

  /** @param opens this side opened the connection. @param now milliseconds of any steady clock. */
  constructor(welcome: MessageOf<ToWorker, "welcome">, opens: boolean, now: () => number) {
    this.#welcome = welcome;
    this.#opens = opens;
    this.#heartbeats = new RateLimit(100, 100, now);
  }

  sent(): void {}

  received(message: PeerMessage): void {
    if (!this.#isOpen) {
      if (message.type !== (this.#opens ? "accepted" : "greeting")) throw broken(`${message.type} before its greeting`);
      this.#isOpen = true;
      return;
    }
    switch (message.type) {
      case "greeting":
      case "accepted":
        throw broken(`a second ${message.type}`);
      case "heartbeat":
        if (!this.#heartbeats.take()) throw broken("a flood of heartbeats");
        return;
      case "contribution":
        if (message.lo >= message.hi) throw broken(`sums of shards ${message.lo} to ${message.hi}`);
        this.#chunk(message, [this.#bytes(message, message.chunk)]);
        return;
      case "reduced":
        // Whether a step's sums are rounded depends on how many shards it has.
        this.#chunk(message, [
          this.#bytes({ lo: 0, hi: Number.MAX_SAFE_INTEGER }, message.chunk),
          this.#bytes({ lo: 0, hi: 0 }, message.chunk),
        ]);
        return;
    }
  }

  #chunk({ type, chunk, payloadBytes }: MessageOf<PeerMessage, "contribution" | "reduced">, sizes: number[]): void {
    if (payloadBytes === 0 || !sizes.includes(payloadBytes))
      throw broken(`${type}: chunk ${chunk} of ${payloadBytes} bytes, expected ${sizes.join(" or ")}`);
  }

  #bytes(node: TreeNode, chunk: number): number {
    const { sumsFloats, chunkFloats, rounding } = this.#welcome;
    const begin = chunk * chunkFloats;
    const end = Math.min(sumsFloats, begin + chunkFloats);
    return end > begin ? packedSumsBytes(rounding, node, begin, end) : 0;
  }
}

function broken(what: string): TuttiError {
  return new TuttiError("PROTOCOL", `another worker broke the protocol: ${what}`);
}
