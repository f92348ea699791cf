import type { ColumnSurvey, RowSurvey, ValueFacts } from "@tutti/core/data";
import { count, figure, table } from "../format.ts";
import type { PartFacts } from "./data.ts";

/** What a person reads of a data set: a line for each column, the first rows, the first problems. */
export function surveyLines(facts: PartFacts): readonly string[] {
  const { part, kind, rows, rowsLeftOut, columns, head, problems, problemCount } = facts;
  const leftOut = rowsLeftOut === 0 ? "" : `, ${count(rowsLeftOut)} left out`;
  const heading = ["column", "type", "missing", "least", "mean", "most", "values"];
  return [
    `${part}: ${kind}, ${count(rows)} rows${leftOut}`,
    "",
    ...indented(table([heading, ...columns.flatMap(columnRows)])),
    "",
    ...(head.length === 0 ? [] : [...indented(table(headRows(head, columns))), ""]),
    ...(problemCount === 0 ? [] : problemLines(problems, problemCount)),
  ];
}

function columnRows(column: ColumnSurvey): readonly (readonly string[])[] {
  const { name, dtype, shape, missingCells, values, counts } = column;
  const isCategory = counts?.some(({ value }) => typeof value === "string") ?? false;
  const kind = isCategory ? "category" : dtype;
  const type = shape.length === 0 ? kind : `${kind}[${shape.join(",")}]`;
  if (values.length === 1) {
    const range = isCategory ? ["", "", ""] : rangeOf(values[0]!);
    return [[name, type, count(missingCells), ...range, notesOf(column)]];
  }
  return [
    [name, type, count(missingCells), "", "", "", notesOf(column)],
    ...values.map((value, element) => [`  [${element}]`, "", count(value.missing), ...rangeOf(value), ""]),
  ];
}

function rangeOf({ least, mean, most }: ValueFacts): readonly string[] {
  return [least, mean, most].map((value) => (Number.isNaN(value) ? "-" : figure(value)));
}

const shownCounts = 8;

function notesOf({ counts, fill, normalize }: ColumnSurvey): string {
  const shown = counts?.slice(0, shownCounts).map(({ value, rows }) => `${value} ${count(rows)}`) ?? [];
  if (counts !== undefined && counts.length > shownCounts) shown.push(`and ${counts.length - shownCounts} more`);
  return [
    shown.join(", "),
    fill === undefined ? "" : `missing: ${fill}`,
    normalize === undefined ? "" : `normalize: ${normalize}`,
  ]
    .filter((note) => note !== "")
    .join("; ");
}

function headRows(head: readonly RowSurvey[], columns: readonly ColumnSurvey[]): readonly (readonly string[])[] {
  const names = columns.map(({ name }) => name);
  return [
    ["row", ...names],
    ...head.map(({ file, row, values }, index) => [
      file === undefined ? String(index + 1) : `${file} ${row}`,
      ...names.map((name) => cellText(values[name]!)),
    ]),
  ];
}

const shownElements = 4;

function cellText(cell: RowSurvey["values"][string]): string {
  if (cell === null) return "missing";
  if (typeof cell === "number") return figure(cell);
  if (typeof cell !== "object") return String(cell).slice(0, 30);
  const shown = cell.slice(0, shownElements).map((value) => cellText(value));
  return `[${shown.join(", ")}${cell.length > shownElements ? ", …" : ""}]`;
}

function problemLines(problems: PartFacts["problems"], total: number): readonly string[] {
  const more = total > problems.length ? `, the first ${problems.length}` : "";
  return [
    `  ${total === 1 ? "1 problem" : `${count(total)} problems`}${more}; such rows are left out above:`,
    ...problems.map(({ message }) => `    ${message}`),
    "",
  ];
}

function indented(lines: readonly string[]): readonly string[] {
  return lines.map((line) => `  ${line}`);
}
