/** A bug to plant: in `file`, each `find` (which must occur exactly once) becomes its `replace`. */
export interface Mutant {
  readonly name: string;
  /** Where it shows; in a star if not said. */
  readonly exchange?: "mesh";
  readonly edits: readonly { readonly file: string; readonly find: string; readonly replace: string }[];
}

const coordinator = "packages/coordinator/src/";
const exchange = "packages/core/src/exchange/";
const worker = "packages/worker/src/";
const wire = "packages/core/src/wire/";

/** Bugs of the kinds that break "same bits" or "never hangs"; the simulator must find each within 1,000 schedules. */
export const mutants: readonly Mutant[] = [
  {
    name: "sums are added in the order of their arrival",
    edits: [
      {
        file: `${exchange}reduction.ts`,
        find: "    for (let parent = vertex.parent; parent !== undefined; parent = vertex.parent) {",
        replace: `    const root = this.#root!;
    if (root !== vertex) {
      const arrived = [...this.#leased.values()].filter((other) => other.ready[chunk] === 1);
      if (arrived.length > 1) {
        const first = arrived.find((other) => other !== vertex)!;
        const total = root.ready.length > 0 ? (Reflect.get(root, "total") ?? first.address) : first.address;
        kernels.add(total + begin * 4, total + begin * 4, vertex.address + begin * 4, end - begin);
        Reflect.set(root, "total", total);
        root.address = total;
      }
      if (arrived.length < this.#leased.size) return;
    }
    for (let parent: Vertex | undefined; parent !== undefined; parent = vertex.parent) {`,
      },
    ],
  },
  {
    name: "the update is written in place",
    edits: [
      {
        file: `${exchange}generations.ts`,
        find: "return this.#pair[this.#current === 0 ? 1 : 0];",
        replace: "return this.#pair[this.#current];",
      },
      { file: `${exchange}generations.ts`, find: "    this.#current = this.#current === 0 ? 1 : 0;\n", replace: "" },
    ],
  },
  {
    name: "sums that meet at the coordinator are not rounded",
    edits: [
      {
        file: `${exchange}reduction.ts`,
        find: "if (!isRounded(this.#rounding, node)) return;",
        replace: "if (!isRounded(this.#rounding, node) || node.lo >= 0) return;",
      },
    ],
  },
  {
    name: "answers of another round are accepted",
    edits: [{ file: `${coordinator}intake.ts`, find: "message.round !== round.number || ", replace: "" }],
  },
  {
    name: "a chunk is merged twice",
    edits: [
      {
        file: `${coordinator}step-round.ts`,
        find: "else if (this.#parts.reduction.has(lease.node, chunk)) this.#duplicate(member, lease, chunk, bytes);",
        replace: "else if (lease === undefined) this.#duplicate(member, lease, chunk, bytes);",
      },
      {
        file: `${exchange}reduction.ts`,
        find: "if (vertex.ready[chunk] === 1) throw",
        replace: "if (chunk < 0) throw",
      },
    ],
  },
  {
    name: "the step commits before all sums are in",
    edits: [
      {
        file: `${coordinator}step-round.ts`,
        find: "if (this.isComplete) this.#parts.complete();",
        replace: "if (this.#missingShards === 0) this.#parts.complete();",
      },
    ],
  },
  {
    name: "the leases of a worker that is gone are dropped",
    edits: [
      {
        file: `${coordinator}leases.ts`,
        find: "for (const lease of this.#leases.values()) lease.holders.delete(member);",
        replace: "",
      },
      { file: `${coordinator}dealer.ts`, find: "if (member !== undefined) this.deal(lease, member);", replace: "" },
    ],
  },
  {
    name: "late leases are not dealt again",
    edits: [
      { file: `${coordinator}dealer.ts`, find: "if (member !== undefined) this.deal(lease, member);", replace: "" },
      { file: `${coordinator}dealer.ts`, find: "if (idleMs > lateMs", replace: "if (idleMs > 1e12 + lateMs" },
    ],
  },
  {
    name: "who joins in the middle of a step misses the chunks updated before, and nobody compares hashes",
    edits: [
      {
        file: `${coordinator}publisher.ts`,
        find: "for (const chunk of updatedChunks) this.sendUpdate([member], chunk);",
        replace: "void updatedChunks;",
      },
      { file: `${worker}parameter-store.ts`, find: " || staged.missing > 0", replace: "" },
      {
        file: `${worker}worker.ts`,
        find: "if (hash === message.hash) return;",
        replace: "if (hash.length < 99) return;",
      },
    ],
  },
  {
    name: "who joins gets the generation that is being written",
    edits: [
      {
        file: `${coordinator}publisher.ts`,
        find: "current.parameters + begin * 4, currentIndex",
        replace: "generations.next.parameters + begin * 4, currentIndex",
      },
    ],
  },
  {
    name: "sums are overwritten before the socket has taken them",
    edits: [
      {
        file: `${worker}upload.ts`,
        find: "const onFlushed = chunk === chunks - 1 ? flushed : undefined;",
        replace: "if (chunk === chunks - 1 && !isLent) result.release();\n      const onFlushed = undefined;",
      },
    ],
  },
  {
    name: "sums that the coordinator reads where they are, are overwritten before their round is over",
    edits: [{ file: `${worker}upload.ts`, find: "if (!isLent) result.release();", replace: "result.release();" }],
  },
  {
    name: "parameters are overwritten before the socket has taken them",
    edits: [
      {
        file: `${coordinator}coordinator.ts`,
        find: "await this.#life.until(() => this.#parts.publisher.isFlushed(this.#parts.membership.active));",
        replace: "",
      },
    ],
  },
  {
    name: "a worker stages the update over the parameters it computes with",
    edits: [
      {
        file: `${worker}parameter-store.ts`,
        find: "return this.#buffers[this.#current === 0 ? 1 : 0].address;",
        replace: "return this.#buffers[this.#current].address;",
      },
      {
        file: `${worker}parameter-store.ts`,
        find: "    this.#current = this.#current === 0 ? 1 : 0;\n    const buffer",
        replace: "    const buffer",
      },
    ],
  },
  {
    name: "a second answer for the same shards is counted again",
    edits: [
      {
        file: `${coordinator}step-round.ts`,
        find: "if (this.#perShard[lo] === undefined) {",
        replace: "if (lo >= 0) {",
      },
    ],
  },
  {
    name: "a header that was damaged on the way is believed",
    edits: [
      {
        file: `${wire}checksum.ts`,
        find: "if (end < 0 || frame.readUInt32LE(end + 8) !== crc32(frame.subarray(0, -4), this.#last))",
        replace: "if (end < 0)",
      },
    ],
  },
  {
    name: "a payload that was damaged on the way is believed",
    edits: [{ file: `${wire}checksum.ts`, find: "if (found !== checksum)", replace: "if (checksum < 0n)" }],
  },
  {
    name: "nobody notices that a frame was lost, or came twice",
    edits: [
      {
        file: `${wire}checksum.ts`,
        find: "this.#last = crc32(frame.subarray(0, -4), this.#last);",
        replace: "this.#last = crc32(frame.subarray(0, -4));",
      },
      {
        file: `${wire}checksum.ts`,
        find: "crc32(frame.subarray(0, -4), this.#last))",
        replace: "crc32(frame.subarray(0, -4)))",
      },
    ],
  },
  {
    name: "an answer that comes twice is counted twice",
    edits: [
      {
        file: `${wire}checksum.ts`,
        find: "this.#last = crc32(frame.subarray(0, -4), this.#last);",
        replace: "this.#last = crc32(frame.subarray(0, -4));",
      },
      {
        file: `${wire}checksum.ts`,
        find: "crc32(frame.subarray(0, -4), this.#last))",
        replace: "crc32(frame.subarray(0, -4)))",
      },
      {
        file: `${coordinator}worker-rules.ts`,
        find: "if (debt === undefined || debt[what] < count) {",
        replace: "if (debt === undefined) return { answers: 0, chunks: 0 };\n    if (count < 0) {",
      },
      {
        file: `${coordinator}step-round.ts`,
        find: "if (this.#perShard[lo] === undefined) {",
        replace: "if (lo >= 0) {",
      },
      { file: `${worker}worker.ts`, find: "if (hash === message.hash) return;", replace: "return;" },
    ],
  },
  {
    name: "a worker goes on computing from parameters that are not the coordinator's",
    edits: [{ file: `${worker}worker.ts`, find: "if (this.#differs) return;", replace: "" }],
  },
  {
    name: "a direct exchange commits before all have applied it",
    exchange: "mesh",
    edits: [
      {
        file: `${coordinator}direct-exchange.ts`,
        find: "for (const member of this.#participants) if (!this.#applied.has(member)) return false;",
        replace: "",
      },
    ],
  },
  {
    name: "workers that begin to exchange directly are not sent the optimizer's state",
    exchange: "mesh",
    edits: [{ file: `${coordinator}training-step.ts`, find: "      publisher.sendState(worker);\n", replace: "" }],
  },
  {
    name: "what a dead owner should have added up is left to it",
    exchange: "mesh",
    edits: [
      {
        file: `${coordinator}direct-exchange.ts`,
        find: "this.#reown((chunk) => this.#owners[chunk] === member);",
        replace: "",
      },
      {
        file: `${coordinator}direct-exchange.ts`,
        find: "this.#reown((chunk) => this.#owners[chunk] !== undefined && !reduction.isReduced(chunk));",
        replace: "",
      },
    ],
  },
];
