import { open, rename, rm } from "node:fs/promises";
import { encodeHeader } from "../checkpoint/safetensors.ts";
import { TuttiError } from "../errors/index.ts";
import { bytesOf, bytesPerSample } from "./column.ts";
import { type Dataset, rowRange } from "./dataset.ts";

/** In the file's metadata. */
const fingerprintKey = "tutti.fingerprint";

const blockBytes = 4 * 1024 * 1024;

/**
 * Writes a data set as one safetensors file, a tensor [rows, …] for each column; `data.safetensors` reads it back with the same
 * fingerprint. Widest elements come first, so that each tensor is aligned. The file is there whole or not at all.
 * Throws BAD_OPTION for sequences of different lengths, which the format cannot hold.
 */
export async function saveDataset(
  dataset: Dataset,
  path: string,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  if (dataset.sequences !== undefined) {
    throw new TuttiError("BAD_OPTION", `${path}: sequences of different lengths cannot be written to one file`);
  }
  const tensors = Object.entries(dataset.columns)
    .map(([name, { dtype, shape }]) => ({ name, dtype, shape: [dataset.size, ...shape] }))
    .sort((a, b) => bytesOf(b.dtype) - bytesOf(a.dtype));
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const file = await open(temporary, "w");
    try {
      await file.writeFile(encodeHeader(tensors, { ...metadata, [fingerprintKey]: dataset.fingerprint }));
      for (const { name } of tensors) {
        for await (const block of columnBlocks(dataset, name)) await file.writeFile(block);
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

async function* columnBlocks(dataset: Dataset, name: string): AsyncGenerator<Uint8Array> {
  const sampleBytes = bytesPerSample(dataset.columns[name]!);
  const rowsAtOnce = Math.max(1, Math.floor(blockBytes / sampleBytes));
  for (let from = 0; from < dataset.size; from += rowsAtOnce) {
    const rows = rowRange(from, Math.min(rowsAtOnce, dataset.size - from));
    const block = new Uint8Array(rows.length * sampleBytes);
    await dataset.read(rows, { [name]: block });
    yield block;
  }
}
