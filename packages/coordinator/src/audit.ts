import type { Reduction } from "@tutti/core/exchange";
import type { ComputeMemory } from "@tutti/core/kernels";
import { randomStream } from "@tutti/core/random";
import type { Member } from "./member.ts";
import type { StepRound } from "./step-round.ts";

/** One worker's answer for an audited node, kept aside until another confirms it. */
interface Candidate {
  readonly member: Member;
  readonly address: number;
  readonly hashes: BigUint64Array;
  readonly have: Uint8Array;
  missing: number;
  scalars: Uint8Array | undefined;
}

/** What an audit has come to. */
export type Verdict =
  | { readonly kind: "open" }
  /** Answers differ: a further worker must compute the node. */
  | { readonly kind: "disputed"; readonly members: readonly Member[] }
  /** Two agree; those who do not are wrong. */
  | {
      readonly kind: "agreed";
      readonly scalars: Uint8Array;
      readonly address: number;
      readonly wrong: readonly Member[];
    };

/**
 * Compares whole answers of several workers for one node before anything of it is merged. Bits decide: the scalars, and
 * a hash of every chunk.
 */
export class NodeAudit {
  readonly #memory: ComputeMemory;
  readonly #reduction: Reduction;
  readonly #takeBuffer: () => number;
  readonly #candidates = new Map<Member, Candidate>();

  constructor(memory: ComputeMemory, reduction: Reduction, takeBuffer: () => number) {
    this.#memory = memory;
    this.#reduction = reduction;
    this.#takeBuffer = takeBuffer;
  }

  /** Those whose answer is whole. */
  get answered(): readonly Member[] {
    return this.#whole().map(({ member }) => member);
  }

  scalars(member: Member, scalars: Uint8Array): Verdict {
    const candidate = this.#candidate(member);
    candidate.scalars ??= Uint8Array.from(scalars);
    return this.#verdict();
  }

  chunk(member: Member, chunk: number, bytes: Uint8Array): Verdict {
    const candidate = this.#candidate(member);
    if (candidate.have[chunk] === 0) {
      const { begin } = this.#reduction.range(chunk);
      const address = candidate.address + begin * 4;
      this.#memory.arena.bytes(address, bytes.byteLength).set(bytes);
      candidate.hashes[chunk] = this.#memory.kernels.hash64(address, bytes.byteLength, 0n);
      candidate.have[chunk] = 1;
      candidate.missing--;
    }
    return this.#verdict();
  }

  /** The only whole answer, when nobody is left to confirm it. */
  unconfirmed(): Verdict {
    const [only, ...others] = this.#whole();
    if (only === undefined || others.length > 0) return { kind: "open" };
    return { kind: "agreed", scalars: only.scalars!, address: only.address, wrong: [] };
  }

  #candidate(member: Member): Candidate {
    let candidate = this.#candidates.get(member);
    if (candidate === undefined) {
      const { chunks } = this.#reduction;
      const hashes = new BigUint64Array(chunks);
      candidate = {
        member,
        address: this.#takeBuffer(),
        hashes,
        have: new Uint8Array(chunks),
        missing: chunks,
        scalars: undefined,
      };
      this.#candidates.set(member, candidate);
    }
    return candidate;
  }

  #whole(): readonly Candidate[] {
    return [...this.#candidates.values()].filter(({ missing, scalars }) => missing === 0 && scalars !== undefined);
  }

  #verdict(): Verdict {
    const whole = this.#whole();
    for (const candidate of whole) {
      const agreeing = whole.filter((other) => agree(candidate, other));
      if (agreeing.length < 2) continue;
      const wrong = whole.filter((other) => !agreeing.includes(other)).map(({ member }) => member);
      return { kind: "agreed", scalars: candidate.scalars!, address: candidate.address, wrong };
    }
    return whole.length >= 2 ? { kind: "disputed", members: whole.map(({ member }) => member) } : { kind: "open" };
  }
}

function agree(a: Candidate, b: Candidate): boolean {
  return Buffer.compare(a.scalars!, b.scalars!) === 0 && a.hashes.every((hash, chunk) => hash === b.hashes[chunk]);
}

/** Draws the nodes that two workers must agree on: by seed and step, so that a rerun audits the same ones. */
export class Auditor {
  readonly #memory: ComputeMemory;
  readonly #reduction: Reduction;
  readonly #seed: number;
  readonly #share: number;
  readonly #buffers: number[] = [];

  /** @param share of nodes to audit, 0 to 1. */
  constructor(memory: ComputeMemory, reduction: Reduction, seed: number, share: number) {
    this.#memory = memory;
    this.#reduction = reduction;
    this.#seed = seed;
    this.#share = share;
  }

  /** Marks the drawn leases of a round that is about to be dealt to `workers` workers; one alone cannot be audited. */
  plan(round: StepRound, step: number, workers: number): void {
    if (this.#share <= 0 || workers < 2) return;
    const stream = randomStream(this.#seed, "audit", step);
    let used = 0;
    const takeBuffer = (): number => {
      const address =
        this.#buffers[used] ?? this.#memory.arena.allocate(this.#reduction.chunks * this.#reduction.chunkFloats * 4);
      this.#buffers[used++] = address;
      return address;
    };
    for (const [i, node] of round.leases.nodes.entries()) {
      if (stream.uint32At(i) / 2 ** 32 >= this.#share) continue;
      const lease = round.leases.get(node)!;
      lease.wanted = 2;
      lease.audit = new NodeAudit(this.#memory, this.#reduction, takeBuffer);
      round.nodesAudited++;
    }
  }
}
