import type { TableColumnFacts } from "./dataset.ts";
import { InferredCells } from "./inferred-cells.ts";
import type { HeldMemory } from "./spool.ts";
import { CategoryCells, type CellWriter, type FinishedCells, NumberCells } from "./table-cells.ts";
import type { DeclaredColumn } from "./table-options.ts";

/** A column of a table that is being read. */
export interface GrowingTableColumn {
  readonly name: string;
  readonly writer: CellWriter;
  /** undefined: inferred from the cells. */
  readonly declared: DeclaredColumn | undefined;
  /** The file's columns that fill it, in order. */
  readonly headers: readonly string[];
  missingCells: number;
}

export function inferredColumns(names: readonly string[], held: HeldMemory): readonly GrowingTableColumn[] {
  return names.map((name) => ({
    name,
    headers: [name],
    writer: new InferredCells(held),
    declared: undefined,
    missingCells: 0,
  }));
}

export function columnOf(name: string, declared: DeclaredColumn, held: HeldMemory): GrowingTableColumn {
  const headers = typeof declared.from === "string" ? [declared.from] : declared.from;
  if (declared.kind === "category") {
    return { name, headers, writer: new CategoryCells(declared, held), declared, missingCells: 0 };
  }
  const shape = declared.shape ?? (typeof declared.from === "string" ? [] : [headers.length]);
  return { name, headers, writer: new NumberCells(declared, shape, held), declared, missingCells: 0 };
}

export function factsOf(
  { declared, missingCells }: GrowingTableColumn,
  { categories, column: { type } }: FinishedCells,
): TableColumnFacts {
  if (declared === undefined || declared.kind === "category") {
    const unknown = declared?.unknown === undefined ? -1 : categories!.indexOf(declared.unknown);
    return { missingCells, ...(categories && { categories }), ...(unknown >= 0 && { unknown }) };
  }
  const { missing, normalize } = declared;
  const isFilled = type.dtype.startsWith("float") && missing !== undefined && missing !== "drop";
  return {
    missingCells,
    ...(isFilled && typeof missing !== "boolean" && { fill: missing }),
    ...(normalize && { normalize }),
  };
}
