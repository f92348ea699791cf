import { packedSumsBytes } from "@tutti/core/compression";
import { packedColumns } from "@tutti/core/engine";
import { TuttiError } from "@tutti/core/errors";
import { isCanonical } from "@tutti/core/step";
import { type MessageOf, maxFrameBytes, type PeerRules, type ToCoordinator, type ToWorker } from "@tutti/core/wire";
import { checkManifest } from "./check-manifest.ts";
import { checkWelcome, type RunHistory } from "./check-welcome.ts";

/** What a worker process keeps of its run while it leaves and joins. */
export class KnownRun implements RunHistory {
  run: string | undefined;
  generation = 0;
  /** The manifest that an id stood for: lanes know programs by their ids as long as the process lives. */
  readonly manifests = new Map<string, string>();
}

const largestGraphBytes = 2 ** 28;
const plainHeaderBytes = 1 << 16;
const mostShardsOfLease = 65_536;

/**
 * What a coordinator may say to a worker: a welcome that fits what is known of the run, as many programs as it announced,
 * rows of exactly their programs' sizes, chunks of exactly theirs, leases that are no longer than a run can be.
 */
export class CoordinatorRules implements PeerRules<ToCoordinator, ToWorker> {
  readonly #known: KnownRun;
  /** Bytes of rows by program id, and of their numbers. */
  readonly #rowBytes = new Map<string, { readonly rows: number; readonly numbers: number }>();
  #datasets: readonly string[] = [];
  #hasGreeted = false;
  #welcome: MessageOf<ToWorker, "welcome"> | undefined;
  #isOver = false;
  #hasReplica = false;
  #stateFloats = 0;
  /** Shards of the exchange announced last. */
  #shards = 0;

  constructor(known: KnownRun) {
    this.#known = known;
  }

  get maxHeaderBytes(): number {
    if (this.#welcome === undefined) return plainHeaderBytes;
    if (this.#rowBytes.size < this.#welcome.programs) return maxFrameBytes; // a manifest lists every parameter
    return plainHeaderBytes + this.#welcome.inlineBytes;
  }

  sent(message: ToCoordinator): void {
    if (message.type !== "hello") return;
    this.#hasGreeted = true;
    this.#datasets = message.data?.map(({ name }) => name) ?? [];
  }

  received(message: ToWorker): void {
    if (this.#isOver) throw broken(`${message.type} after goodbye`);
    if (message.type === "goodbye") {
      this.#isOver = true;
      return;
    }
    if (message.type === "welcome") {
      this.#join(message);
      return;
    }
    if (this.#welcome === undefined) throw broken(`${message.type} before its welcome`);
    switch (message.type) {
      case "program":
        this.#program(message, this.#welcome);
        return;
      case "canary":
        this.#rows(message.program, message.payloadBytes, "rows");
        return;
      case "batch":
        if (message.inline !== undefined && message.payloadBytes !== 0) throw broken("rows in a header and behind it");
        if (message.dataset !== undefined && !this.#datasets.includes(message.dataset))
          throw broken(`rows of "${message.dataset}", which this worker does not have`);
        this.#rows(
          message.program,
          message.inline?.byteLength ?? message.payloadBytes,
          message.dataset === undefined ? "rows" : "numbers",
        );
        return;
      case "parameters":
        checkChunk(message, message.payloadBytes, this.#welcome.parameterFloats, this.#welcome.chunkFloats);
        return;
      case "update":
        if (message.inline !== undefined && message.payloadBytes !== 0)
          throw broken("a chunk in a header and behind it");
        checkChunk(
          message,
          message.inline?.byteLength ?? message.payloadBytes,
          this.#welcome.updatedFloats,
          this.#welcome.chunkFloats,
        );
        return;
      case "average":
        checkChunk(message, message.payloadBytes, this.#welcome.averageFloats, this.#welcome.chunkFloats);
        return;
      case "replica":
        if (this.#hasReplica || this.#welcome.mesh === undefined) throw broken("a replica that it did not announce");
        this.#hasReplica = true;
        this.#stateFloats = message.trainableFloats;
        return;
      case "state":
        if (!this.#hasReplica) throw broken("state before its replica");
        checkChunk(message, message.payloadBytes, this.#stateFloats, this.#welcome.chunkFloats);
        return;
      case "exchange":
        if (!this.#hasReplica) throw broken("an exchange before its replica");
        this.#exchange(message, this.#welcome);
        return;
      case "reduced":
        this.#reduced(message, this.#welcome);
        return;
      case "peers":
      case "divisor":
      case "reown":
        if (!this.#hasReplica) throw broken(`${message.type} before its replica`);
        return;
      case "lease":
        if (message.lo >= message.hi || message.hi - message.lo > mostShardsOfLease)
          throw broken(`a lease of shards ${message.lo} to ${message.hi}`);
        return;
      case "commit":
      case "skip":
      case "abort":
      case "release":
      case "heartbeat":
        return;
    }
  }

  #join(welcome: MessageOf<ToWorker, "welcome">): void {
    if (!this.#hasGreeted || this.#welcome !== undefined) throw broken("a welcome out of turn");
    checkWelcome(welcome, this.#known);
    this.#welcome = welcome;
    this.#known.run = welcome.run;
    this.#known.generation = welcome.generation;
  }

  #program(message: MessageOf<ToWorker, "program">, welcome: MessageOf<ToWorker, "welcome">): void {
    const { id, manifest, payloadBytes } = message;
    if (this.#rowBytes.size >= welcome.programs) throw broken(`more than the ${welcome.programs} programs announced`);
    if (this.#rowBytes.has(id)) throw broken(`program ${id.slice(0, 12)} for the second time`);
    if (payloadBytes === 0 || payloadBytes > largestGraphBytes)
      throw broken(`a graph of ${payloadBytes} bytes, at most ${largestGraphBytes} are accepted`);
    checkManifest(manifest, welcome);
    const text = JSON.stringify(manifest);
    if ((this.#known.manifests.get(id) ?? text) !== text)
      throw broken(`program ${id.slice(0, 12)} is not what it was before`);
    this.#known.manifests.set(id, text);
    this.#rowBytes.set(id, { rows: packedColumns(manifest).totalBytes, numbers: 4 * manifest.samples });
  }

  #exchange({ nodes, owners, shards }: MessageOf<ToWorker, "exchange">, welcome: MessageOf<ToWorker, "welcome">): void {
    const chunks = Math.ceil(welcome.sumsFloats / welcome.chunkFloats);
    let end = 0;
    for (const owner of owners) {
      if (owner.first !== end || owner.end < owner.first || owner.end > chunks) throw broken("owners that overlap");
      end = owner.end;
    }
    let lo = 0;
    for (const node of nodes) {
      if (node.lo !== lo || !isCanonical(shards, node)) throw broken(`node ${node.lo}–${node.hi} of ${shards} shards`);
      lo = node.hi;
    }
    if (lo !== shards) throw broken(`nodes up to ${lo} of ${shards} shards`);
    this.#shards = shards;
  }

  #reduced({ chunk, payloadBytes }: MessageOf<ToWorker, "reduced">, welcome: MessageOf<ToWorker, "welcome">): void {
    const { sumsFloats, chunkFloats, rounding } = welcome;
    const begin = chunk * chunkFloats;
    const end = Math.min(sumsFloats, begin + chunkFloats);
    const expected = end > begin ? packedSumsBytes(rounding, { lo: 0, hi: this.#shards }, begin, end) : 0;
    if (payloadBytes === 0 || payloadBytes !== expected)
      throw broken(`reduced: chunk ${chunk} of ${payloadBytes} bytes, expected ${expected}`);
  }

  #rows(program: string, bytes: number, what: "rows" | "numbers"): void {
    const expected = this.#rowBytes.get(program)?.[what];
    if (expected === undefined) throw broken(`rows for program ${program.slice(0, 12)}, which it did not send`);
    if (bytes !== expected) throw broken(`${bytes} bytes of rows, its program takes ${expected}`);
  }
}

function checkChunk(
  message: { type: string; chunk: number },
  bytes: number,
  floats: number,
  chunkFloats: number,
): void {
  const begin = message.chunk * chunkFloats;
  const expected = (Math.min(floats, begin + chunkFloats) - begin) * 4;
  if (bytes === 0 || bytes !== expected)
    throw broken(`${message.type}: chunk ${message.chunk} of ${bytes} bytes, expected ${Math.max(0, expected)}`);
}

function broken(what: string): TuttiError {
  return new TuttiError("PROTOCOL", `the coordinator broke the protocol: ${what}`);
}
