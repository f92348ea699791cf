import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { readCheckpoint } from "@tutti/core/checkpoint";
import type { DataSource } from "@tutti/core/data";
import { openPlainModel, type PlainModel, type PlainTensor } from "@tutti/core/engine";
import { TuttiError } from "@tutti/core/errors";
import { type OnnxValueInfo, readOnnx } from "@tutti/core/graph";
import { checkpointModel } from "./checkpoint-model.ts";
import { ArrayFeeds, JoinedOutput, type PredictColumns } from "./columns.ts";
import { isSource, sourceFeeds } from "./source-feeds.ts";
import { type Categories, categoriesIn, withoutWords } from "./words.ts";

/** How to predict. */
export interface PredictOptions {
  /** Samples that are computed at once; 256 by default. */
  readonly batchSize?: number;
  /** Ends the prediction between two batches, with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Folder that relative paths of a data source start from: by default the working directory. */
  readonly baseDirectory?: string;
}

/** Values by output of the step function, row-major; the first axis counts samples. */
export type Predictions = Readonly<Record<string, PlainTensor>>;

/** What to open. */
export interface OpenOptions {
  /** Which checkpoint of an output directory: the last one by default, or the best by the run's `checkpoint.best`. */
  readonly checkpoint?: "last" | "best";
}

/** A trained model in this process. Close it when it is no longer needed. */
export interface Predictor {
  /** Its columns: dtype and shape by name, the first dimension free. */
  readonly inputs: readonly OnnxValueInfo[];
  /**
   * @param columns every input, and nothing else, all with the same number of samples; or a data source, such as `data.csv(…)`, whose
   *   rows are read batch by batch: columns that are no input are left alone, rows that the source leaves out have no prediction.
   * @throws TuttiError DATA_INVALID for columns that do not fit, ENGINE_FAILED, and what opening a source throws.
   */
  predict(columns: PredictColumns | DataSource, options?: PredictOptions): Promise<Predictions>;
  /** Gives the engine's memory back; nothing can be predicted any more. */
  close(): Promise<void>;
}

/**
 * Opens what a run has trained: an output directory, a checkpoint file, or an `.onnx` file. Averaged weights (`ema`) are used where
 * the run has them, as by `tutti export`.
 *
 * @throws TuttiError CHECKPOINT_INVALID, GRAPH_INVALID for files that are none or hold no outputs; ENGINE_MISSING.
 */
export async function openModel(path: string, { checkpoint = "last" }: OpenOptions = {}): Promise<Predictor> {
  const model = path.endsWith(".onnx")
    ? await readFile(path)
    : checkpointModel(await readCheckpoint(await checkpointAt(path, checkpoint))).model;
  const { inputs, metadata } = readOnnx(model);
  return new OpenPredictor(inputs, categoriesIn(metadata), await openPlainModel(model, path));
}

/**
 * The outputs of a trained model for some samples: `openModel`, `predict`, `close`.
 *
 * @param path an output directory, a checkpoint file, or an `.onnx` file.
 */
export async function predict(
  path: string,
  columns: PredictColumns | DataSource,
  options: PredictOptions & OpenOptions = {},
): Promise<Predictions> {
  const predictor = await openModel(path, options);
  try {
    return await predictor.predict(columns, options);
  } finally {
    await predictor.close();
  }
}

class OpenPredictor implements Predictor {
  readonly inputs: readonly OnnxValueInfo[];
  readonly #categories: ReadonlyMap<string, Categories>;
  readonly #model: PlainModel;

  constructor(inputs: readonly OnnxValueInfo[], categories: ReadonlyMap<string, Categories>, model: PlainModel) {
    this.inputs = inputs;
    this.#categories = categories;
    this.#model = model;
  }

  async predict(columns: PredictColumns | DataSource, options: PredictOptions = {}): Promise<Predictions> {
    const { batchSize = 256, signal, baseDirectory = process.cwd() } = options;
    if (!Number.isSafeInteger(batchSize) || batchSize < 1)
      throw new TuttiError("BAD_OPTION", `batchSize: expected a whole number from 1, found ${batchSize}`);
    const feeds = isSource(columns)
      ? await sourceFeeds(this.inputs, columns, this.#categories, { baseDirectory })
      : new ArrayFeeds(this.inputs, withoutWords(columns, this.#categories));
    const outputs = new Map<string, JoinedOutput>();
    try {
      for (let first = 0; first < feeds.samples; first += batchSize) {
        signal?.throwIfAborted();
        const batch = await feeds.batch(first, batchSize);
        const results = await this.#model.run(batch.feeds);
        for (const [name, part] of Object.entries(results)) {
          const output = outputs.get(name) ?? new JoinedOutput(name);
          outputs.set(name, output);
          output.add(part, batch.samples);
        }
      }
    } finally {
      await feeds.close();
    }
    return Object.fromEntries([...outputs].map(([name, output]) => [name, output.joined()]));
  }

  close(): Promise<void> {
    return this.#model.close();
  }
}

/** The checkpoint file that is meant. Throws CHECKPOINT_INVALID if a directory holds none. */
async function checkpointAt(path: string, which: "last" | "best"): Promise<string> {
  const isDirectory = (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
  if (!isDirectory) return path; // reading it says what is wrong with it
  const folder = join(path, "checkpoints");
  const names = await readdir(folder).catch((): string[] => []);
  const wanted = which === "best" ? /^best\.safetensors$/ : /^step-\d+\.safetensors$/;
  const last = names
    .filter((name) => wanted.test(name))
    .toSorted()
    .at(-1);
  if (last !== undefined) return join(folder, last);
  const missing = which === "best" ? "best.safetensors; name checkpoint.best in the run" : "checkpoint";
  throw new TuttiError("CHECKPOINT_INVALID", `${path}: expected a run's output directory, found no ${missing}`);
}
