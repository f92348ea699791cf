import { packedSumsBytes } from "@tutti/core/compression";
import { packedCollects } from "@tutti/core/engine";
import { TuttiError } from "@tutti/core/errors";
import type { TreeNode } from "@tutti/core/step";
import {
  type MessageOf,
  maxFrameBytes,
  type PeerRules,
  RateLimit,
  type ToCoordinator,
  type ToWorker,
} from "@tutti/core/wire";

type Position = Pick<MessageOf<ToWorker, "lease">, "generation" | "round" | "step" | "lo" | "hi">;

/** What a worker may still say about a lease that it was sent. */
interface Debt {
  /** Results or failures. */
  answers: number;
  /** Chunks of announced results. */
  chunks: number;
}

/** Room for names, host, version and an error's text, whatever the message. */
const plainHeaderBytes = 1 << 16;

/** Leases whose answer may still come although their rounds are long over. */
const rememberedLeases = 4096;

/** Exchanges before the last whose chunks may still come. */
const rememberedExchanges = 3;

/**
 * What a worker may say to a coordinator: one hello, one ready, then an answer per lease it was sent, with chunks no larger
 * and no more than the run's, and heartbeats. So whatever a connection sends, it can neither make the coordinator hold
 * more than one answer nor keep it busy with what was not asked for. Whether the numbers are right is not a matter of rules.
 */
export class WorkerRules implements PeerRules<ToWorker, ToCoordinator> {
  readonly #debts = new Map<string, Debt>();
  readonly #heartbeats: RateLimit;
  #state: "connected" | "greeted" | "ready" = "connected";
  #welcome: MessageOf<ToWorker, "welcome"> | undefined;
  #scalarsBytes = 0;
  #collectBytes = 0;
  #longestLease = 0;
  /** Messages of spans that it may send: one for each lease of a run that is traced. */
  #spans = 0;
  /** Times that the parameters were sent whole: each may be found to differ once. */
  #differences = 0;
  #isListening = false;
  readonly #linkReports: RateLimit;
  /** Exchanges that it has not reported to have applied. */
  #exchanges = 0;
  /** Chunks that it owns in the last exchange and has not handed in, and the shards of that step. */
  #owned: { readonly round: number; readonly chunks: Set<number>; readonly shards: number }[] = [];

  /** @param now milliseconds of any steady clock. */
  constructor(now: () => number = () => performance.now()) {
    this.#heartbeats = new RateLimit(100, 100, now);
    this.#linkReports = new RateLimit(4096, 100, now);
  }

  get maxHeaderBytes(): number {
    const answerBytes = (this.#welcome?.inlineBytes ?? 0) + this.#longestLease * this.#scalarsBytes;
    return Math.min(maxFrameBytes, plainHeaderBytes + answerBytes);
  }

  sent(message: ToWorker): void {
    switch (message.type) {
      case "welcome":
        this.#welcome = message;
        return;
      case "program": {
        const { scalars, collects } = message.manifest;
        this.#scalarsBytes = Math.max(this.#scalarsBytes, scalars.length * 4);
        this.#collectBytes = Math.max(this.#collectBytes, packedCollects({ collects }).totalBytes);
        return;
      }
      case "lease":
        this.#longestLease = Math.max(this.#longestLease, message.hi - message.lo);
        this.#owe(message);
        if (this.#welcome?.trace === true) this.#spans++;
        return;
      case "commit":
        this.#differences++;
        return;
      case "exchange":
        this.#exchanges++;
        this.#oweReduced(message);
        return;
      default:
        return;
    }
  }

  received(message: ToCoordinator): void {
    switch (message.type) {
      case "hello":
        if (this.#state !== "connected") throw broken("a second hello");
        this.#state = "greeted";
        return;
      case "ready":
        if (this.#state !== "greeted" || this.#welcome === undefined) throw broken("ready out of turn");
        this.#state = "ready";
        return;
      case "leaving":
        return;
      case "listening":
        if (this.#welcome?.mesh === undefined || this.#isListening)
          throw broken("listening, which it was not asked for");
        this.#isListening = true;
        return;
      case "linked":
      case "unlinked":
        if (!this.#isListening || !this.#linkReports.take())
          throw broken(`${message.type} without a link, or too often`);
        return;
      case "reduced":
        this.#reduced(message);
        return;
      case "applied":
        if (this.#exchanges-- <= 0) throw broken("it has applied an exchange that it was not told of");
        return;
      case "heartbeat":
        if (this.#state === "connected") throw broken("a heartbeat before hello");
        if (!this.#heartbeats.take()) throw broken("a flood of heartbeats");
        return;
      case "differs":
        if (this.#differences-- <= 0) throw broken("it compares a commit that it was not sent");
        return;
      case "spans":
        if (this.#spans-- <= 0) throw broken("spans that it was not asked for");
        return;
      case "result":
        this.#result(message);
        return;
      case "failed":
        this.#pay(message, "answers", 1);
        return;
      case "partial":
        this.#partial(message);
        return;
    }
  }

  #result(message: MessageOf<ToCoordinator, "result">): void {
    const { inline, chunks } = message;
    // Exactly: a header is taken whole or not at all, so nothing of one that is found wrong later may have been used.
    const sumsBytes = this.#sumsBytes(message, 0, this.#welcome?.sumsFloats ?? 0);
    if (inline !== undefined && (chunks !== 1 || inline.byteLength !== sumsBytes))
      throw broken(`${inline.byteLength} bytes of sums for ${chunks} chunks, expected ${sumsBytes} for 1`);
    const mostBytes = (message.hi - message.lo) * this.#collectBytes;
    if (message.payloadBytes > mostBytes)
      throw broken(`${message.payloadBytes} bytes of per-sample outputs, its shards have at most ${mostBytes}`);
    if (chunks > this.#chunks) throw broken(`a result of ${chunks} chunks, the run's have ${this.#chunks}`);
    const debt = this.#pay(message, "answers", 1);
    if (inline === undefined && chunks > 0) {
      debt.chunks += chunks;
      this.#debts.set(keyOf(message), debt);
    }
  }

  #partial(message: MessageOf<ToCoordinator, "partial">): void {
    const { sumsFloats = 0, chunkFloats = 0 } = this.#welcome ?? {};
    const { chunk, payloadBytes } = message;
    const begin = chunk * chunkFloats;
    const expected = this.#sumsBytes(message, begin, Math.max(begin, Math.min(sumsFloats, begin + chunkFloats)));
    if (payloadBytes === 0 || payloadBytes !== expected)
      throw broken(`chunk ${chunk} of ${payloadBytes} bytes, expected ${expected}`);
    this.#pay(message, "chunks", 1);
  }

  #oweReduced({ round, shards, owners }: MessageOf<ToWorker, "exchange">): void {
    const range = owners.find(({ worker }) => worker === this.#welcome?.worker);
    const chunks = new Set<number>();
    for (let chunk = range?.first ?? 0; chunk < (range?.end ?? 0); chunk++) chunks.add(chunk);
    this.#owned = [...this.#owned.slice(-rememberedExchanges), { round, chunks, shards }];
  }

  #reduced({ round, chunk, payloadBytes }: MessageOf<ToCoordinator, "reduced">): void {
    const { sumsFloats = 0, chunkFloats = 0 } = this.#welcome ?? {};
    const owned = this.#owned.find((exchange) => exchange.round === round);
    if (owned === undefined || !owned.chunks.delete(chunk))
      throw broken(`reduced chunk ${chunk} of round ${round}, which it does not own`);
    const begin = chunk * chunkFloats;
    const end = Math.min(sumsFloats, begin + chunkFloats);
    const expected = this.#sumsBytes({ lo: 0, hi: owned.shards }, begin, end);
    if (payloadBytes !== expected)
      throw broken(`reduced chunk ${chunk} of ${payloadBytes} bytes, expected ${expected}`);
  }

  #sumsBytes(node: TreeNode, begin: number, end: number): number {
    return packedSumsBytes(this.#welcome?.rounding, node, begin, end);
  }

  get #chunks(): number {
    const { sumsFloats = 0, chunkFloats = 1 } = this.#welcome ?? {};
    return Math.ceil(sumsFloats / chunkFloats);
  }

  #owe(lease: Position): void {
    const key = keyOf(lease);
    const debt = this.#debts.get(key) ?? { answers: 0, chunks: 0 };
    debt.answers++;
    this.#debts.delete(key); // the youngest are at the end
    this.#debts.set(key, debt);
    const [oldest] = this.#debts.keys();
    if (this.#debts.size > rememberedLeases && oldest !== undefined) this.#debts.delete(oldest);
  }

  #pay(message: Position & { readonly type: string }, what: keyof Debt, count: number): Debt {
    const key = keyOf(message);
    const debt = this.#debts.get(key);
    if (debt === undefined || debt[what] < count) {
      throw broken(
        `a ${message.type} for shards ${message.lo}–${message.hi} of round ${message.round}, which it was not asked for`,
      );
    }
    debt[what] -= count;
    if (debt.answers === 0 && debt.chunks === 0) this.#debts.delete(key);
    return debt;
  }
}

function keyOf({ generation, round, step, lo, hi }: Position): string {
  return `${generation}/${round}/${step}/${lo}-${hi}`;
}

function broken(what: string): TuttiError {
  return new TuttiError("PROTOCOL", `the worker broke the protocol: ${what}`);
}
