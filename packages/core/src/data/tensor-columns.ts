import { TuttiError } from "../errors/index.ts";
import type { DataFile } from "./file.ts";
import { isRecord, type PlainObject, requireColumns } from "./source.ts";

/** Options of files that hold several named arrays. */
export interface TensorColumns<Columns = Readonly<Record<string, string>>> {
  /** Column name to the name of an array in the files; by default every array is a column of its own name. */
  readonly columns?: Columns;
}

/** Throws BAD_OPTION. */
export function checkTensorColumns(kind: string, options: unknown): void {
  if (!isRecord(options)) throw new TuttiError("BAD_OPTION", `data.${kind}: expected an object of options`);
  const unknown = Object.keys(options).find((key) => key !== "columns");
  if (unknown !== undefined)
    throw new TuttiError("BAD_OPTION", `data.${kind}: unknown option "${unknown}"; there is columns`);
  if (options.columns === undefined) return;
  requireColumns(kind, options.columns);
  for (const [name, from] of Object.entries(options.columns)) {
    if (typeof from === "string") continue;
    const found = JSON.stringify(from);
    throw new TuttiError("BAD_OPTION", `data.${kind}: column "${name}": expected the name of an array, found ${found}`);
  }
}

/** What is to be read from a file that has the arrays `names`: [column, array]. Throws DATA_MISSING. */
export function columnsWanted(
  file: DataFile,
  names: readonly string[],
  columns: Readonly<Record<string, string>> | undefined,
): readonly (readonly [column: string, array: string])[] {
  if (columns === undefined) return names.map((name) => [name, name]);
  return Object.entries(columns).map(([column, array]) => {
    if (names.includes(array)) return [column, array];
    throw new TuttiError(
      "DATA_MISSING",
      `${file.given}: there is no array "${array}"; it has ${names.map((name) => `"${name}"`).join(", ")}`,
      { ...file, column },
    );
  });
}

/** The plain values of such a source, and back. */
export function describeTensors(files: PlainObject[string], options: TensorColumns): PlainObject {
  return options.columns === undefined ? { files } : { files, columns: { ...options.columns } };
}
