import { SumsPacking } from "@tutti/core/compression";
import { type NodeResult, packedCollects, type ShardInput } from "@tutti/core/engine";
import type { ShardProgram, TreeNode } from "@tutti/core/step";
import type { Connection, MessageOf, ToCoordinator, ToWorker } from "@tutti/core/wire";
import type { MeshMember } from "./mesh/mesh-member.ts";
import type { WorkSpans } from "./work-spans.ts";
import type { WorkerMemory } from "./worker-memory.ts";

/** What an answer is for. */
export type LeasePosition = { readonly generation: number; readonly round: number; readonly step: number } & TreeNode;

export interface UploadParts {
  readonly connection: Connection<ToCoordinator, ToWorker>;
  readonly memory: WorkerMemory;
  readonly welcome: MessageOf<ToWorker, "welcome">;
  readonly program: (id: string) => ShardProgram;
  /** Only while the run is traced. */
  readonly spans: WorkSpans | undefined;
  readonly mesh: MeshMember | undefined;
}

/** Streams what leases come to back to the coordinator, or keeps it for the workers that sums are exchanged with. */
export class Upload {
  readonly #parts: UploadParts;
  readonly #packing: SumsPacking;

  constructor(parts: UploadParts) {
    this.#parts = parts;
    this.#packing = new SumsPacking(parts.welcome.rounding, parts.memory);
  }

  /** Announces the node with its scalars, then sends its sums chunk by chunk, straight from the lanes' buffer. */
  send(position: LeasePosition, shards: ReadonlyMap<number, ShardInput>, result: NodeResult): void {
    const { connection, memory, welcome, spans, mesh } = this.#parts;
    if (spans !== undefined) connection.send({ type: "spans", spans: spans.take() });
    const { chunkFloats, inlineBytes } = welcome;
    const sumsFloats = result.sums === 0 ? 0 : welcome.sumsFloats;
    const collects = this.#collects(position, shards, result);
    const announcement = {
      type: "result",
      ...position,
      scalars: new Uint8Array(result.scalars.buffer),
      computeMs: result.computeMs,
      payloadBytes: collects.byteLength,
    } as const;
    const uploadSpan = spans?.begin("upload", position.step, position);
    const chunks = Math.ceil(sumsFloats / chunkFloats);
    if (sumsFloats > 0 && mesh?.exchanges(position.round)) {
      connection.send({ ...announcement, chunks }, collects, uploadSpan);
      mesh.hold(position, result);
      return;
    }
    if (sumsFloats <= chunkFloats && this.#packing.bytes(position, 0, sumsFloats) <= inlineBytes) {
      const inline =
        sumsFloats === 0 ? {} : { inline: this.#packing.packInPlace(position, result.sums, 0, sumsFloats).slice() };
      connection.send({ ...announcement, chunks: sumsFloats === 0 ? 0 : 1, ...inline }, collects, uploadSpan);
      result.release();
      return;
    }
    const isLent = connection.sharesMemory;
    if (isLent) memory.lend({ round: position.round, step: position.step, result });
    connection.send({ ...announcement, chunks }, collects);
    for (let chunk = 0; chunk < chunks; chunk++) {
      const begin = chunk * chunkFloats;
      const end = Math.min(sumsFloats, begin + chunkFloats);
      const payload = this.#packing.packInPlace(position, result.sums, begin, end);
      const payloadBytes = payload.byteLength;
      const flushed = (): void => {
        if (!isLent) result.release();
        uploadSpan?.();
      };
      const onFlushed = chunk === chunks - 1 ? flushed : undefined;
      connection.send({ type: "partial", ...position, chunk, payloadBytes }, payload, onFlushed);
    }
    connection.flush();
  }

  /** A copy of the shards' per-sample outputs, one block after the other; empty for programs without any. */
  #collects({ lo }: TreeNode, shards: ReadonlyMap<number, ShardInput>, { collects }: NodeResult): Uint8Array {
    if (collects.length === 0) return new Uint8Array(0);
    const blocks = collects.map((address, row) => {
      const { totalBytes } = packedCollects(this.#parts.program(shards.get(lo + row)!.programId));
      return this.#parts.memory.arena.bytes(address, totalBytes);
    });
    const joined = new Uint8Array(blocks.reduce((sum, block) => sum + block.byteLength, 0));
    let at = 0;
    for (const block of blocks) {
      joined.set(block, at);
      at += block.byteLength;
    }
    return joined;
  }
}
