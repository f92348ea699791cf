import { packedColumns } from "@tutti/core/engine";
import { TuttiError } from "@tutti/core/errors";
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
