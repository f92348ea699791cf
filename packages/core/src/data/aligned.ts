import { TuttiError } from "../errors/index.ts";
import type { Dataset, TableColumnFacts } from "./dataset.ts";
import { scalarColumn } from "./scalar-column.ts";
import { shownWords } from "./table-cells.ts";
import { tableDataset } from "./table-dataset.ts";

type CategoryWords = Pick<TableColumnFacts, "categories" | "unknown">;

/**
 * A data set that counts categories as the training data does, whatever words its own files have.
 *
 * @param trained the training data, or what is known of its categories; other columns are left alone.
 * @returns `dataset` itself where the words are the same.
 * @throws TuttiError DATA_INVALID with file and row for a word that the training data does not have, unless the column says what
 *   stands for it.
 */
export async function alignedCategories(
  trained: { readonly table?: { readonly columns: Readonly<Record<string, CategoryWords>> } | undefined },
  dataset: Dataset,
): Promise<Dataset> {
  const places = new Map<string, Int32Array>();
  const columns = { ...dataset.table?.columns };
  for (const [name, facts] of Object.entries(columns)) {
    const target = trained.table?.columns[name];
    if (facts.categories === undefined || target?.categories === undefined) continue;
    if (sameWords(facts.categories, target.categories)) continue;
    const placeOf = new Map(target.categories.map((word, place) => [word, place]));
    const own = Int32Array.from(facts.categories, (word) => placeOf.get(word) ?? target.unknown ?? -1);
    await requireKnown(dataset, name, own, facts.categories, target.categories);
    places.set(name, own);
    columns[name] = { ...facts, categories: target.categories };
  }
  if (places.size === 0) return dataset;
  return tableDataset(dataset, { ...dataset.table!, columns }, places);
}

function sameWords(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((word, place) => word === b[place]);
}

async function requireKnown(
  dataset: Dataset,
  name: string,
  own: Int32Array,
  words: readonly string[],
  known: readonly string[],
): Promise<void> {
  if (!own.includes(-1)) return;
  const values = await scalarColumn(dataset, name);
  const at = values.findIndex((place) => own[place]! < 0);
  if (at >= 0) {
    const { file, row } = dataset.table!.locate(at);
    throw new TuttiError(
      "DATA_INVALID",
      `${file} row ${row}, column "${name}": expected a category of the training data, ${shownWords(known)}; found "${words[values[at]!]}": list the categories of both, or name one that stands for it: unknown: "…"`,
      { file, row, column: name },
    );
  }
}
