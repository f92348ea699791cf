import type { ColumnTypes, DataSource, PlainObject } from "../data/index.ts";
import { TuttiError } from "../errors/index.ts";
import type { Tensor } from "../graph/index.ts";
import type { PackedFormat } from "../kernels/index.ts";
import type { Metric } from "../metrics/index.ts";
import { type Model, rootsOf } from "../nn/module-tree.ts";
import type { EarlyStopping, OptimizerDefinition } from "../optim/index.ts";
import type { Augmentation } from "../step/augmentation.ts";
import type { InitialWeights } from "../weights/index.ts";
import { type BestOptions, checkPlain, type PlainDefinition } from "./plain.ts";

/** The columns of a batch as tensors, the first axis counting samples; names and dtypes are those of the data source. */
export type StepColumns<Columns extends ColumnTypes> = {
  readonly [Name in keyof Columns]: Tensor & { readonly dtype: Columns[Name]["dtype"] };
};

export interface StepContext {
  /** True in the trace for training, false in the one for evaluation, export and predict. */
  readonly training: boolean;
}

export interface StepResult {
  /**
   * Float32, one value per sample [N] or token [k·N, …]. Tutti minimises Σ(weight·loss)/Σweight over the global batch and
   * divides once: no .mean().
   */
  readonly loss: Tensor;
  /**
   * Float32, broadcastable to the loss. By default the column `weight`, where the data has one, times the loss's own weight
   * (class weights), where it has one; else 1.
   */
  readonly weight?: Tensor;
  /** What export and predict keep, by name. */
  readonly outputs?: Readonly<Record<string, Tensor>>;
  readonly metrics?: Readonly<Record<string, Metric>>;
}

export interface RunOptions<Columns extends ColumnTypes> {
  readonly data: { readonly train: DataSource<Columns>; readonly validation?: DataSource<NoInfer<Columns>> };
  /**
   * Who reads the rows of a batch: the coordinator, which pushes them (the default), or every worker for itself, from its
   * own copy of the files (`tutti worker --data`); then only row numbers travel. Changes no bit of the result.
   */
  readonly placement?: "coordinator" | "workers";
  /** One module, or several under names, which then begin the parameters' names. */
  readonly model: Model;
  /** Traced once for training and once for evaluation; must be a pure function of its arguments. */
  step(columns: StepColumns<NoInfer<Columns>>, context: StepContext): StepResult;
  readonly optimizer: OptimizerDefinition;
  /** Samples of a global batch; "all" is the whole data set (gradient descent). */
  readonly batchSize: number | "all";
  /** Passes over the data; 1 if neither `epochs` nor `steps` is given. */
  readonly epochs?: number;
  /** Updates, instead of `epochs`. */
  readonly steps?: number;
  /** Of first values and of the order of samples; 0 by default. */
  readonly seed?: number;
  /** V: shards of a global batch; by default chosen from the model's work (see `defaultShards`). */
  readonly shards?: number;
  /** What becomes of samples that do not fill the last batch; "train" by default. */
  readonly lastBatch?: "train" | "drop";
  /**
   * Draw rows in proportion to a column of the training data, with replacement by default; an epoch has as many samples as
   * rows unless `samples` says otherwise. By default every row comes once an epoch.
   */
  readonly sampling?: (
    | { readonly weights: keyof NoInfer<Columns> & string }
    /** A column of classes: each class is drawn as often as any other. */
    | { readonly balance: keyof NoInfer<Columns> & string }
  ) & {
    readonly replacement?: boolean;
    readonly samples?: number;
  };
  /** End the run when a validation metric no longer gets better; not by default. */
  readonly earlyStopping?: Partial<EarlyStopping>;
  /**
   * Random changes of training samples, by column and in order, made by `augment`: the same on any number of workers. Validation
   * sees samples as they are.
   */
  readonly augment?: { readonly [Name in keyof NoInfer<Columns> & string]?: readonly Augmentation[] };
  /** When a loss or gradient is NaN or infinite: end the run (the default), or leave the step out, counted. */
  readonly onNonFinite?: "stop" | "skip";
  /**
   * Round gradient sums so that they travel in half ("bf16") or about a quarter ("int8") of the bytes; not by default. Another
   * run with other bits, but still the same bits on any number of workers.
   */
  readonly compress?: PackedFormat | null;
  /** Parameters that do not train, by name, "*" standing for any text: ["encoder.*"]. */
  readonly freeze?: readonly string[];
  /** First values from a file, instead of the model's own: weights.load("file.safetensors"). */
  readonly weights?: InitialWeights;
  /** When to validate: after every `everyEpochs` (1 by default) or `everySteps`, in shards of `shardSize` (256) samples. */
  readonly validation?: { readonly everyEpochs?: number; readonly everySteps?: number; readonly shardSize?: number };
  /**
   * When to write a checkpoint: every `everySteps`, by default at the end of every epoch but not before 100 steps; the
   * last `keep` (3) are kept, and the one with the best validation metric.
   */
  readonly checkpoint?: { readonly everySteps?: number; readonly keep?: number; readonly best?: BestOptions };
}

/** A checked run: plain values that options may override, and what only code can say. Immutable. */
export interface RunDefinition {
  readonly kind: "tutti.run";
  readonly plain: PlainDefinition;
  readonly sources: { readonly train: DataSource; readonly validation: DataSource | null };
  readonly model: Model;
  readonly weights: InitialWeights | null;
  step(columns: Readonly<Record<string, Tensor>>, context: StepContext): StepResult;
}

/**
 * Checks the options of a run and fills in the defaults.
 *
 * @throws TuttiError BAD_OPTION naming the option, what was expected and what was found.
 */
export function defineRun<Columns extends ColumnTypes>(options: RunOptions<Columns>): RunDefinition {
  const { data, model, step, weights = null, ...rest } = options;
  const { train, validation = null } = data ?? {};
  checkSources(data, train, validation);
  rootsOf(model);
  if (typeof step !== "function") throw new TuttiError("BAD_OPTION", `step: expected a function, found ${typeof step}`);
  if (weights !== null && weights.kind !== "tutti.weights") {
    throw new TuttiError("BAD_OPTION", 'weights: expected weights.load("file.safetensors")');
  }
  const epochs = rest.epochs ?? (rest.steps === undefined ? 1 : null);
  const everyEpochs = rest.validation?.everyEpochs ?? (rest.validation?.everySteps === undefined ? 1 : null);
  const plain = checkPlain({
    placement: "coordinator",
    seed: 0,
    shards: null,
    lastBatch: "train",
    sampling: null,
    augment: {},
    onNonFinite: "stop",
    compress: null,
    earlyStopping: null,
    freeze: [],
    steps: null,
    ...rest,
    epochs,
    data: { train: train.describe, validation: validation?.describe ?? null },
    validation: { everySteps: null, shardSize: 256, ...rest.validation, everyEpochs },
    checkpoint: { everySteps: null, keep: 3, best: null, ...rest.checkpoint },
  });
  return Object.freeze({
    kind: "tutti.run",
    plain,
    sources: Object.freeze({ train, validation }),
    model,
    weights,
    step,
  });
}

/** The same run with other plain values. Throws BAD_OPTION. */
export function withPlain(definition: RunDefinition, changed: unknown): RunDefinition {
  const checked = checkPlain(changed);
  const sources = Object.freeze(redescribedSources(definition, checked.data));
  const { train, validation } = sources;
  const data = { train: train.describe, validation: validation?.describe ?? null };
  return Object.freeze({ ...definition, plain: { ...checked, data }, sources });
}

function redescribedSources({ sources, plain }: RunDefinition, now: PlainDefinition["data"]): RunDefinition["sources"] {
  const { train, validation } = sources;
  if (now.validation === null) return { train: redescribed(train, now.train), validation: null };
  if (validation === null) {
    throw new TuttiError("BAD_OPTION", "data.validation: the run file names no validation data; it cannot be set");
  }
  if (train.split === undefined || train.split !== validation.split) {
    return { train: redescribed(train, now.train), validation: redescribed(validation, now.validation) };
  }
  // What is set on one part of a split holds for both: no row may be on two sides, or on none.
  const changed = [
    ...(isSame(plain.data.train, now.train) ? [] : [now.train]),
    ...(isSame(plain.data.validation, now.validation) ? [] : [now.validation]),
  ];
  const [first, second] = changed;
  if (first === undefined) return sources;
  if (second !== undefined && !isSame({ ...first, part: "" }, { ...second, part: "" })) {
    const remedy = "set data.train only, or both to the same value";
    throw new TuttiError("BAD_OPTION", `data: train and validation are parts of one data.split: ${remedy}`);
  }
  const part = first === now.train ? "train" : "validation";
  if (first.part !== part) throw new TuttiError("BAD_OPTION", `data.${part}.part: cannot be set`);
  return train.split.withDescription(first);
}

function redescribed(source: DataSource, now: PlainObject): DataSource {
  return isSame(source.describe, now) ? source : source.withDescription(now);
}

function isSame(one: PlainObject | null, other: PlainObject | null): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** True for what `defineRun` of any copy of this package returned. */
export function isRunDefinition(value: unknown): value is RunDefinition {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "tutti.run";
}

function checkSources(data: unknown, train: unknown, validation: unknown): asserts train is DataSource {
  const unknown = Object.keys(data ?? {}).find((name) => name !== "train" && name !== "validation");
  if (unknown !== undefined) {
    throw new TuttiError("BAD_OPTION", `data: unknown option "${unknown}"; known: train, validation`);
  }
  if (!isSource(train))
    throw new TuttiError("BAD_OPTION", "data.train: expected a data source, such as data.idx({ … })");
  if (validation !== null && !isSource(validation)) {
    throw new TuttiError("BAD_OPTION", "data.validation: expected a data source, such as data.idx({ … })");
  }
}

function isSource(value: unknown): value is DataSource {
  return typeof value === "object" && value !== null && "describe" in value && "open" in value;
}
