import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { type EncodedSafetensors, encodeSafetensors, headerEnd, invalid, type NamedTensor } from "./safetensors.ts";

const dataKey = "tutti.sha256.data";
const headerKey = "tutti.sha256.header";
const zeros = "0".repeat(64);
const sealedHeader = new RegExp(`"${headerKey.replaceAll(".", "\\.")}":"([0-9a-f]{64})"`);

/**
 * Safetensors whose metadata hold two SHA-256 digests, so that any flipped bit or torn write is found:
 * `tutti.sha256.data` of the data section, `tutti.sha256.header` of all before it, read with this one value as 64 zeros.
 * Hashes everything: not for the event loop.
 */
export function encodeSealed(
  tensors: readonly NamedTensor[],
  metadata: Readonly<Record<string, string>>,
): EncodedSafetensors {
  const dataHash = createHash("sha256");
  for (const tensor of tensors) dataHash.update(tensor.data);
  const encoded = encodeSafetensors(tensors, { ...metadata, [dataKey]: dataHash.digest("hex"), [headerKey]: zeros });
  const open = Buffer.from(encoded.header);
  const digest = createHash("sha256").update(open).digest("hex");
  open.write(digest, open.indexOf(`"${headerKey}":"${zeros}"`) + headerKey.length + 4, "latin1");
  return { header: open, data: encoded.data };
}

/** Rejects with CHECKPOINT_INVALID unless both digests are there and true. Lets the event loop turn while it hashes. */
export async function verifySeal(bytes: Uint8Array, where: string): Promise<void> {
  const end = headerEnd(bytes, bytes.byteLength, where);
  // Latin-1 keeps bytes and characters one to one; the seal itself is ASCII.
  const header = Buffer.from(bytes.subarray(0, end)).toString("latin1");
  const digest = sealedHeader.exec(header)?.[1];
  if (digest === undefined) throw invalid(where, "it has no checksum, so it is no checkpoint of Tutti");
  const open = header.replace(sealedHeader, `"${headerKey}":"${zeros}"`);
  if (createHash("sha256").update(open, "latin1").digest("hex") !== digest) {
    throw invalid(where, "its header does not have the checksum it had when it was written");
  }
  const declared = new RegExp(`"${dataKey.replaceAll(".", "\\.")}":"([0-9a-f]{64})"`).exec(header)?.[1];
  if ((await digestOf(bytes.subarray(end))) !== declared) {
    throw invalid(where, "its data do not have the checksum they had when they were written");
  }
}

const sliceBytes = 1024 * 1024;

async function digestOf(bytes: Uint8Array): Promise<string> {
  const hash = createHash("sha256");
  for (let from = 0; from < bytes.byteLength; from += sliceBytes) {
    hash.update(bytes.subarray(from, from + sliceBytes));
    await setImmediate();
  }
  return hash.digest("hex");
}
