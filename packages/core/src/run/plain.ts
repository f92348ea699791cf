import * as v from "valibot";
import { checkAugmentation, type PlainData, type PlainObject } from "../data/index.ts";
import { TuttiError } from "../errors/index.ts";
import type { PackedFormat } from "../kernels/index.ts";
import { checkOptimizer, type OptimizerDefinition } from "../optim/definition.ts";
import { checkEarlyStopping, type EarlyStopping } from "../optim/early-stopping.ts";
import type { Augmentation } from "../step/augmentation.ts";
import { suggestion } from "./nearest.ts";

/** The checkpoint that is kept beside the last ones: the best by "loss" or a metric of the step, over the validation data. */
export interface BestOptions {
  readonly metric: string;
  readonly mode: "min" | "max";
}

/** Rows drawn by weight, instead of each once an epoch. */
export interface SamplingOptions {
  /** Name of a column of the training data: one number of at least 0 a row. One of `weights` and `balance` is null. */
  readonly weights: string | null;
  /** Name of a column of classes: a row weighs 1 over the number of rows of its class. */
  readonly balance: string | null;
  /** true: every position draws anew; false: no row comes twice in an epoch. */
  readonly replacement: boolean;
  /** Samples of an epoch; null: the number of rows. */
  readonly samples: number | null;
}

/** Every value of a run that is plain data, defaults filled in: what `--set` reaches and the definition digest covers. */
export interface PlainDefinition {
  readonly data: { readonly train: PlainObject; readonly validation: PlainObject | null };
  readonly placement: "coordinator" | "workers";
  readonly optimizer: OptimizerDefinition;
  readonly batchSize: number | "all";
  /** One of `epochs` and `steps` is null. */
  readonly epochs: number | null;
  readonly steps: number | null;
  readonly seed: number;
  /** null: chosen from the model's work. */
  readonly shards: number | null;
  readonly lastBatch: "train" | "drop";
  readonly sampling: SamplingOptions | null;
  /** By column: random changes of training samples, in order. */
  readonly augment: Readonly<Record<string, readonly Augmentation[]>>;
  readonly onNonFinite: "stop" | "skip";
  /** null: gradient sums travel and are added as float32. */
  readonly compress: PackedFormat | null;
  readonly earlyStopping: EarlyStopping | null;
  /** Names of parameters that do not train, "*" standing for any text. */
  readonly freeze: readonly string[];
  readonly validation: {
    /** One of `everyEpochs` and `everySteps` is null. */
    readonly everyEpochs: number | null;
    readonly everySteps: number | null;
    readonly shardSize: number;
  };
  readonly checkpoint: {
    /** null: at the end of every epoch, but not before 100 steps. */
    readonly everySteps: number | null;
    readonly keep: number;
    readonly best: BestOptions | null;
  };
}

const positiveInteger = v.custom<number>((value) => isInteger(value) && value >= 1, "a positive integer");
const orNull = v.custom<number | null>(
  (value) => value === null || (isInteger(value) && value >= 1),
  "a positive integer, or null for none",
);
const plainObject = v.custom<PlainObject>(
  (value) => typeof value === "object" && value !== null && !Array.isArray(value),
  "an object of plain values",
);

const samplingSchema = v.strictObject({
  weights: v.optional(v.nullable(v.string("the name of a column")), null),
  balance: v.optional(v.nullable(v.string("the name of a column")), null),
  replacement: v.optional(v.boolean("true or false"), true),
  samples: v.optional(orNull, null),
});

const schemas = {
  data: v.strictObject({ train: plainObject, validation: v.nullable(plainObject) }),
  placement: v.picklist(["coordinator", "workers"], '"coordinator" or "workers"'),
  batchSize: v.custom<number | "all">(
    (value) => value === "all" || (isInteger(value) && value >= 1),
    'a positive integer or "all"',
  ),
  epochs: orNull,
  steps: orNull,
  seed: v.custom<number>(isInteger, "an integer"),
  shards: orNull,
  lastBatch: v.picklist(["train", "drop"], '"train" or "drop"'),
  sampling: v.nullable(samplingSchema),
  augment: v.record(v.string(), v.array(v.unknown(), "a list of changes"), "lists of changes by column"),
  onNonFinite: v.picklist(["stop", "skip"], '"stop" or "skip"'),
  compress: v.nullable(v.picklist(["bf16", "int8"], '"bf16", "int8" or null')),
  freeze: v.array(v.string("text"), "a list of names or patterns"),
  validation: v.strictObject({ everyEpochs: orNull, everySteps: orNull, shardSize: positiveInteger }),
  checkpoint: v.strictObject({
    everySteps: orNull,
    keep: positiveInteger,
    best: v.nullable(
      v.strictObject({
        metric: v.string('"loss" or the name of a metric'),
        mode: v.picklist(["min", "max"], '"min" or "max"'),
      }),
    ),
  }),
};
const schema = v.strictObject({ ...schemas, optimizer: v.unknown(), earlyStopping: v.unknown() });

/**
 * A checked, deeply frozen copy. Throws TuttiError BAD_OPTION naming the value's path, what was expected and found.
 */
export function checkPlain(found: unknown): PlainDefinition {
  const result = v.safeParse(schema, found, { abortEarly: true });
  if (!result.success) throw new TuttiError("BAD_OPTION", messageOf(result.issues[0], found));
  const { earlyStopping } = result.output;
  const plain = {
    ...result.output,
    augment: Object.fromEntries(
      Object.entries(result.output.augment).map(([column, changes]) => [
        column,
        changes.map((change, place) => checkAugmentation(`augment.${column}.${place}`, change)),
      ]),
    ),
    optimizer: checkOptimizer(result.output.optimizer),
    earlyStopping: earlyStopping === null ? null : checkEarlyStopping("earlyStopping", earlyStopping),
  };
  exclusive("", plain, "epochs", "steps");
  exclusive("validation.", plain.validation, "everyEpochs", "everySteps");
  if (plain.sampling !== null) exclusive("sampling.", plain.sampling, "weights", "balance");
  if (plain.earlyStopping !== null && plain.data.validation === null) {
    throw new TuttiError("BAD_OPTION", "earlyStopping: needs data.validation, which the run does not have");
  }
  if (plain.checkpoint.best !== null && plain.data.validation === null) {
    throw new TuttiError("BAD_OPTION", "checkpoint.best: needs data.validation, which the run does not have");
  }
  return frozenCopy(plain);
}

function exclusive<Name extends string>(prefix: string, values: Record<Name, unknown>, one: Name, other: Name): void {
  if ((values[one] === null) === (values[other] === null)) {
    throw new TuttiError("BAD_OPTION", `${prefix}${one} and ${prefix}${other}: give one of them`);
  }
}

function messageOf(issue: v.BaseIssue<unknown>, root: unknown): string {
  const keys = (issue.path ?? []).map((item) => String(item.key));
  const path = keys.join(".");
  if (issue.type !== "strict_object" || issue.expected !== "never") {
    const expected = issue.type === "strict_object" ? "an object" : issue.message;
    return `${path}: expected ${expected}, found ${JSON.stringify(issue.input) ?? String(issue.input)}`;
  }
  const key = keys.at(-1)!;
  const known = knownAt(keys.slice(0, -1)).filter((name) => name !== key);
  return `${path}: unknown option; ${suggestion(key, root === null ? [] : known)}`;
}

function knownAt(path: readonly string[]): readonly string[] {
  const [section] = path;
  if (section === undefined) return [...Object.keys(schema.entries), "model", "step"];
  if (section === "checkpoint" && path[1] === "best") return ["metric", "mode"];
  if (section === "sampling") return Object.keys(samplingSchema.entries);
  if (section === "data" || section === "validation" || section === "checkpoint")
    return Object.keys(schemas[section].entries);
  return [];
}

function isInteger(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function frozenCopy<Value>(value: Value): Value {
  const copy = structuredClone(value);
  freezeDeep(copy);
  return copy;
}

function freezeDeep(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  Object.freeze(value);
  for (const item of Object.values(value)) freezeDeep(item);
}

/** The plain values as JSON data. */
export function plainData(plain: PlainDefinition): PlainObject {
  const { data, optimizer, validation, checkpoint, freeze, earlyStopping, sampling, augment, ...rest } = plain;
  const json = (value: object): PlainData => JSON.parse(JSON.stringify(value));
  return {
    ...rest,
    augment: json(augment),
    freeze: json(freeze),
    earlyStopping: earlyStopping === null ? null : json(earlyStopping),
    sampling: sampling === null ? null : json(sampling),
    data: json(data),
    optimizer: json(optimizer),
    validation: json(validation),
    checkpoint: json(checkpoint),
  };
}
