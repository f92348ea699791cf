import { type ComputeMemory, packedBytes } from "../kernels/index.ts";
import type { TreeNode } from "../step/tree.ts";
import { type GradientRounding, isRounded } from "./gradient-rounding.ts";

/**
 * A node's sums as they travel: little-endian float32, but the part that was rounded packed (`Kernels.pack`), with what is
 * not rounded behind it. Ranges begin on multiples of 32 floats.
 */
export class SumsPacking {
  readonly #rounding: GradientRounding | undefined;
  readonly #memory: ComputeMemory;
  #scratch: { readonly address: number; readonly floats: number } | undefined;

  constructor(rounding: GradientRounding | undefined, memory: ComputeMemory) {
    this.#rounding = rounding;
    this.#memory = memory;
  }

  /** Bytes of the floats [begin, end) of this node's sums. */
  bytes(node: TreeNode, begin: number, end: number): number {
    return packedSumsBytes(this.#rounding, node, begin, end);
  }

  /** Packs the floats [begin, end) where they are; returns the bytes to send, a view of the same place. */
  packInPlace(node: TreeNode, sums: number, begin: number, end: number): Uint8Array {
    const { arena, kernels } = this.#memory;
    const address = sums + begin * 4;
    const range = arena.bytes(address, (end - begin) * 4);
    const floats = packedFloats(this.#rounding, node, begin, end);
    if (floats === 0) return range;
    const { to } = this.#rounding!;
    kernels.pack(to, address, address, floats);
    range.copyWithin(packedBytes(to, floats), floats * 4);
    return range.subarray(0, this.bytes(node, begin, end));
  }

  /** The floats [begin, end) packed, in a copy; a view of where they are, if none of them are rounded. */
  packed(node: TreeNode, sums: number, begin: number, end: number): Uint8Array {
    const { arena, kernels } = this.#memory;
    const floats = packedFloats(this.#rounding, node, begin, end);
    const address = sums + begin * 4;
    if (floats === 0) return arena.bytes(address, (end - begin) * 4);
    const bytes = new Uint8Array(this.bytes(node, begin, end));
    const { to } = this.#rounding!;
    const packed = packedBytes(to, floats);
    const scratch = this.#scratchFor(floats);
    kernels.pack(to, scratch, address, floats);
    bytes.set(arena.bytes(scratch, packed));
    bytes.set(arena.bytes(address + floats * 4, (end - begin - floats) * 4), packed);
    return bytes;
  }

  /** Writes what `packInPlace` gave, `bytes(node, begin, end)` long, to the floats [begin, end) of a buffer. */
  unpack(node: TreeNode, bytes: Uint8Array, sums: number, begin: number, end: number): void {
    const { arena, kernels } = this.#memory;
    const address = sums + begin * 4;
    const floats = packedFloats(this.#rounding, node, begin, end);
    if (floats === 0) {
      arena.bytes(address, bytes.byteLength).set(bytes);
      return;
    }
    const { to } = this.#rounding!;
    const packed = packedBytes(to, floats);
    const scratch = this.#scratchFor(floats);
    arena.bytes(scratch, packed).set(bytes.subarray(0, packed));
    kernels.unpack(to, address, scratch, floats);
    arena.bytes(address + floats * 4, bytes.byteLength - packed).set(bytes.subarray(packed));
  }

  #scratchFor(floats: number): number {
    if (this.#scratch === undefined || this.#scratch.floats < floats)
      this.#scratch = { address: this.#memory.arena.allocate(floats * 4), floats };
    return this.#scratch.address;
  }
}

/** Bytes of the floats [begin, end) of this node's sums as they travel. */
export function packedSumsBytes(
  rounding: GradientRounding | undefined,
  node: TreeNode,
  begin: number,
  end: number,
): number {
  const floats = packedFloats(rounding, node, begin, end);
  return (floats === 0 ? 0 : packedBytes(rounding!.to, floats)) + (end - begin - floats) * 4;
}

function packedFloats(rounding: GradientRounding | undefined, node: TreeNode, begin: number, end: number): number {
  return isRounded(rounding, node) ? Math.max(0, Math.min(end, rounding.floats) - begin) : 0;
}
