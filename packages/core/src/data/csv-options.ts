import { TuttiError } from "../errors/index.ts";
import { checkFileNames } from "./files.ts";
import { isRecord } from "./source.ts";
import { checkTableColumns, isNameList, type TableColumns } from "./table-options.ts";

export interface CsvOptions<Columns = TableColumns> {
  /** The columns to read; all of the file's when left out, their types inferred from all rows. */
  readonly columns?: Columns;
  /** true (default): the first record names the columns; false: they are named "0", "1", …; or their names. */
  readonly header?: boolean | readonly string[];
  /** What separates fields: one ASCII character, "," by default. */
  readonly delimiter?: string;
  /** Texts of a cell that mean it is missing, [""] by default: ["", "NA"]. */
  readonly missingText?: readonly string[];
}

const known = ["columns", "header", "delimiter", "missingText"];

/** Throws BAD_OPTION for what `data.csv` cannot work with. */
export function checkCsvOptions(files: unknown, options: CsvOptions): void {
  checkFileNames("csv", files);
  if (!isRecord(options)) throw bad("expected an object of options");
  const unknown = Object.keys(options).find((key) => !known.includes(key));
  if (unknown !== undefined) throw bad(`unknown option "${unknown}"; there are ${known.join(", ")}`);
  const { columns, header, delimiter, missingText } = options;
  if (delimiter !== undefined && !(typeof delimiter === "string" && /^[^\n\r"\u0080-\uffff]$/.test(delimiter))) {
    throw bad(`delimiter: expected one ASCII character such as "," or ";", found ${JSON.stringify(delimiter)}`);
  }
  if (header !== undefined && typeof header !== "boolean" && !isNameList(header)) {
    throw bad(`header: expected true, false or a list of names, found ${JSON.stringify(header)}`);
  }
  if (missingText !== undefined && !isNameList(missingText)) {
    throw bad(`missingText: expected a list of texts such as ["", "NA"], found ${JSON.stringify(missingText)}`);
  }
  if (columns !== undefined) checkTableColumns("csv", columns);
}

function bad(problem: string): TuttiError {
  return new TuttiError("BAD_OPTION", `data.csv: ${problem}`);
}
