import {
  alignedCategories,
  bytesPerSample,
  type DataSource,
  type Dataset,
  type OpenContext,
  rowRange,
  valuesOf,
} from "@tutti/core/data";
import { TuttiError } from "@tutti/core/errors";
import type { OnnxValueInfo } from "@tutti/core/graph";
import { type FeedBatch, type Feeds, type PredictColumns, type SampledInput, sampledInput } from "./columns.ts";
import type { Categories } from "./words.ts";

/** Tells a source, whose `open` is a function, from columns, which are arrays. */
export function isSource(columns: PredictColumns | DataSource): columns is DataSource {
  return typeof columns.open === "function";
}

/**
 * Opens a source to predict from its rows. Columns that the model has no input for, such as the label, are not read.
 *
 * @param known words of the model's categories: those of the source are counted by them.
 * @throws TuttiError DATA_INVALID for a column that the model takes and the source lacks or has in another type, for a word that the model
 *   does not know (with file and row), and what opening throws.
 */
export async function sourceFeeds(
  inputs: readonly OnnxValueInfo[],
  source: DataSource,
  known: ReadonlyMap<string, Categories>,
  context: OpenContext,
): Promise<Feeds> {
  const wanted = inputs.map(sampledInput);
  const opened = await source.open(context);
  try {
    const columns = Object.fromEntries(
      [...known].map(([name, { categories, unknown }]) => [
        name,
        { categories, ...(unknown === undefined ? {} : { unknown }) },
      ]),
    );
    const dataset = await alignedCategories({ table: { columns } }, opened);
    for (const input of wanted) checkColumn(dataset, input);
    return new SourceFeeds(dataset, wanted, () => opened.close());
  } catch (error) {
    await opened.close();
    throw error;
  }
}

function checkColumn({ columns }: Dataset, { name, dtype, shape }: SampledInput): void {
  const found = Object.hasOwn(columns, name) ? columns[name] : undefined;
  const shown = (type: string, sample: readonly number[]): string => `${type} [${sample.join(", ")}]`;
  if (found?.dtype === dtype && found.shape.join() === shape.join()) return;
  const what =
    found === undefined ? `no such column; it has ${Object.keys(columns).join(", ")}` : shown(found.dtype, found.shape);
  throw new TuttiError(
    "DATA_INVALID",
    `column "${name}": the model takes ${shown(dtype, shape)} a sample, the source has ${what}: declare the column as the run that trained the model did`,
    { column: name },
  );
}

class SourceFeeds implements Feeds {
  readonly samples: number;
  readonly close: () => Promise<void>;
  readonly #dataset: Dataset;
  readonly #inputs: readonly SampledInput[];

  constructor(dataset: Dataset, inputs: readonly SampledInput[], close: () => Promise<void>) {
    this.samples = dataset.size;
    this.#dataset = dataset;
    this.#inputs = inputs;
    this.close = close;
  }

  async batch(first: number, count: number): Promise<FeedBatch> {
    const samples = Math.min(count, this.samples - first);
    const target = Object.fromEntries(
      this.#inputs.map(({ name }) => [name, new Uint8Array(samples * bytesPerSample(this.#dataset.columns[name]!))]),
    );
    await this.#dataset.read(rowRange(first, samples), target);
    const feeds = this.#inputs.map(({ name, dtype, shape }) => [
      name,
      { dtype, shape: [samples, ...shape], values: valuesOf(dtype, target[name]!.buffer) },
    ]);
    return { samples, feeds: Object.fromEntries(feeds) };
  }
}
