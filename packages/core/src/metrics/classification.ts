import { TuttiError } from "../errors/index.ts";
import { isBatch, sameDim, shapeToString, type Tensor } from "../graph/index.ts";
import type { CollectMetric, Figures, SumsMetric } from "./metric.ts";
import { areaUnderCurve } from "./ranking.ts";
import { mean, sumsOf } from "./sums.ts";

/** macro: the plain mean over classes. micro: counts of all classes together (equal to accuracy for one label each). */
export interface AverageOptions {
  readonly average?: "macro" | "micro";
}

/** Share of entries whose largest logit is at the label. @param logits [k·N, C] @param labels integer [k·N]. */
export function accuracy(logits: Tensor, labels: Tensor): SumsMetric {
  classesOf("accuracy", logits, labels);
  return mean(logits.argmax(1).equal(labels.cast("int64")).cast("float32"));
}

/**
 * Share of entries whose label is among the k largest logits; of equal logits the lower class is counted as the larger.
 * @param logits float32 [k·N, C] @param labels integer [k·N].
 */
export function topK(logits: Tensor, labels: Tensor, k: number): SumsMetric {
  const classes = classesOf("topK", logits, labels);
  if (!Number.isInteger(k) || k < 1 || k > classes) {
    throw new TuttiError("BAD_OPTION", `metrics.topK: k: expected 1 … ${classes}, the number of classes, found ${k}`);
  }
  const { graph } = logits;
  const label = labels.cast("int64").unsqueeze(1);
  const own = logits.gatherElements(label, 1);
  const index = graph.constant(
    BigInt64Array.from({ length: classes }, (_, i) => BigInt(i)),
    [1, classes],
    "int64",
  );
  const before = logits.greater(own).or(logits.equal(own).and(index.less(label)));
  return mean(before.cast("float32").sum(1).less(k).cast("float32"));
}

/**
 * Counts of true and predicted classes over the validation data, as figures "TRUE.PREDICTED" (rows are labels, as in
 * sklearn). At most 64 classes. @param logits [k·N, C] @param labels integer [k·N].
 */
export function confusionMatrix(logits: Tensor, labels: Tensor): CollectMetric {
  const classes = classesOf("confusionMatrix", logits, labels);
  if (classes > 64) {
    throw new TuttiError("BAD_OPTION", `metrics.confusionMatrix: expected at most 64 classes, found ${classes}`);
  }
  return {
    kind: "collect",
    columns: { pair: labels.cast("int64").mul(classes).add(logits.argmax(1)).cast("int32") },
    finish({ pair }) {
      const counts = new Array<number>(classes * classes).fill(0);
      for (const index of pair as Int32Array) counts[index]! += 1;
      return Object.fromEntries(counts.map((count, i) => [`${Math.floor(i / classes)}.${i % classes}`, count]));
    },
  };
}

/**
 * True positives among what was predicted as a class; 0 for a class that was never predicted (sklearn's zero_division=0).
 * @param logits [k·N, C] @param labels integer [k·N].
 */
export function precision(logits: Tensor, labels: Tensor, options: AverageOptions = {}): SumsMetric {
  return ofCounts("precision", logits, labels, options, ({ hits, predicted }) => ratio(hits, predicted));
}

/** True positives among what is a class; 0 for a class that does not occur. */
export function recall(logits: Tensor, labels: Tensor, options: AverageOptions = {}): SumsMetric {
  return ofCounts("recall", logits, labels, options, ({ hits, actual }) => ratio(hits, actual));
}

/** 2·TP/(predicted + actual): harmonic mean of precision and recall of a class; 0 where both counts are. */
export function f1(logits: Tensor, labels: Tensor, options: AverageOptions = {}): SumsMetric {
  return ofCounts("f1", logits, labels, options, ({ hits, predicted, actual }) => ratio(2 * hits, predicted + actual));
}

/**
 * Area under the ROC curve of a binary classifier over the whole validation data; equal scores count half. NaN if one of
 * the classes does not occur. @param scores float32 [k·N], higher for class 1 @param labels integer [k·N], 0 or 1.
 */
export function auc(scores: Tensor, labels: Tensor): CollectMetric {
  const fit = scores.rank === 1 && labels.rank === 1 && sameDim(scores.shape[0]!, labels.shape[0]!);
  if (!fit || scores.dtype !== "float32" || !/^(u?int|bool)/.test(labels.dtype)) {
    throw mismatch("auc", "scores float32[N] and integer labels [N]", scores, labels);
  }
  return {
    kind: "collect",
    columns: { scores, labels: labels.cast("uint8") },
    finish: (columns) => areaUnderCurve(columns.scores as Float32Array, columns.labels as Uint8Array),
  };
}

interface ClassCounts {
  readonly hits: number;
  readonly predicted: number;
  readonly actual: number;
}

function ofCounts(
  name: string,
  logits: Tensor,
  labels: Tensor,
  { average = "macro" }: AverageOptions,
  score: (counts: ClassCounts) => number,
): SumsMetric {
  if (average !== "macro" && average !== "micro") {
    throw new TuttiError("BAD_OPTION", `metrics.${name}: average: expected "macro" or "micro", found ${average}`);
  }
  const classes = classesOf(name, logits, labels);
  const actual = labels.cast("int64").oneHot(classes);
  const predicted = logits.argmax(1).oneHot(classes);
  return sumsOf([actual.mul(predicted), predicted, actual], (sums): Figures => {
    const counts = Array.from({ length: classes }, (_, i) => ({
      hits: sums[i]!,
      predicted: sums[classes + i]!,
      actual: sums[2 * classes + i]!,
    }));
    if (average === "macro") return counts.reduce((sum, one) => sum + score(one), 0) / classes;
    const total = (count: keyof ClassCounts) => counts.reduce((sum, one) => sum + one[count], 0);
    return score({ hits: total("hits"), predicted: total("predicted"), actual: total("actual") });
  });
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

/** C. Throws SHAPE_MISMATCH unless logits are [k·N, C] and labels integers [k·N]. */
function classesOf(name: string, logits: Tensor, labels: Tensor): number {
  const [samples, classes] = logits.shape;
  const [own] = labels.shape;
  const fits = isBatch(samples) && own !== undefined && sameDim(samples, own);
  if (logits.rank !== 2 || typeof classes !== "number" || labels.rank !== 1 || !fits || !/^u?int/.test(labels.dtype)) {
    throw mismatch(name, "logits [N,C] and integer labels [N]", logits, labels);
  }
  return classes;
}

function mismatch(name: string, expected: string, a: Tensor, b: Tensor): TuttiError {
  const found = [a, b].map((tensor) => `${tensor.dtype}${shapeToString(tensor.shape)}`);
  return new TuttiError("SHAPE_MISMATCH", `metrics.${name}: expected ${expected}, found ${found.join(" and ")}`);
}
