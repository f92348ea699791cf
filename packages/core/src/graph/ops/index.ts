import type { Op } from "../op.ts";
import * as activation from "./activation.ts";
import * as blocks from "./blocks.ts";
import * as channelNormalization from "./channel-normalization.ts";
import * as comparison from "./comparison.ts";
import * as contraction from "./contraction.ts";
import * as convolution from "./convolution.ts";
import * as cumulative from "./cumulative.ts";
import * as einsum from "./einsum.ts";
import * as elementwise from "./elementwise.ts";
import * as extremes from "./extremes.ts";
import * as indexing from "./indexing.ts";
import * as loss from "./loss.ts";
import * as normalization from "./normalization.ts";
import * as padding from "./padding.ts";
import * as pooling from "./pooling.ts";
import * as recurrent from "./recurrent.ts";
import * as reduction from "./reduction.ts";
import * as resizing from "./resize.ts";
import * as scatter from "./scatter.ts";
import * as shapeOps from "./shape-ops.ts";
import * as slicing from "./slicing.ts";
import * as softmaxes from "./softmax.ts";
import * as sorting from "./sorting.ts";
import * as trigonometric from "./trigonometric.ts";

export * from "./activation.ts";
export * from "./blocks.ts";
export * from "./channel-normalization.ts";
export * from "./comparison.ts";
export * from "./contraction.ts";
export * from "./convolution.ts";
export * from "./cumulative.ts";
export * from "./einsum.ts";
export * from "./elementwise.ts";
export * from "./extremes.ts";
export * from "./indexing.ts";
export * from "./loss.ts";
export * from "./normalization.ts";
export * from "./padding.ts";
export * from "./pooling.ts";
export * from "./recurrent.ts";
export * from "./reduction.ts";
export * from "./resize.ts";
export * from "./scatter.ts";
export * from "./shape-ops.ts";
export * from "./slicing.ts";
export * from "./softmax.ts";
export * from "./sorting.ts";
export * from "./trigonometric.ts";

/** "domain:type", the key of an operator; ":MatMul" is ai.onnx's. */
export function operatorKey(domain: string, type: string): string {
  return `${domain === "ai.onnx" ? "" : domain}:${type}`;
}

/** Every operator there is: a graph may hold no other, a file with another is refused. Tests and docs iterate it. */
export const operators: ReadonlyMap<string, Op> = new Map(
  [
    activation,
    comparison,
    resizing,
    pooling,
    padding,
    normalization,
    convolution,
    channelNormalization,
    blocks,
    contraction,
    cumulative,
    einsum,
    elementwise,
    extremes,
    indexing,
    loss,
    recurrent,
    reduction,
    scatter,
    shapeOps,
    slicing,
    softmaxes,
    sorting,
    trigonometric,
  ]
    .flatMap((family) => Object.values(family).filter(isOp))
    .filter((op) => op !== shapeOps.stopGradient)
    .map((op) => [operatorKey(op.domain, op.type), op]),
);

function isOp(value: unknown): value is Op {
  return typeof value === "object" && value !== null && "infer" in value;
}
