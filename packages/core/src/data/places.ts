import { TuttiError } from "../errors/index.ts";
import type { DataPlace, Dataset } from "./dataset.ts";
import { idx } from "./idx.ts";
import { npy } from "./npy.ts";
import { npz } from "./npz.ts";
import { safetensors } from "./safetensors.ts";
import type { DataSource, OpenContext } from "./source.ts";

/** Where a worker has data sets that runs let workers read for themselves: name ("train", "validation") to files. */
export type DataPlaces = Readonly<Record<string, DataPlace>>;

/**
 * Reads "train=train.safetensors" and "train.image=images.npy", as given on the command line.
 * Throws BAD_OPTION, also for what is given twice.
 */
export function parsePlaces(assignments: readonly string[]): DataPlaces {
  const places = new Map<string, string | Map<string, string>>();
  for (const assignment of assignments) {
    const [, name, , column, path] = /^([^=.]+)(\.([^=]+))?=(.+)$/s.exec(assignment) ?? [];
    if (name === undefined || path === undefined) {
      throw new TuttiError(
        "BAD_OPTION",
        `--data: expected NAME=FILE or NAME.COLUMN=FILE, such as train=train.safetensors, found "${assignment}"`,
      );
    }
    const known = places.get(name);
    if (column === undefined && known === undefined) places.set(name, path);
    else if (column !== undefined && typeof known !== "string" && !known?.has(column)) {
      places.set(name, new Map([...(known ?? []), [column, path]]));
    } else throw new TuttiError("BAD_OPTION", `--data ${assignment}: ${name} has its file already`);
  }
  return Object.fromEntries(
    [...places].map(([name, place]) => [name, typeof place === "string" ? place : Object.fromEntries(place)]),
  );
}

/**
 * Opens all of them; the caller closes them. Throws BAD_OPTION for files of mixed kinds, and what opening throws.
 */
export async function openPlaces(places: DataPlaces, context: OpenContext): Promise<ReadonlyMap<string, Dataset>> {
  const opened = new Map<string, Dataset>();
  try {
    for (const [name, place] of Object.entries(places)) opened.set(name, await sourceAt(name, place).open(context));
    return opened;
  } catch (error) {
    for (const dataset of opened.values()) await dataset.close();
    throw error;
  }
}

function sourceAt(name: string, place: DataPlace): DataSource {
  if (typeof place === "string") {
    if (place.endsWith(".safetensors")) return safetensors(place);
    if (place.endsWith(".npz")) return npz(place);
    throw new TuttiError(
      "BAD_OPTION",
      `--data ${name}=${place}: expected a .safetensors or .npz file with all columns; give others by column, as ${name}.COLUMN=FILE`,
    );
  }
  const isNpy = Object.values(place).map((path) => path.endsWith(".npy"));
  if (isNpy.every(Boolean)) return npy(place);
  if (!isNpy.some(Boolean)) return idx(place);
  throw new TuttiError("BAD_OPTION", `--data ${name}: expected .npy files or idx files for all its columns, not both`);
}
