import { readdir, readFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { parse } from "csv-parse/sync";
import { TuttiError } from "../errors/index.ts";
import type { RowPlace } from "./dataset.ts";
import { type DataFile, dataFile, openDataFile } from "./file.ts";
import { type FileNames, findFiles } from "./files.ts";
import { isRecord } from "./source.ts";

/** One file a row, and what each shows. */
export type LabelledFiles =
  /** A folder with a folder for each class. */
  | string
  /** Paths or patterns; `label` is a regular expression, the first group of which is the class in a file's name: "^(\\d)_". */
  | { readonly files: FileNames; readonly label?: string }
  /**
   * A table (.csv with a header, or .jsonl) that names a file a row in column `file` ("file" by default), from the table's own folder
   * on, and its class in column `label` ("label" by default).
   */
  | { readonly manifest: string; readonly file?: string; readonly label?: string };

/** Files in the order of their rows. */
export interface FoundFiles {
  readonly files: readonly DataFile[];
  /** Where each is named: itself, or a row of a table. */
  place(row: number): RowPlace;
  /** The class of each; undefined where none is known. */
  readonly labels: readonly string[] | undefined;
  /** Names of folders that stand for classes, or undefined: then the labels are all there are. */
  readonly classes: readonly string[] | undefined;
}

/** Throws BAD_OPTION. */
export function checkLabelledFiles(kind: string, from: unknown): asserts from is LabelledFiles {
  if (typeof from === "string" && from !== "") return;
  const keys = isRecord(from) ? Object.keys(from) : [];
  const allowed = keys.includes("manifest") ? ["manifest", "file", "label"] : ["files", "label"];
  const isKnown = keys.length > 0 && keys.every((key) => allowed.includes(key));
  const isText =
    isRecord(from) && keys.every((key) => key === "files" || (typeof from[key] === "string" && from[key] !== ""));
  if (isKnown && isText && (keys.includes("manifest") || keys.includes("files"))) {
    if (isRecord(from) && from.files !== undefined && typeof from.label === "string") groupOf(kind, from.label);
    return;
  }
  const found = JSON.stringify(from) ?? String(from);
  throw new TuttiError(
    "BAD_OPTION",
    `data.${kind}: expected a folder with a folder for each class, { files, label } or { manifest, file, label }, found ${found}`,
  );
}

/**
 * Finds the files. In a folder, classes and the files of each are sorted by the UTF-16 code units of their names; files with other
 * endings than `endings` are left out.
 * Throws DATA_MISSING; DATA_INVALID for an empty folder of a class, a name without a class, and a bad row of a table.
 */
export async function findLabelled(
  kind: string,
  from: LabelledFiles,
  endings: RegExp,
  baseDirectory: string,
): Promise<FoundFiles> {
  if (typeof from === "string") return inFolders(from, endings, baseDirectory);
  return "manifest" in from ? inManifest(from, baseDirectory) : byName(kind, from, baseDirectory);
}

async function inFolders(folder: string, endings: RegExp, baseDirectory: string): Promise<FoundFiles> {
  const { resolved } = dataFile(baseDirectory, folder);
  const classes = (await namesIn(folder, resolved)).filter(({ isFolder }) => isFolder).map(({ name }) => name);
  if (classes.length === 0) {
    const message = `${folder}: expected a folder for each class, found none; for files without classes give { files: "${folder}/*" }`;
    throw new TuttiError("DATA_INVALID", message, { given: folder, resolved });
  }
  const files: DataFile[] = [];
  const labels: string[] = [];
  for (const name of classes) {
    const inside = (await namesIn(join(folder, name), join(resolved, name))).filter(
      (entry) => !entry.isFolder && endings.test(entry.name),
    );
    if (inside.length === 0) {
      throw new TuttiError(
        "DATA_INVALID",
        `${join(folder, name)}: the folder of class "${name}" holds no file that is read (${endings.source}): put some there, or remove the folder`,
        { given: join(folder, name), resolved: join(resolved, name) },
      );
    }
    for (const entry of inside) {
      files.push(dataFile(baseDirectory, join(folder, name, entry.name)));
      labels.push(name);
    }
  }
  return { files, place: itself(files), labels, classes };
}

function itself(files: readonly DataFile[]): FoundFiles["place"] {
  return (row) => ({ file: files[row]!.given, row: 1 });
}

async function namesIn(given: string, resolved: string): Promise<readonly { name: string; isFolder: boolean }[]> {
  try {
    const entries = await readdir(resolved, { withFileTypes: true });
    return entries
      .filter(({ name }) => !name.startsWith("."))
      .map((entry) => ({ name: entry.name, isFolder: entry.isDirectory() }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const isThere = code !== "ENOENT";
    const problem = isThere
      ? `expected a folder that can be read (${code}, ${resolved})`
      : `no such folder (looked for ${resolved})`;
    throw new TuttiError(isThere ? "DATA_INVALID" : "DATA_MISSING", `${given}: ${problem}`, { given, resolved });
  }
}

function groupOf(kind: string, expression: string): RegExp {
  try {
    const made = new RegExp(expression, "u");
    if (new RegExp(`${expression}|`, "u").exec("")!.length === 2) return made;
  } catch {
    // said below
  }
  throw new TuttiError(
    "BAD_OPTION",
    `data.${kind}: label: expected a regular expression with one group for the class in a file's name, such as "^(\\\\d)_", found ${JSON.stringify(expression)}`,
  );
}

async function byName(
  kind: string,
  { files: names, label }: { readonly files: FileNames; readonly label?: string },
  baseDirectory: string,
): Promise<FoundFiles> {
  const files = await findFiles(baseDirectory, names);
  const place = itself(files);
  if (label === undefined) return { files, place, labels: undefined, classes: undefined };
  const group = groupOf(kind, label);
  const labels = files.map((file) => {
    const found = group.exec(basename(file.given))?.[1];
    if (found !== undefined && found !== "") return found;
    throw new TuttiError("DATA_INVALID", `${file.given}: its name does not say its class: expected ${label}`, {
      ...file,
    });
  });
  return { files, place, labels, classes: undefined };
}

async function inManifest(
  { manifest, file: fileColumn = "file", label: labelColumn = "label" }: Extract<LabelledFiles, { manifest: string }>,
  baseDirectory: string,
): Promise<FoundFiles> {
  const table = dataFile(baseDirectory, manifest);
  const rows = await readTable(table);
  if (rows.length === 0) throw new TuttiError("DATA_INVALID", `${manifest}: expected rows, found none`, { ...table });
  const hasLabels = Object.hasOwn(rows[0]!, labelColumn);
  const textAt = (row: number, column: string): string => {
    const value = rows[row]![column];
    if ((typeof value === "string" && value !== "") || typeof value === "number") return String(value);
    const found =
      value === undefined
        ? `no such column; it has ${Object.keys(rows[row]!).join(", ")}`
        : `found ${JSON.stringify(value)}`;
    throw new TuttiError(
      value === undefined ? "DATA_MISSING" : "DATA_INVALID",
      `${manifest} row ${row + 1}, column "${column}": expected a text, ${found}`,
      { ...table, row: row + 1, column },
    );
  };
  const folder = dirname(table.resolved);
  return {
    files: rows.map((_, row) => {
      const given = textAt(row, fileColumn);
      return { given: `${manifest} row ${row + 1}: ${given}`, resolved: resolve(folder, given) };
    }),
    place: (row) => ({ file: manifest, row: row + 1 }),
    labels: hasLabels ? rows.map((_, row) => textAt(row, labelColumn)) : undefined,
    classes: undefined,
  };
}

async function readTable(table: DataFile): Promise<readonly Readonly<Record<string, unknown>>[]> {
  await (await openDataFile(table)).close(); // says in the user's words what is missing
  const text = await readFile(table.resolved, "utf8");
  if (/\.(jsonl|ndjson)$/.test(table.given)) {
    return text.split("\n").flatMap((line, index) => {
      if (line.trim() === "") return [];
      try {
        const row: unknown = JSON.parse(line);
        if (isRecord(row)) return [row];
      } catch {
        // said below
      }
      throw new TuttiError("DATA_INVALID", `${table.given} line ${index + 1}: expected a JSON object`, { ...table });
    });
  }
  try {
    return parse(text, { bom: true, columns: true, skip_empty_lines: true }) as Record<string, string>[];
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TuttiError("DATA_INVALID", `${table.given}: no valid csv: ${reason}`, { ...table });
  }
}

/** What each file shows, as numbers. */
export interface Labels {
  readonly numbers: Int32Array;
  /** The names that they count; undefined where labels are numbers themselves. */
  readonly classes: readonly string[] | undefined;
}

/**
 * Classes as numbers: places in `given`, or else in the folders or sorted labels; labels that are whole numbers stand for
 * themselves where no classes are given. Throws DATA_INVALID for a label that is no class, naming the file.
 */
export function numberLabels(
  kind: string,
  { files, labels, classes }: FoundFiles,
  given: readonly string[] | undefined,
): Labels | undefined {
  if (labels === undefined) return undefined;
  const areNumbers = given === undefined && classes === undefined && labels.every((label) => /^\d{1,9}$/.test(label));
  if (areNumbers) return { numbers: Int32Array.from(labels, Number), classes: undefined };
  const names = given ?? classes ?? [...new Set(labels)].sort((a, b) => (a < b ? -1 : 1));
  const numberOf = new Map(names.map((name, number) => [name, number]));
  const numbers = Int32Array.from(labels, (label, row) => {
    const number = numberOf.get(label);
    if (number !== undefined) return number;
    throw new TuttiError(
      "DATA_INVALID",
      `${files[row]!.given}: class "${label}" is none of data.${kind}'s classes (${names.join(", ")}); add it there, or remove the files`,
      { ...files[row], row: row + 1 },
    );
  });
  return { numbers, classes: names };
}
