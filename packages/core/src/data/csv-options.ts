import { TuttiError } from "../errors/index.ts";
import { type ColumnDType, columnDTypes, isColumnDType } from "./column.ts";
import { isRecord, requireColumns } from "./source.ts";

/**
 * A dtype (the csv column of the same name), or a dtype and where it comes from: one csv column (a scalar), or
 * several, in order, as one vector of that length.
 */
export type CsvColumn = ColumnDType | { readonly dtype: ColumnDType; readonly from?: string | readonly string[] };

export interface CsvOptions<Columns = Readonly<Record<string, CsvColumn>>> {
  /** The columns to read; all as float32 when left out. */
  readonly columns?: Columns;
  /** true (default): the first record names the columns; false: they are named "0", "1", …; or their names. */
  readonly header?: boolean | readonly string[];
  /** What separates fields; "," by default. */
  readonly delimiter?: string;
}

/** Throws BAD_OPTION for what `data.csv` cannot work with. */
export function checkCsvOptions(path: unknown, options: CsvOptions): void {
  if (typeof path !== "string" || path === "") throw bad("expected the path of a csv file");
  if (!isRecord(options)) throw bad("expected an object of options");
  const unknown = Object.keys(options).find((key) => !["columns", "header", "delimiter"].includes(key));
  if (unknown !== undefined) throw bad(`unknown option "${unknown}"; there are columns, header and delimiter`);
  const { columns, header, delimiter } = options;
  if (delimiter !== undefined && (typeof delimiter !== "string" || delimiter === "")) {
    throw bad(`delimiter: expected a text such as "," or ";", found ${JSON.stringify(delimiter)}`);
  }
  if (header !== undefined && typeof header !== "boolean" && !isNameList(header)) {
    throw bad(`header: expected true, false or a list of names, found ${JSON.stringify(header)}`);
  }
  if (columns === undefined) return;
  requireColumns("csv", columns);
  for (const [name, column] of Object.entries(columns)) checkColumn(name, column);
}

function checkColumn(name: string, column: unknown): void {
  const dtype = isRecord(column) ? column.dtype : column;
  if (!isColumnDType(dtype)) {
    throw bad(`column "${name}": expected a dtype (${columnDTypes.join(", ")}), found ${JSON.stringify(dtype)}`);
  }
  const from = isRecord(column) ? column.from : undefined;
  if (from !== undefined && typeof from !== "string" && !isNameList(from)) {
    throw bad(
      `column "${name}": expected "from" to name one csv column or a list of them, found ${JSON.stringify(from)}`,
    );
  }
}

function isNameList(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every((name) => typeof name === "string");
}

function bad(problem: string): TuttiError {
  return new TuttiError("BAD_OPTION", `data.csv: ${problem}`);
}
