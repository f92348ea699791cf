import type { Dataset, PackedRows } from "../data/index.ts";
import { TuttiError } from "../errors/index.ts";
import type { ProgramManifest } from "../step/shard-program.ts";
import { elementsOf, packedColumns } from "./packed-tensors.ts";
import { bytesPerElement } from "./tensor-memory.ts";

/**
 * Reads a shard's rows into one fresh block: the program's columns in the manifest's order, each on 64 bytes, as lanes are fed
 * with them. @param rows as many as the program has samples.
 */
export async function readColumns(
  program: ProgramManifest,
  dataset: Dataset,
  rows: ArrayLike<number>,
): Promise<PackedRows> {
  const { offsets, totalBytes } = packedColumns(program);
  const bytes = new Uint8Array(totalBytes);
  const columns = program.columns.map(({ name, dtype, shape }, i) => {
    const offset = offsets[i]!;
    const byteLength = elementsOf(shape) * bytesPerElement(dtype);
    if (offset + byteLength > (offsets[i + 1] ?? totalBytes))
      throw new TuttiError("INTERNAL", `column ${name} does not fit its place`);
    return { name, dtype, shape, offset, byteLength };
  });
  const places = columns.map(({ name, offset, byteLength }) => [name, bytes.subarray(offset, offset + byteLength)]);
  await dataset.read(rows, Object.fromEntries(places));
  return { samples: program.samples, bytes, columns };
}
