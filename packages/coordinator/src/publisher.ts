import type { Generations, Reduction } from "@tutti/core/exchange";
import type { Arena } from "@tutti/core/memory";
import type { Member } from "./member.ts";
import type { Signal } from "./signal.ts";

export interface PublisherParts {
  readonly arena: Arena;
  readonly generations: Generations;
  readonly reduction: Reduction;
  readonly generation: number;
  /** Chunks up to this many bytes travel within their header. */
  readonly inlineBytes: number;
  /** Notified when a socket has taken all it was given of a generation. */
  readonly changed: Signal;
}

/**
 * Sends parameters to workers, straight from the arena. A view may not be overwritten before the socket has taken it;
 * since generations alternate, that is checked once per step (`isFlushed`).
 */
export class Publisher {
  readonly #parts: PublisherParts;

  constructor(parts: PublisherParts) {
    this.#parts = parts;
  }

  /** Generation t whole, then the chunks of t+1 that are final already. */
  sendAll(member: Member, updatedChunks: readonly number[]): void {
    const { generations, reduction, generation } = this.#parts;
    const { step, current, currentIndex, totalFloats } = generations;
    for (let chunk = 0; chunk * reduction.chunkFloats < totalFloats; chunk++) {
      const begin = chunk * reduction.chunkFloats;
      const payloadBytes = (Math.min(totalFloats, begin + reduction.chunkFloats) - begin) * 4;
      this.#sendView(
        member,
        { type: "parameters", generation, step, chunk, payloadBytes },
        current.parameters + begin * 4,
        currentIndex,
      );
    }
    for (const chunk of updatedChunks) this.sendUpdate([member], chunk);
  }

  /** One final chunk of t+1. */
  sendUpdate(members: readonly Member[], chunk: number): void {
    const { generations, reduction, generation, arena } = this.#parts;
    const begin = chunk * reduction.chunkFloats;
    const bytes = (Math.min(generations.updatedFloats, begin + reduction.chunkFloats) - begin) * 4;
    const address = generations.next.parameters + begin * 4;
    const header = { type: "update", generation, step: generations.step + 1, chunk } as const;
    const index = generations.currentIndex === 0 ? 1 : 0;
    const isSmall = bytes <= this.#parts.inlineBytes;
    for (const member of members) {
      if (isSmall && !member.connection.sharesMemory)
        member.send({ ...header, payloadBytes: 0, inline: arena.bytes(address, bytes).slice() });
      else this.#sendView(member, { ...header, payloadBytes: bytes }, address, index);
    }
  }

  /** The optimizer's state of generation t, for a worker that is to apply updates itself. */
  sendState(member: Member): void {
    const { generations, reduction, generation } = this.#parts;
    const { step, current, currentIndex, trainableFloats } = generations;
    for (const [slot, base] of current.slots.entries()) {
      for (let chunk = 0; chunk * reduction.chunkFloats < trainableFloats; chunk++) {
        const begin = chunk * reduction.chunkFloats;
        const payloadBytes = (Math.min(trainableFloats, begin + reduction.chunkFloats) - begin) * 4;
        const message = { type: "state", generation, step, slot, chunk, payloadBytes } as const;
        this.#sendView(member, message, base + begin * 4, currentIndex);
      }
    }
  }

  /** The averaged weights of generation t, for validation. */
  sendAverage(member: Member, slot: number): void {
    const { generations, reduction, generation } = this.#parts;
    const { step, current, currentIndex, trainableFloats } = generations;
    for (let chunk = 0; chunk * reduction.chunkFloats < trainableFloats; chunk++) {
      const begin = chunk * reduction.chunkFloats;
      const payloadBytes = (Math.min(trainableFloats, begin + reduction.chunkFloats) - begin) * 4;
      const message = { type: "average", generation, step, chunk, payloadBytes } as const;
      this.#sendView(member, message, current.slots[slot]! + begin * 4, currentIndex);
    }
  }

  /** True when every socket has taken what it was given of the buffer that t+1 will be written to. */
  isFlushed(members: readonly Member[]): boolean {
    const index = this.#parts.generations.currentIndex === 0 ? 1 : 0;
    return members.every((member) => member.unflushed[index] === 0);
  }

  #sendView(
    member: Member,
    message: Parameters<Member["send"]>[0] & { payloadBytes: number },
    address: number,
    index: 0 | 1,
  ): void {
    member.unflushed[index]++;
    member.send(message, this.#parts.arena.bytes(address, message.payloadBytes), () => {
      if (--member.unflushed[index] === 0) this.#parts.changed.notify();
    });
  }
}
