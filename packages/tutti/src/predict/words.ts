import { TuttiError } from "@tutti/core/errors";
import type { TypedValues } from "@tutti/core/graph";
import * as v from "valibot";
import type { PredictColumns } from "./columns.ts";

/** Of a column that counts words: all of them, in order, and the place of the one that stands for any other. */
export interface Categories {
  readonly categories: readonly string[];
  readonly unknown?: number | undefined;
}

const columnsSchema = v.record(
  v.string(),
  v.object({ categories: v.optional(v.array(v.string())), unknown: v.optional(v.number()) }),
);

/** The words that a model's metadata have under "tutti.columns", by column. */
export function categoriesIn(metadata: Readonly<Record<string, string>>): ReadonlyMap<string, Categories> {
  const text = metadata["tutti.columns"];
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), columnsSchema), text);
  if (!parsed.success) return new Map(); // another program's model, or none of tables
  return new Map(
    Object.entries(parsed.output).flatMap(([name, { categories, unknown }]) =>
      categories === undefined ? [] : [[name, { categories, unknown }] as const],
    ),
  );
}

/**
 * The columns with words replaced by their places. Throws DATA_INVALID for words of a column that has no categories, and for
 * one that is not among them, with the sample.
 */
export function withoutWords(
  columns: PredictColumns,
  known: ReadonlyMap<string, Categories>,
): Readonly<Record<string, TypedValues>> {
  return Object.fromEntries(
    Object.entries(columns).map(([name, values]) => [
      name,
      isWords(values) ? placesOf(name, values, known.get(name)) : values,
    ]),
  );
}

function isWords(values: PredictColumns[string]): values is readonly string[] {
  return Array.isArray(values);
}

function placesOf(name: string, words: readonly string[], known: Categories | undefined): Int32Array {
  if (known === undefined) {
    throw new TuttiError(
      "DATA_INVALID",
      `column "${name}": expected a typed array, found a list; it has no categories`,
    );
  }
  const places = new Map(known.categories.map((word, place) => [word, place]));
  return Int32Array.from(words, (word, sample) => {
    const place = places.get(word) ?? known.unknown;
    if (place !== undefined) return place;
    throw new TuttiError(
      "DATA_INVALID",
      `column "${name}", sample ${sample + 1}: expected one of ${known.categories.map((one) => JSON.stringify(one)).join(", ")}, found ${JSON.stringify(word)}: leave the sample out, or train with a word that stands for others: unknown: "…"`,
      { column: name, sample: sample + 1 },
    );
  });
}
