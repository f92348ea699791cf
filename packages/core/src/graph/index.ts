export * from "./graph.ts";
export type { Attributes, AttributeValue, Node } from "./node.ts";
export type { AttributeKind, GradientContext, Op } from "./op.ts";
export { operatorKey, operators } from "./ops/index.ts";
export * from "./shape.ts";
export { type GemmOptions, type Operand, Tensor } from "./tensor.ts";
