import type { Clock } from "@tutti/core/clock";
import type { ChunkRange, Reduction } from "@tutti/core/exchange";
import type { PlateauState } from "@tutti/core/optim";
import type { MessageOf, ToCoordinator, ToWorker } from "@tutti/core/wire";
import type { Member } from "./member.ts";
import type { Publisher } from "./publisher.ts";
import type { StepRound } from "./step-round.ts";

export interface DirectExchangeParts {
  readonly clock: Clock;
  readonly generation: number;
  readonly round: StepRound;
  readonly reduction: Reduction;
  readonly publisher: Publisher;
  readonly participants: readonly Member[];
  /** Updates that the parameters have had. */
  readonly updates: number;
  readonly plateau: PlateauState;
  /** Chunks of t+1 that are final here. */
  readonly updatedChunks: () => readonly number[];
  /** All that are left have applied the update. */
  readonly agreed: () => void;
  readonly notice: (message: string) => void;
}

/**
 * One step whose sums workers exchange among themselves, as its coordinator sees it: who owns which chunks, who has applied
 * the update, and what to do when somebody is gone. The coordinator is sent every reduced chunk by its owner and
 * applies the update too. Whatever goes wrong ends the same way: it becomes the owner of what is missing, as in a star.
 */
export class DirectExchange {
  readonly #parts: DirectExchangeParts;
  readonly #participants: Set<Member>;
  /** By chunk; undefined: the coordinator. */
  readonly #owners: (Member | undefined)[];
  /** The hash of t+1 that each has reported. */
  readonly #applied = new Map<Member, string>();
  #lastProgressMs: number;
  /** What had arrived at those who take part from each other. */
  #peerBytes = 0;

  constructor(parts: DirectExchangeParts) {
    this.#parts = parts;
    this.#participants = new Set(parts.participants);
    this.#lastProgressMs = parts.clock.now();
    const { chunks } = parts.reduction;
    const count = parts.participants.length;
    this.#owners = Array.from(
      { length: chunks },
      (_, chunk) => parts.participants[Math.floor((chunk * count) / chunks)],
    );
  }

  /** Tells everybody of the step, before the first lease. */
  announce(): void {
    const { generation, round, updates, plateau } = this.#parts;
    this.#broadcast({
      type: "exchange",
      generation,
      round: round.number,
      step: round.step,
      updates,
      samples: round.batch.samples,
      plateau: { ...plateau },
      shards: round.batch.shards.length,
      nodes: round.leases.nodes.map(({ lo, hi }) => ({ lo, hi })),
      owners: this.#ranges(this.#parts.participants),
    });
  }

  includes(member: Member): boolean {
    return this.#participants.has(member);
  }

  /**
   * Whether leases of this round may be dealt to the member: those who take part, or anybody once all of them are gone or
   * are being drained.
   */
  mayCompute(member: Member): boolean {
    return this.#participants.has(member) || !this.#canCompute;
  }

  /** Somebody who takes part may still be given work. */
  get #canCompute(): boolean {
    for (const { isDealable } of this.#participants) if (isDealable) return true;
    return false;
  }

  /** @param divisor the step's sum of sample weights, as float32. */
  divisorKnown(divisor: number): void {
    const { generation, round } = this.#parts;
    this.#broadcast({ type: "divisor", generation, round: round.number, divisor });
  }

  /** An owner has added up a chunk. Throws PROTOCOL for what cannot be one. */
  reduced(member: Member, message: MessageOf<ToCoordinator, "reduced">, payload: Uint8Array): void {
    if (!this.#participants.has(member)) return;
    this.#progress(member);
    this.#parts.round.reduced(message.chunk, payload);
  }

  /** A chunk is final here. Who takes part gets it from its owner, unless that is the coordinator. */
  chunkReduced(chunk: number): void {
    if (this.#owners[chunk] === undefined) this.#sendReduced([...this.#participants], chunk);
  }

  applied(member: Member, { hash }: MessageOf<ToCoordinator, "applied">): void {
    if (!this.#participants.has(member)) return;
    this.#progress(member);
    this.#applied.set(member, hash);
    if (this.isAgreed) this.#parts.agreed();
  }

  /** Everybody who still takes part has applied the update. */
  get isAgreed(): boolean {
    for (const member of this.#participants) if (!this.#applied.has(member)) return false;
    return true;
  }

  /** Those who hold the state of t+1, if `hash` is right. */
  holders(hash: string): readonly Member[] {
    return [...this.#participants].filter((member) => this.#applied.get(member) === hash);
  }

  /** A member is gone: what it owned is owned by the coordinator, what it had handed out already is handed out again. */
  left(member: Member): void {
    if (!this.#participants.delete(member)) return;
    this.#applied.delete(member);
    this.#reown((chunk) => this.#owners[chunk] === member);
    this.#yieldUnlessComputing();
    if (this.isAgreed) this.#parts.agreed();
  }

  /** Whoever computes from now on takes no part: the owners are not sent what it adds, the coordinator is. */
  #yieldUnlessComputing(): void {
    if (this.#participants.size > 0 && !this.#canCompute) this.fallBack("those who take part are being drained");
  }

  /** A member is still here, but gets t+1 from the coordinator, as one that joined in the middle of the step. */
  demote(member: Member): void {
    if (!this.#participants.has(member)) return;
    this.left(member);
    for (const chunk of this.#parts.updatedChunks()) this.#parts.publisher.sendUpdate([member], chunk);
  }

  /** Something between members does not work: the coordinator owns whatever is not final. */
  fallBack(reason: string): void {
    const { reduction, notice, round } = this.#parts;
    if (this.#owners.every((owner) => owner === undefined) || reduction.isComplete) return;
    notice(`step ${round.step + 1}: ${reason}; what is missing goes over the coordinator`);
    this.#reown((chunk) => this.#owners[chunk] !== undefined && !reduction.isReduced(chunk));
  }

  /** Nothing may hang: after `lateMs` without progress the coordinator takes over what others should have done. */
  tick(nowMs: number, lateMs: number): void {
    let peerBytes = 0;
    for (const member of this.#participants) peerBytes += member.peerBytes;
    if (peerBytes > this.#peerBytes) this.#lastProgressMs = nowMs; // however slow their links are
    this.#peerBytes = peerBytes;
    this.#yieldUnlessComputing();
    if (nowMs - this.#lastProgressMs < lateMs) return;
    const { round, reduction, notice } = this.#parts;
    if (round.scalars !== undefined && !reduction.isComplete) this.fallBack("sums have not come for a long time");
    if (!reduction.isComplete) return;
    for (const member of [...this.#participants]) {
      if (this.#applied.has(member)) continue;
      notice(`step ${round.step + 1}: ${member.id} has not applied it for a long time; it is sent the result`);
      this.demote(member);
    }
  }

  #progress(member: Member): void {
    this.#lastProgressMs = this.#parts.clock.now();
    member.lastProgressMs = this.#lastProgressMs;
  }

  #reown(isTaken: (chunk: number) => boolean): void {
    const { generation, round, reduction, clock } = this.#parts;
    const chunks = [...this.#owners.keys()].filter(isTaken);
    if (chunks.length === 0) return;
    for (const chunk of chunks) this.#owners[chunk] = undefined;
    this.#lastProgressMs = clock.now();
    round.leases.reopen(this.#lastProgressMs);
    for (const member of this.#participants) member.lastProgressMs = this.#lastProgressMs;
    const missing = chunks.filter((chunk) => !reduction.isReduced(chunk));
    if (missing.length > 0)
      this.#broadcast({ type: "reown", generation, round: round.number, chunks: rangesOf(missing) });
    // Final here, but perhaps not with everybody.
    for (const chunk of chunks) if (reduction.isReduced(chunk)) this.#sendReduced([...this.#participants], chunk);
  }

  #sendReduced(members: readonly Member[], chunk: number): void {
    const { generation, round, reduction } = this.#parts;
    const payload = reduction.reducedBytes(chunk).slice(); // the next step may begin before a slow link has taken it
    const position = { generation, round: round.number, step: round.step, chunk, payloadBytes: payload.byteLength };
    for (const member of members) member.send({ type: "reduced", ...position }, payload);
  }

  #ranges(members: readonly Member[]): { worker: string; first: number; end: number }[] {
    let first = 0; // of an empty range, where there are more members than chunks
    return members.map((member) => {
      const end = Math.max(first, this.#owners.lastIndexOf(member) + 1);
      const range = { worker: member.id, first, end };
      first = end;
      return range;
    });
  }

  #broadcast(message: ToWorker): void {
    for (const member of this.#participants) member.send(message);
  }
}

/** The fewest ranges that are exactly these chunks, which are in order. */
function rangesOf(chunks: readonly number[]): ChunkRange[] {
  const ranges: { first: number; end: number }[] = [];
  for (const chunk of chunks) {
    const last = ranges.at(-1);
    if (last?.end === chunk) last.end++;
    else ranges.push({ first: chunk, end: chunk + 1 });
  }
  return ranges;
}
