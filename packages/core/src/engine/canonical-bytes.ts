import type { TypedValues } from "../graph/graph.ts";

/** The bytes of a copy in which every NaN is the same one: payloads differ between CPUs and mean nothing. */
export function canonicalBytes(values: TypedValues): Uint8Array {
  const copy = values.slice();
  if (copy instanceof Float32Array) {
    const bits = new Uint32Array(copy.buffer, copy.byteOffset, copy.length);
    for (let i = 0; i < copy.length; i++) if (Number.isNaN(copy[i])) bits[i] = 0x7fc00000;
  }
  if (copy instanceof Float64Array) {
    const bits = new BigUint64Array(copy.buffer, copy.byteOffset, copy.length);
    for (let i = 0; i < copy.length; i++) if (Number.isNaN(copy[i])) bits[i] = 0x7ff8000000000000n;
  }
  return new Uint8Array(copy.buffer, copy.byteOffset, copy.byteLength);
}
