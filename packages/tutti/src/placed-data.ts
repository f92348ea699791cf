import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bytesPerSample, type DataPlaces, type Dataset, saveDataset } from "@tutti/core/data";
import { TuttiError } from "@tutti/core/errors";
import { type CompiledMode, type CompiledRun, checkColumns } from "@tutti/core/run";

/**
 * The data sets that workers read for themselves. As nobody looks at their rows on the way, labels and indices are checked here,
 * all of them, once. Throws BAD_OPTION for sequences of different lengths; DATA_INVALID naming row and column.
 */
export async function placedData(
  { training, evaluation }: CompiledRun,
  { train, validation }: { readonly train: Dataset; readonly validation: Dataset | undefined },
): Promise<ReadonlyMap<string, Dataset>> {
  const placed = new Map([["train", train]]);
  if (validation !== undefined) placed.set("validation", validation);
  for (const [name, dataset] of placed) {
    if (dataset.sequences === undefined && dataset.size <= 2 ** 32) continue;
    const why = dataset.sequences === undefined ? "more than 2^32 rows" : "sequences of different lengths";
    throw new TuttiError("BAD_OPTION", `placement: "workers" is not for ${why} (data.${name}): use "coordinator"`);
  }
  await checkRows(training, train);
  if (evaluation !== null && validation !== undefined) await checkRows(evaluation, validation);
  return placed;
}

const rowsAtOnce = 16_384;

async function checkRows({ programs }: CompiledMode, dataset: Dataset): Promise<void> {
  const [program] = programs.values(); // ranges are the same for every number of samples
  const columns = program!.columns.filter(({ range }) => range !== undefined);
  if (columns.length === 0) return;
  for (let from = 0; from < dataset.size; from += rowsAtOnce) {
    const samples = Math.min(rowsAtOnce, dataset.size - from);
    let end = 0;
    const packed = columns.map(({ name, dtype, shape: [, ...shape] }) => {
      const byteLength = samples * bytesPerSample(dataset.columns[name]!);
      const offset = Math.ceil(end / 64) * 64;
      end = offset + byteLength;
      return { name, dtype, shape: [samples, ...shape], offset, byteLength };
    });
    const bytes = new Uint8Array(end);
    const target = packed.map(({ name, offset, byteLength }) => [name, bytes.subarray(offset, offset + byteLength)]);
    await dataset.read(
      Float64Array.from({ length: samples }, (_, index) => from + index),
      Object.fromEntries(target),
    );
    checkColumns(program!, { samples, bytes, columns: packed }, (index) => from + index, dataset.table);
  }
}

/**
 * Files with the data sets, for workers of this machine: the data sets' own where they have some, else written to a temporary
 * folder. @returns them, and how to remove what was written.
 */
export async function localPlaces(
  placed: ReadonlyMap<string, Dataset>,
): Promise<{ readonly places: DataPlaces; readonly remove: () => Promise<void> }> {
  let folder: string | undefined;
  const remove = async (): Promise<void> => {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  };
  const places: Record<string, DataPlaces[string]> = {};
  try {
    for (const [name, dataset] of placed) {
      if (dataset.place === undefined) {
        folder ??= await mkdtemp(join(tmpdir(), "tutti-data-"));
        const path = join(folder, `${name}.safetensors`);
        await saveDataset(dataset, path);
        places[name] = path;
      } else places[name] = dataset.place;
    }
  } catch (error) {
    await remove();
    throw error;
  }
  return { places, remove };
}
