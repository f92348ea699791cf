export { checkGraph, type GraphLimits } from "./check-graph.ts";
export { customGradient } from "./custom-gradient.ts";
export { gradients } from "./gradients.ts";
export * from "./graph.ts";
export { lower } from "./lower.ts";
export type { Attributes, AttributeValue, Node } from "./node.ts";
export type { AttributeKind, GradientContext, Op } from "./op.ts";
export {
  type AveragePoolOptions,
  type ConvOptions,
  type ConvTransposeOptions,
  type MaxPoolOptions,
  type NormOptions,
  operatorKey,
  operators,
  type PadOptions,
  type ResizeOptions,
} from "./ops/index.ts";
export {
  dtypeOfCode,
  type ExternalData,
  type OnnxAttribute,
  type OnnxModel,
  type OnnxNode,
  type OnnxTensor,
  type OnnxValueInfo,
  type ReadOptions,
  readOnnx,
  readOnnxTensor,
} from "./read-onnx.ts";
export * from "./shape.ts";
export { simplify } from "./simplify.ts";
export { type GemmOptions, type Operand, Tensor } from "./tensor.ts";
export { type WriteOptions, writeOnnx } from "./write-onnx.ts";
