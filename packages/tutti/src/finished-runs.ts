import { type Dirent, existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import { RunHistory } from "@tutti/coordinator/dashboard";
import { readCheckpoint } from "@tutti/core/checkpoint";
import { isTuttiError, TuttiError } from "@tutti/core/errors";
import { flatConfiguration } from "./flat-configuration.ts";
import { readRunEvents } from "./run-log.ts";

const logName = "metrics.jsonl";

/**
 * Reads what runs left in their output directories.
 * @param directories of runs, or folders that hold such directories.
 * Throws BAD_OPTION for one that is neither.
 */
export async function readFinishedRuns(directories: readonly string[]): Promise<readonly RunHistory[]> {
  const found = new Set<string>();
  for (const directory of directories) for (const run of await runsIn(directory)) found.add(resolve(run));
  const parent = commonParent([...found]);
  const runs: RunHistory[] = [];
  for (const directory of found) {
    const configuration = await configurationOf(directory);
    const history = new RunHistory({
      id: `run-${runs.length + 1}`,
      name: relative(parent, directory),
      ...(configuration === undefined ? {} : { configuration }),
    });
    for await (const event of readRunEvents(join(directory, logName))) history.event(event);
    if (history.version === 0)
      throw new TuttiError(
        "BAD_OPTION",
        `${join(directory, logName)} holds no line of a run: expected those of \`tutti train\``,
      );
    runs.push(history);
  }
  return runs;
}

/** The folder below which directories have different paths, absolute ones all. */
function commonParent([first = "", ...others]: readonly string[]): string {
  let parent = dirname(first);
  while (!others.every((path) => path.startsWith(parent.endsWith(sep) ? parent : parent + sep)))
    parent = dirname(parent);
  return parent;
}

/** The directory itself, or those in it that hold runs, by name. */
async function runsIn(directory: string): Promise<readonly string[]> {
  if (existsSync(join(directory, logName))) return [directory];
  let entries: readonly Dirent[] = [];
  try {
    entries = await readdir(directory, { withFileTypes: true });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new TuttiError(
      "BAD_OPTION",
      `${directory}: expected the output directory of a run (${why})`,
      {},
      { cause: error },
    );
  }
  const runs = entries
    .filter((entry) => entry.isDirectory() && existsSync(join(directory, entry.name, logName)))
    .map(({ name }) => join(directory, name))
    .sort();
  if (runs.length > 0) return runs;
  throw new TuttiError(
    "BAD_OPTION",
    `${directory} holds no ${logName}, and no folder in it does: expected the output directory of a run (--out of \`tutti train\`)`,
  );
}

/** The configuration that the newest readable checkpoint holds. */
async function configurationOf(directory: string): Promise<Readonly<Record<string, string>> | undefined> {
  const folder = join(directory, "checkpoints");
  const names = existsSync(folder) ? (await readdir(folder)).filter((name) => name.endsWith(".safetensors")) : [];
  for (const name of names.sort().reverse()) {
    try {
      return flatConfiguration((await readCheckpoint(join(folder, name))).definition);
    } catch (error) {
      if (!isTuttiError(error) || error.code !== "CHECKPOINT_INVALID") throw error;
    }
  }
  return undefined;
}
