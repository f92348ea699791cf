import type { Op } from "../op.ts";
import * as comparison from "./comparison.ts";
import * as contraction from "./contraction.ts";
import * as elementwise from "./elementwise.ts";
import * as indexing from "./indexing.ts";
import * as reduction from "./reduction.ts";
import * as shapeOps from "./shape-ops.ts";
import * as slicing from "./slicing.ts";
import * as softmaxes from "./softmax.ts";

export * from "./comparison.ts";
export * from "./contraction.ts";
export * from "./elementwise.ts";
export * from "./indexing.ts";
export * from "./reduction.ts";
export * from "./shape-ops.ts";
export * from "./slicing.ts";
export * from "./softmax.ts";

/** "domain:type", the key of an operator; ":MatMul" is ai.onnx's. */
export function operatorKey(domain: string, type: string): string {
  return `${domain === "ai.onnx" ? "" : domain}:${type}`;
}

/** Every operator there is: a graph may hold no other, a file with another is refused. Tests and docs iterate it. */
export const operators: ReadonlyMap<string, Op> = new Map(
  [comparison, contraction, elementwise, indexing, reduction, shapeOps, slicing, softmaxes]
    .flatMap((family) => Object.values(family).filter(isOp))
    .filter((op) => op !== shapeOps.stopGradient)
    .map((op) => [operatorKey(op.domain, op.type), op]),
);

function isOp(value: unknown): value is Op {
  return typeof value === "object" && value !== null && "infer" in value;
}
