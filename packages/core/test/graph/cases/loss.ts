import {
  type CaseTable,
  type GradientCase,
  integers,
  type Operand,
  of,
  positive,
  type Reference,
} from "../gradient-case.ts";

/** Loss of log-probabilities [n,classes,inner] by labels, as ONNX defines it. */
function loss(
  logs: Float64Array,
  labels: Float64Array,
  weights: Float64Array | undefined,
  classes: number,
  inner: number,
  reduction: string,
  ignored: number | undefined,
): Float64Array {
  const each = labels.map((label, i) => {
    const [sample, place] = [Math.floor(i / inner), i % inner];
    if (label === ignored) return 0;
    return -(weights?.[label] ?? 1) * logs[(sample * classes + label) * inner + place]!;
  });
  if (reduction === "none") return each;
  const sum = each.reduce((total, value) => total + value, 0);
  const weight = labels.reduce((total, label) => total + (label === ignored ? 0 : (weights?.[label] ?? 1)), 0);
  return Float64Array.of(reduction === "sum" ? sum : sum / weight);
}

function logSoftmax(scores: Float64Array, classes: number, inner: number): Float64Array {
  return scores.map((score, i) => {
    const first = Math.floor(i / (classes * inner)) * classes * inner + (i % inner);
    let sum = 0;
    for (let c = 0; c < classes; c++) sum += Math.exp(scores[first + c * inner]!);
    return score - Math.log(sum);
  });
}

interface Variant {
  readonly name: string;
  readonly scores: Operand;
  readonly labels: Operand;
  readonly weights?: Operand;
  readonly reduction?: "none" | "sum" | "mean";
  readonly ignored?: number;
}

const variants: readonly Variant[] = [
  { name: "mean by default", scores: of(4, 3), labels: integers([4], [0, 2, 2, 1]) },
  { name: "none", scores: of(4, 3), labels: integers([4], [0, 2, 2, 1]), reduction: "none" },
  {
    name: "sum with weights",
    scores: of(4, 3),
    labels: integers([4], [0, 2, 2, 1]),
    weights: positive(3),
    reduction: "sum",
  },
  { name: "mean with weights", scores: of(4, 3), labels: integers([4], [0, 2, 2, 1]), weights: positive(3) },
  {
    name: "mean with weights and ignored labels",
    scores: of(4, 3),
    labels: integers([4], [0, -100, 2, 2]),
    weights: positive(3),
    ignored: -100,
  },
  {
    name: "none with ignored labels",
    scores: of(4, 3),
    labels: integers([4], [1, 0, 2, 1], "int32"),
    ignored: 1,
    reduction: "none",
  },
  {
    name: "mean of two inner axes, ignored labels",
    scores: of(2, 3, 2, 2),
    labels: integers([2, 2, 2], [0, 2, 1, -1, -1, 2, 2, 0]),
    ignored: -1,
  },
  {
    name: "none of an inner axis with weights",
    scores: of(2, 3, 2),
    labels: integers([2, 2], [0, 2, 1, 1]),
    weights: positive(3),
    reduction: "none",
  },
];

function cases(fromScores: boolean): readonly GradientCase[] {
  return variants.map(({ name, scores, labels, weights, reduction, ignored }) => {
    const [, classes = 1, ...rest] = scores.shape;
    const inner = rest.reduce((product, size) => product * size, 1);
    const oracle: Reference = ([x, label, weight]) => {
      const logs = fromScores ? logSoftmax(x!, classes, inner) : x!;
      const value = loss(logs, label!, weight, classes, inner, reduction ?? "mean", ignored);
      return fromScores ? Float64Array.of(...value, ...logs) : value;
    };
    return {
      name,
      inputs: weights === undefined ? [scores, labels] : [scores, labels, weights],
      attributes: {
        ...(reduction === undefined ? {} : { reduction }),
        ...(ignored === undefined ? {} : { ignore_index: ignored }),
      },
      oracle,
    };
  });
}

export const losses: CaseTable = {
  ":NegativeLogLikelihoodLoss": cases(false),
  ":SoftmaxCrossEntropyLoss": cases(true),
};
