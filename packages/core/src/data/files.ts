import { stat } from "node:fs/promises";
import { TuttiError } from "../errors/index.ts";
import { type DataFile, dataFile } from "./file.ts";

/**
 * Where data lies: a path or a glob pattern (`*`, `**`, `?`, `[0-9]`, `{a,b}`; forward slashes), or several of them. Relative
 * ones start from the run file's folder.
 */
export type FileNames = string | readonly string[];

/** Throws BAD_OPTION unless `names` is a path or pattern or a list of at least one. */
export function checkFileNames(kind: string, names: unknown): asserts names is FileNames {
  const list: readonly unknown[] = Array.isArray(names) ? names : [names];
  if (list.length > 0 && list.every((name) => typeof name === "string" && name !== "")) return;
  const found = JSON.stringify(names) ?? String(names);
  throw new TuttiError(
    "BAD_OPTION",
    `data.${kind}: expected the path of a file, a pattern such as "train-*.csv", or a list of them, found ${found}`,
  );
}

/**
 * The files that are named, in an order that is the same on any machine: a list's order is kept; the files of one pattern are
 * sorted by the UTF-16 code units of their paths ("part-10" before "part-2"). A name that is the path of a file is that file,
 * whatever characters it has; patterns do not match files whose name starts with a dot, and match case as it is written.
 * Whether a plain path exists is left to whoever opens it.
 *
 * @throws TuttiError DATA_MISSING for a pattern that no file matches; DATA_INVALID for a file that is named twice, as its rows
 *   would count twice.
 */
export async function findFiles(baseDirectory: string, names: FileNames): Promise<readonly DataFile[]> {
  const files: DataFile[] = [];
  const nameOf = new Map<string, string>();
  for (const name of typeof names === "string" ? [names] : names) {
    for (const file of await filesOf(baseDirectory, name)) {
      const other = nameOf.get(file.resolved);
      if (other !== undefined) {
        throw new TuttiError(
          "DATA_INVALID",
          `${file.given}: is named twice, by "${other}" and by "${name}": its rows would count twice; name it once`,
          { ...file },
        );
      }
      nameOf.set(file.resolved, name);
      files.push(file);
    }
  }
  return files;
}

async function filesOf(baseDirectory: string, name: string): Promise<readonly DataFile[]> {
  const literal = dataFile(baseDirectory, name);
  const { glob, isDynamicPattern } = await import("tinyglobby");
  if (!isDynamicPattern(name) || (await isThere(literal.resolved))) return [literal];
  const found = await glob(name, {
    cwd: baseDirectory,
    onlyFiles: true,
    dot: false,
    expandDirectories: false,
    caseSensitiveMatch: true,
  });
  if (found.length === 0) {
    throw new TuttiError(
      "DATA_MISSING",
      `${name}: no file matches this pattern (looked in ${baseDirectory}); a pattern has forward slashes, and ** for folders of any depth`,
      { pattern: name, baseDirectory },
    );
  }
  return found.sort(byCodeUnits).map((path) => dataFile(baseDirectory, path));
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function byCodeUnits(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
