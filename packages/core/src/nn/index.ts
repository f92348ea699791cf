import * as activations from "./activations.ts";
import { multiHeadAttention } from "./attention.ts";
import { batchNorm1d, batchNorm2d } from "./batch-norm.ts";
import { bceWithLogits, crossEntropy, nll } from "./classification-losses.ts";
import { conv1d, conv2d, convTranspose2d } from "./convolution.ts";
import { dropout } from "./dropout.ts";
import { embedding } from "./embedding.ts";
import { init } from "./init.ts";
import { linear } from "./linear.ts";
import { cosineEmbedding, hinge, huber, klDiv, l1, mse, smoothL1 } from "./losses.ts";
import { module } from "./module.ts";
import { groupNorm, layerNorm, rmsNorm } from "./normalization.ts";
import { perShard } from "./per-shard.ts";
import { adaptiveAvgPool1d, adaptiveAvgPool2d, avgPool1d, avgPool2d, maxPool1d, maxPool2d } from "./pooling.ts";
import { learnedPositions, sinusoidalPositions } from "./positions.ts";
import { gru, lstm, rnn } from "./recurrent.ts";
import { residual } from "./residual.ts";
import { sequential } from "./sequential.ts";
import { transformerDecoderLayer, transformerEncoderLayer } from "./transformer.ts";

/**
 * Modules, losses and first values of a run file.
 *
 * @namespace
 */
export const nn = {
  linear,
  conv1d,
  conv2d,
  convTranspose2d,
  maxPool1d,
  maxPool2d,
  avgPool1d,
  avgPool2d,
  adaptiveAvgPool1d,
  adaptiveAvgPool2d,
  batchNorm1d,
  batchNorm2d,
  layerNorm,
  groupNorm,
  rmsNorm,
  dropout,
  embedding,
  sinusoidalPositions,
  learnedPositions,
  multiHeadAttention,
  transformerEncoderLayer,
  transformerDecoderLayer,
  rnn,
  lstm,
  gru,
  ...activations,
  residual,
  sequential,
  module,
  perShard,
  mse,
  l1,
  huber,
  smoothL1,
  crossEntropy,
  nll,
  bceWithLogits,
  klDiv,
  hinge,
  cosineEmbedding,
  /**
   * Schemes for first values, by PyTorch's formulas; modules take them as `init: { weight: nn.init.… }`.
   *
   * @namespace
   */
  init,
} as const;

export type { AttentionInputs, AttentionOptions } from "./attention.ts";
export type { BatchNormOptions } from "./batch-norm.ts";
export type { CrossEntropyOptions, NllOptions } from "./classification-losses.ts";
export type { ConvolutionOptions, TransposedConvolutionOptions } from "./convolution.ts";
export type { EmbeddingOptions } from "./embedding.ts";
export { fillInitial, type Init, type KaimingOptions } from "./init.ts";
export type { LinearOptions } from "./linear.ts";
export {
  type BufferSpec,
  isModule,
  type Module,
  type ModuleDefinition,
  type ModuleDescription,
  type ModuleOption,
  type ModuleSelf,
  type ParameterSpec,
} from "./module.ts";
export {
  describeModule,
  type Model,
  type ModuleTree,
  moduleTree,
  type NamedBuffer,
  type NamedParameter,
  type TraceRecord,
  traceContext,
} from "./module-tree.ts";
export type { NormOptions } from "./normalization.ts";
export type { AveragePoolOptions, MaxPoolOptions, PoolOptions } from "./pooling.ts";
export type { RecurrentOptions, RecurrentResult } from "./recurrent.ts";
export type { DecoderInputs, TransformerLayerOptions } from "./transformer.ts";
