import { TuttiError } from "@tutti/core/errors";
import type { Reduction } from "@tutti/core/exchange";
import type { Arena } from "@tutti/core/memory";
import type { TreeNode } from "@tutti/core/step";
import type { Verdict } from "./audit.ts";
import { type Lease, Leases } from "./leases.ts";
import type { Member, PartialMessage, ResultMessage } from "./member.ts";
import type { PreparedBatch } from "./training-run.ts";

/** What a step's answers amount to, apart from the gradient sums. */
export interface StepScalars {
  /** Σ over all shards, float64, in shard order: [Σ weight·loss, Σ weight, metrics…]. */
  readonly sums: Float64Array;
  /** The same per shard, as they came. */
  readonly perShard: readonly Float32Array[];
}

/**
 * Collects the answers of one training step. For each (node, chunk) the first valid answer wins; what comes later is
 * compared by its bytes where they are still known, counted and dropped.
 */
export class StepRound {
  readonly number: number;
  readonly step: number;
  readonly batch: PreparedBatch;
  readonly leases = new Leases();
  readonly usesAverage = false;
  readonly #parts: StepRoundParts;
  readonly #perShard: (Float32Array | undefined)[];
  /** Of whom something counts that nobody has confirmed. */
  readonly #believed = new Set<Member>();
  #missingShards: number;
  #scalars: StepScalars | undefined;
  duplicates = 0;
  /** Of them, those that were not what had been taken. */
  duplicatesDiffering = 0;
  nodesAudited = 0;
  /** Why the step cannot be committed, if a loss or weight is not finite. */
  nonFinite: TuttiError | undefined;
  /** Set where workers exchange sums directly: only scalars come here, and reduced chunks. */
  isDirect = false;
  /** What the last announced answer took to compute, by its worker's clock. */
  lastComputeMs = 0;

  constructor(parts: StepRoundParts) {
    this.number = parts.number;
    this.step = parts.step;
    this.batch = parts.batch;
    this.#parts = parts;
    this.#perShard = parts.batch.shards.map(() => undefined);
    this.#missingShards = parts.batch.shards.length;
    for (const node of parts.nodes) this.leases.add(node);
    const { step, batch, nodes, chunkReduced, areLent } = parts;
    parts.reduction.begin(step, batch.shards.length, nodes, chunkReduced, undefined, areLent);
  }

  /** All shards' scalars, once the last has come. */
  get scalars(): StepScalars | undefined {
    return this.#scalars;
  }

  /** Why the step cannot be committed, if a loss or weight is not finite or the weights add up to 0. */
  nonFiniteLoss(): TuttiError | undefined {
    const { sums, perShard } = this.#scalars!;
    const weight = sums[1]!;
    if (Number.isFinite(sums[0]!) && Number.isFinite(weight) && weight !== 0) return undefined;
    const shards = [...perShard.keys()].filter(
      (i) => !Number.isFinite(perShard[i]![0]!) || !Number.isFinite(perShard[i]![1]!),
    );
    const step = this.step + 1;
    const what =
      weight === 0 ? "the sample weights add up to 0" : `the loss of shard ${shards.join(", ")} is NaN or infinite`;
    return new TuttiError(
      "NON_FINITE",
      `step ${step}: ${what}; the step was not committed. Lower the learning rate, clip gradients, or check the data`,
      { step, shards },
    );
  }

  /** Whether something of the member counts here that no audit has confirmed. */
  believes(member: Member): boolean {
    return this.#believed.has(member);
  }

  get isComplete(): boolean {
    return this.#missingShards === 0 && this.#parts.reduction.isComplete;
  }

  /** A member announces a node's sums, with the scalars of its shards. Throws PROTOCOL for what cannot be an answer. */
  result(member: Member, message: ResultMessage, _collected?: Uint8Array): void {
    const lease = this.#lease(member, message);
    const { lo, hi } = lease.node;
    const rowBytes = this.#parts.scalarsLength * 4;
    if (message.scalars.byteLength !== (hi - lo) * rowBytes) {
      throw new TuttiError(
        "PROTOCOL",
        `result of node ${lo}-${hi}: ${message.scalars.byteLength} bytes of scalars, expected ${(hi - lo) * rowBytes}`,
      );
    }
    this.lastComputeMs = message.computeMs;
    if (lease.audit !== undefined) {
      this.#judge(lease, lease.audit.scalars(member, message.scalars));
    } else {
      this.#believed.add(member);
      this.#takeScalars(lease, message.scalars);
    }
    if (this.isDirect && !lease.isDone) lease.announced.add(member);
    if (message.inline !== undefined) this.#chunk(member, lease, 0, message.inline);
    this.#finishIfDone(lease);
  }

  /** One chunk of an announced node's sums. */
  partial(member: Member, message: PartialMessage, payload: Uint8Array | undefined): void {
    const lease = this.#lease(member, message);
    this.#chunk(member, lease, message.chunk, payload ?? new Uint8Array(0));
    this.#finishIfDone(lease);
  }

  /** A chunk of the whole step's sums that was added up elsewhere. */
  reduced(chunk: number, bytes: Uint8Array): void {
    const { reduction } = this.#parts;
    const expected = chunk < reduction.chunks ? reduction.reducedChunkBytes(chunk) : 0;
    if (bytes.byteLength !== expected)
      throw new TuttiError("PROTOCOL", `reduced chunk ${chunk}: ${bytes.byteLength} bytes, expected ${expected}`);
    reduction.deliverReduced(chunk, bytes);
    if (reduction.isComplete) for (const lease of this.leases.all) this.#finishIfDone(lease);
  }

  #lease(member: Member, message: { readonly lo: number; readonly hi: number }): Lease {
    const lease = this.leases.get(message);
    if (lease === undefined || !(lease.holders.has(member) || lease.isDone)) {
      throw new TuttiError(
        "PROTOCOL",
        `an answer for node ${message.lo}-${message.hi}, which ${member.id} was not given`,
      );
    }
    return lease;
  }

  #chunk(member: Member, lease: Lease, chunk: number, bytes: Uint8Array): void {
    if (chunk >= this.#parts.reduction.chunks) {
      throw new TuttiError(
        "PROTOCOL",
        `chunk ${chunk} of node ${lease.node.lo}-${lease.node.hi}: there are ${this.#parts.reduction.chunks}`,
      );
    }
    const expected = this.#parts.reduction.chunkBytes(lease.node, chunk);
    if (bytes.byteLength !== expected) {
      throw new TuttiError(
        "PROTOCOL",
        `chunk ${chunk} of node ${lease.node.lo}-${lease.node.hi}: ${bytes.byteLength} bytes, expected ${expected}`,
      );
    }
    if (lease.audit !== undefined && !lease.isDone) this.#judge(lease, lease.audit.chunk(member, chunk, bytes));
    else if (this.#parts.reduction.has(lease.node, chunk)) this.#duplicate(member, lease, chunk, bytes);
    else {
      this.#believed.add(member);
      const hash = this.#parts.reduction.deliver(lease.node, chunk, bytes, {
        wantsHash: lease.timesDealt > 1,
        isLent: member.connection.sharesMemory && this.#parts.arena.owns(bytes),
      });
      if (hash !== undefined) lease.hashes.set(chunk, hash);
    }
  }

  #finishIfDone(lease: Lease): void {
    if (lease.isDone || this.#perShard[lease.node.lo] === undefined) return;
    for (let chunk = 0; chunk < this.#parts.reduction.chunks; chunk++)
      if (!this.#parts.reduction.has(lease.node, chunk)) return;
    this.leases.finish(lease);
    if (this.isComplete) this.#parts.complete();
  }

  /** Late, and dropped; but it must be what was taken. */
  #duplicate(member: Member, lease: Lease, chunk: number, bytes: Uint8Array): void {
    this.duplicates++;
    const taken = lease.hashes.get(chunk);
    if (taken === undefined || taken === this.#parts.reduction.hash(bytes)) return;
    this.duplicatesDiffering++;
    this.#parts.differs(member, lease);
  }

  #takeScalars({ node: { lo, hi } }: Lease, bytes: Uint8Array): void {
    if (this.#perShard[lo] === undefined) {
      const rows = new Float32Array(bytes.byteLength / 4);
      new Uint8Array(rows.buffer).set(bytes);
      for (let shard = lo; shard < hi; shard++) {
        const at = (shard - lo) * this.#parts.scalarsLength;
        this.#perShard[shard] = rows.subarray(at, at + this.#parts.scalarsLength);
      }
      this.#missingShards -= hi - lo;
      if (this.#missingShards === 0) this.#addScalars();
    }
  }

  /** An audited node is merged when two answers agree, and dealt to one more when they do not. */
  #judge(lease: Lease, verdict: Verdict): void {
    if (lease.isDone || verdict.kind === "open") return;
    if (verdict.kind === "disputed") {
      if (lease.wanted <= verdict.members.length) {
        lease.wanted = verdict.members.length + 1;
        this.#parts.disputed(lease, verdict.members);
      }
      return;
    }
    lease.audit = undefined;
    const { reduction, arena } = this.#parts;
    for (let chunk = 0; chunk < reduction.chunks; chunk++) {
      const { begin } = reduction.range(chunk);
      const bytes = arena.bytes(verdict.address + begin * 4, reduction.chunkBytes(lease.node, chunk));
      reduction.deliver(lease.node, chunk, bytes);
    }
    this.#takeScalars(lease, verdict.scalars);
    this.#finishIfDone(lease);
    for (const member of verdict.wrong) this.#parts.wrong(member, lease);
  }

  /** Merges the only answer there is to an audited node: nobody is left who could confirm it. */
  acceptUnconfirmed(lease: Lease): boolean {
    const verdict = lease.audit?.unconfirmed() ?? { kind: "open" };
    this.#judge(lease, verdict);
    return verdict.kind === "agreed";
  }

  #addScalars(): void {
    const perShard = this.#perShard as readonly Float32Array[]; // none is missing any more
    const sums = new Float64Array(this.#parts.scalarsLength);
    for (const row of perShard) for (let i = 0; i < sums.length; i++) sums[i]! += row[i]!;
    this.#scalars = { sums, perShard };
    this.#parts.scalarsKnown();
  }
}

export interface StepRoundParts {
  readonly number: number;
  /** t: the step whose parameters are used. */
  readonly step: number;
  readonly batch: PreparedBatch;
  /** The canonical nodes the step is dealt as. */
  readonly nodes: readonly TreeNode[];
  readonly reduction: Reduction;
  /** All workers' sums are seen where they are. */
  readonly areLent: boolean;
  /** Floats of scalars per shard. */
  readonly scalarsLength: number;
  /** The whole step's sums of this chunk are final. */
  readonly chunkReduced: (chunk: number) => void;
  /** The scalars of all shards are in; called once. */
  readonly scalarsKnown: () => void;
  readonly complete: () => void;
  readonly arena: Arena;
  /** The answers to an audited node differ. */
  readonly disputed: (lease: Lease, members: readonly Member[]) => void;
  /** This member's late answer is not what was taken from another. */
  readonly differs: (member: Member, lease: Lease) => void;
  /** This member's answer to an audited node is not what two others computed. */
  readonly wrong: (member: Member, lease: Lease) => void;
}
