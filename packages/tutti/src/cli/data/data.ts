import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import {
  alignedCategories,
  type DataSource,
  type DataSurvey,
  type Dataset,
  prepareColumns,
  saveDataset,
  surveyDataset,
} from "@tutti/core/data";
import { isTuttiError, TuttiError } from "@tutti/core/errors";
import { applyOverrides } from "@tutti/core/run";
import { loadRunFile } from "../../load-run.ts";
import type { Output } from "../output.ts";
import { surveyLines } from "./survey-lines.ts";

export interface DataArguments {
  readonly run: string;
  readonly set: readonly string[];
  /** Rows to show of each part. */
  readonly rows: number;
  /** Problems to show of each part. */
  readonly problems: number;
  /** Folder to write the data sets to, as one file each. */
  readonly write: string | undefined;
  readonly json: boolean;
}

/** What one of a run's data sets holds, and what is wrong with it. */
export interface PartFacts extends DataSurvey {
  readonly type: "data";
  readonly part: "train" | "validation";
  /** Of the source: "csv", "idx", … */
  readonly kind: string;
  readonly problemCount: number;
  /** The first of them. */
  readonly problems: readonly ProblemFacts[];
}

interface ProblemFacts {
  readonly message: string;
  readonly file?: string;
  readonly row?: number;
  readonly column?: string;
}

/**
 * `tutti data`: shows what the data of a run are. Trains nothing. Throws DATA_INVALID, once all is shown, if there are problems;
 * DATA_MISSING, and what loading the run throws.
 */
export async function showData(args: DataArguments, output: Output): Promise<void> {
  const { definition, directory } = await loadRunFile(args.run);
  const { train, validation } = applyOverrides(definition, args.set).sources;
  const open: Dataset[] = [];
  let total = 0;
  let first: TuttiError | undefined;
  try {
    const show = async (part: PartFacts["part"], source: DataSource): Promise<Dataset> => {
      const problems: TuttiError[] = [];
      const context = { baseDirectory: directory, onProblem: (problem: TuttiError) => void problems.push(problem) };
      const dataset = await source.open(context).catch((error: unknown) => {
        // What the rows with problems leave may be too few: say what is wrong with them.
        throw problems[0] === undefined ? error : summary(problems[0], problems.length);
      });
      open.push(dataset);
      const finding = await mismatchOf(part === "train" ? dataset : open[0]!, dataset);
      if (finding !== undefined) problems.push(finding);
      const facts: PartFacts = {
        type: "data",
        part,
        kind: source.kind,
        ...(await surveyDataset(dataset, args.rows)),
        problemCount: problems.length,
        problems: problems.slice(0, args.problems).map(problemFacts),
      };
      if (args.json) output.json(facts);
      else for (const line of surveyLines(facts)) output.line(line);
      total += problems.length;
      first ??= problems[0];
      return dataset;
    };
    await show("train", train);
    if (validation !== null) await show("validation", validation);
    if (args.write !== undefined && first === undefined) await writeParts(open, args.write, output);
  } finally {
    for (const dataset of open) await dataset.close();
  }
  if (first !== undefined) throw summary(first, total);
}

function summary(first: TuttiError, total: number): TuttiError {
  const others = total === 1 ? "" : `${total} problems, the first: `;
  return new TuttiError("DATA_INVALID", `${others}${first.message}`, { ...first.details, problems: total });
}

/** Writes what workers would read for themselves: training data, then validation data. */
async function writeParts([train, validation]: readonly Dataset[], folder: string, output: Output): Promise<void> {
  await mkdir(folder, { recursive: true });
  const parts = { train, validation: validation && (await alignedCategories(train!, validation)) };
  for (const [name, dataset] of Object.entries(parts)) {
    if (dataset === undefined) continue;
    const path = join(folder, `${name}.safetensors`);
    await saveDataset(dataset, path);
    output.log(`${path}: fingerprint ${dataset.fingerprint}`);
  }
}

/** What would stop training before its first step, though every row is fine. */
async function mismatchOf(train: Dataset, dataset: Dataset): Promise<TuttiError | undefined> {
  try {
    if (dataset === train) await prepareColumns(train);
    else await alignedCategories(train, dataset);
    return undefined;
  } catch (error) {
    if (isTuttiError(error)) return error;
    throw error;
  }
}

function problemFacts({ message, details }: TuttiError): ProblemFacts {
  const { given, file = given, row, column } = details;
  return {
    message,
    ...(typeof file === "string" && { file }),
    ...(typeof row === "number" && { row }),
    ...(typeof column === "string" && { column }),
  };
}
