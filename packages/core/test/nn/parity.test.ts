import type { Tensor } from "@tutti/core/graph";
import { type Module, nn } from "@tutti/core/nn";
import { updateRunningStatistics } from "@tutti/core/step";
import { expect, test } from "vitest";
import { ParitySection } from "../parity-section.ts";
import { evaluateModule, recorded, relativeError, runLoss, runModule } from "./recorded.ts";

const section = new ParitySection("Modules and losses");

type Inputs = Readonly<Record<string, Tensor>>;
type Case = readonly [model: Module<never, unknown>, forward: (inputs: Inputs) => Tensor, training?: boolean];

const ofX = (module: Module): Case => [module, ({ x }) => module(x!)];
const training = (module: Module): Case => [module, ({ x }) => module(x!), true];

/** PyTorch's module `net`, its output followed by the last state. */
function recurrent(net: ReturnType<typeof nn.lstm>): Case {
  const model = nn.module({
    children: { net },
    forward({ children }, x: Tensor) {
      const { output, hidden } = children.net(x);
      return output.concat([hidden.unsqueeze(1)], 1);
    },
  });
  return training(model);
}

function attention(module: ReturnType<typeof nn.multiHeadAttention>, names: readonly string[] = []): Case {
  const chosen = (inputs: Inputs) => Object.fromEntries(names.map((name) => [name, inputs[name]!]));
  return [module, (inputs) => module(inputs.x!, chosen(inputs))];
}

function encoder(module: ReturnType<typeof nn.transformerEncoderLayer>): Case {
  return [module, ({ x, padding }) => (padding === undefined ? module(x!) : module(x!, { padding })), true];
}

function decoder(module: ReturnType<typeof nn.transformerDecoderLayer>): Case {
  return [module, ({ x, memory, padding }) => module(x!, { memory: memory!, memoryPadding: padding! }), true];
}

const cases: Readonly<Record<string, Case>> = {
  linear: ofX(nn.linear(5, 3)),
  conv1d: ofX(nn.conv1d(4, 6, 3, { stride: 2, padding: 1, dilation: 1, groups: 2 })),
  conv2d: ofX(nn.conv2d(2, 3, 3, { padding: 1 })),
  conv2dStrided: ofX(nn.conv2d(2, 4, [3, 2], { stride: 2, padding: [1, 0], dilation: [1, 2], bias: false })),
  conv2dSame: ofX(nn.conv2d(1, 2, [4, 3], { padding: "same" })),
  convTranspose2d: ofX(nn.convTranspose2d(4, 2, 3, { stride: 2, padding: 1, outputPadding: 1, groups: 2 })),
  maxPool2d: ofX(nn.maxPool2d(2)),
  maxPool2dOverlap: ofX(nn.maxPool2d(3, { stride: 2, padding: 1, ceilMode: true })),
  maxPool1d: ofX(nn.maxPool1d(2, { stride: 1, dilation: 2 })),
  avgPool2d: ofX(nn.avgPool2d(2, { stride: 1, padding: 1 })),
  avgPool2dExclude: ofX(nn.avgPool2d(3, { stride: 2, padding: 1, countIncludePad: false })),
  avgPool1d: ofX(nn.avgPool1d(2)),
  adaptiveAvgPool2d: ofX(nn.adaptiveAvgPool2d([2, 3])),
  adaptiveAvgPool2dEven: ofX(nn.adaptiveAvgPool2d(2)),
  adaptiveAvgPool2dOne: ofX(nn.adaptiveAvgPool2d(1)),
  adaptiveAvgPool1d: ofX(nn.adaptiveAvgPool1d(3)),
  batchNorm1dTraining: training(nn.batchNorm1d(4)),
  batchNorm1dSequence: training(nn.batchNorm1d(3, { momentum: 0.3 })),
  batchNorm2dTraining: training(nn.batchNorm2d(3, { epsilon: 1e-3 })),
  batchNorm2dPlain: training(nn.batchNorm2d(2, { affine: false, momentum: null })),
  batchNorm2d: ofX(nn.batchNorm2d(3, { epsilon: 1e-3 })),
  batchNorm1d: ofX(nn.batchNorm1d(4, { affine: false })),
  batchNorm1dRows: ofX(nn.batchNorm1d(2)),
  layerNorm: ofX(nn.layerNorm(6)),
  layerNormTwoAxes: ofX(nn.layerNorm([3, 4], { epsilon: 1e-3 })),
  layerNormPlain: ofX(nn.layerNorm(5, { affine: false })),
  groupNorm: ofX(nn.groupNorm(2, 4)),
  groupNormFlat: ofX(nn.groupNorm(2, 6)),
  embedding: ofX(nn.embedding(5, 3)),
  embeddingPadding: ofX(nn.embedding(5, 3, { paddingIdx: 2 })),
  attention: attention(nn.multiHeadAttention(6, 2)),
  attentionCausal: attention(nn.multiHeadAttention(6, 3, { causal: true })),
  attentionPadding: attention(nn.multiHeadAttention(4, 2), ["padding"]),
  attentionCross: attention(nn.multiHeadAttention(4, 2, { bias: false }), ["key", "value"]),
  encoderLayer: encoder(nn.transformerEncoderLayer(4, 2, { feedForward: 6, dropout: 0 })),
  encoderLayerNormFirst: encoder(
    nn.transformerEncoderLayer(4, 2, { feedForward: 6, dropout: 0, activation: "gelu", normFirst: true }),
  ),
  decoderLayer: decoder(nn.transformerDecoderLayer(4, 2, { feedForward: 5, dropout: 0 })),
  decoderLayerNormFirst: decoder(nn.transformerDecoderLayer(4, 1, { feedForward: 5, dropout: 0, normFirst: true })),
  rnn: recurrent(nn.rnn(3, 4)),
  rnnRelu: recurrent(nn.rnn(3, 4, { activation: "relu", bias: false })),
  lstm: recurrent(nn.lstm(3, 4)),
  lstmDeep: recurrent(nn.lstm(2, 3, { layers: 2, bidirectional: true })),
  gru: recurrent(nn.gru(3, 4)),
  gruDeep: recurrent(nn.gru(2, 3, { layers: 2, bidirectional: true, bias: false })),
  relu: ofX(nn.relu()),
  leakyRelu: ofX(nn.leakyRelu(0.2)),
  prelu: ofX(nn.prelu(3, 0.1)),
  elu: ofX(nn.elu(1.5)),
  selu: ofX(nn.selu()),
  gelu: ofX(nn.gelu()),
  geluTanh: ofX(nn.gelu("tanh")),
  silu: ofX(nn.silu()),
  mish: ofX(nn.mish()),
  softplus: ofX(nn.softplus()),
  softsign: ofX(nn.softsign()),
  hardSigmoid: ofX(nn.hardSigmoid()),
  hardSwish: ofX(nn.hardSwish()),
  sigmoid: ofX(nn.sigmoid()),
  tanh: ofX(nn.tanh()),
  softmax: ofX(nn.softmax()),
  logSoftmax: ofX(nn.logSoftmax(1)),
};

test("every recorded module has its case, and the other way round", () => {
  expect(Object.keys(cases)).toEqual(Object.keys(recorded.modules));
  expect(Object.keys(losses)).toEqual(Object.keys(recorded.losses));
});

const shapesOf = (state: Readonly<Record<string, { readonly shape: readonly number[] }>>) =>
  Object.fromEntries(Object.entries(state).map(([name, { shape }]) => [name, shape]));

for (const [name, [model, forward, isTraining = false]] of Object.entries(cases)) {
  test(`${name} has PyTorch's parameters, result and gradients`, async () => {
    const wanted = recorded.modules[name]!;
    const found = await runModule(wanted, model, forward, isTraining);
    expect(found.parameters).toEqual(shapesOf(wanted.parameters));
    expect(Object.keys(found.parameters)).toEqual(Object.keys(wanted.parameters));
    expect(found.buffers).toEqual(shapesOf(wanted.buffers));
    expect(found.outputShape).toEqual(wanted.output.shape);
    section.compare(name, "result", relativeError(found.output, wanted.output.values), 2e-6);
    const expected = Object.entries({ ...wanted.gradients, ...wanted.inputGradients });
    for (const [path, gradient] of expected) {
      section.compare(name, "gradients", relativeError(found.gradients[path]!, gradient), 4e-6);
    }
  });
}

for (const name of Object.keys(cases).filter((name) => /^(rnn|lstm|gru)/.test(name))) {
  test(`${name} is evaluated by ONNX's operator with PyTorch's result`, async () => {
    const [model, forward] = cases[name]!;
    const wanted = recorded.modules[name]!;
    const found = await evaluateModule(wanted, model, forward);
    expect(found.operators.filter((type) => /^(RNN|LSTM|GRU)$/.test(type))).toHaveLength(name.endsWith("Deep") ? 2 : 1);
    section.compare(name, "result of ONNX's operator", relativeError(found.output, wanted.output.values), 2e-6);
  });
}

for (const [name, { buffersAfter, inputs }] of Object.entries(recorded.modules)) {
  if (buffersAfter === undefined) continue;
  test(`${name} leaves PyTorch's running statistics`, async () => {
    const [model, forward] = cases[name]!;
    const { statistics } = await runModule(recorded.modules[name]!, model, forward, true);
    const { mean, variance } = statistics!;
    const values = inputs.x!.values.length / mean.length;
    const length = mean.length;
    // As a program sums them about running statistics of 0 and 1.
    const sums = Float32Array.from([
      ...mean.map((m) => m * values),
      ...variance.map((v, i) => (v + mean[i]! ** 2) * values),
    ]);
    const current = Float32Array.from({ length: 2 * length }, (_, i) => (i < length ? 0 : 1));
    const next = new Float32Array(2 * length);
    const samples = inputs.x!.shape[0]!;
    const momentum = model.options.momentum as number | null;
    const one = { name, mean: 0, variance: length, length, momentum, valuesPerSample: values / samples };
    expect(updateRunningStatistics(one, { current, next, sums }, samples, 1)).toBe(true);
    const wanted = [...buffersAfter.running_mean!, ...buffersAfter.running_var!];
    section.compare(name, "running statistics", relativeError(next, wanted), 1e-6);
  });
}

const weight = [0.5, 2, 1.25, 0.1];

const losses: Readonly<Record<string, (inputs: Inputs) => Tensor>> = {
  mse: ({ x, y }) => nn.mse(x!, y!),
  l1: ({ x, y }) => nn.l1(x!, y!),
  huber: ({ x, y }) => nn.huber(x!, y!, { delta: 0.7 }),
  smoothL1: ({ x, y }) => nn.smoothL1(x!, y!, { beta: 0.4 }),
  crossEntropy: ({ x, label }) => nn.crossEntropy(x!, label!),
  crossEntropyWeight: ({ x, label }) => nn.crossEntropy(x!, label!, { weight }),
  crossEntropySmooth: ({ x, label }) => nn.crossEntropy(x!, label!, { labelSmoothing: 0.2 }),
  crossEntropyIgnore: ({ x, label }) => nn.crossEntropy(x!, label!, { ignoreIndex: -100 }),
  crossEntropyAll: ({ x, label }) => nn.crossEntropy(x!, label!, { weight, ignoreIndex: 2, labelSmoothing: 0.1 }),
  nll: ({ x, label }) => nn.nll(x!, label!, { weight, ignoreIndex: 1 }),
  bceWithLogits: ({ x, y }) => nn.bceWithLogits(x!, y!),
  bceWithLogitsPosWeight: ({ x, y }) => nn.bceWithLogits(x!, y!, { posWeight: [2, 0.5, 1] }),
  klDiv: ({ x, y }) => nn.klDiv(x!, y!),
  klDivLog: ({ x, y }) => nn.klDiv(x!, y!, { logTarget: true }),
  hinge: ({ x, y }) => nn.hinge(x!, y!),
  cosineEmbedding: ({ x, y, sign }) => nn.cosineEmbedding(x!, y!, sign!, { margin: 0.2 }),
};

for (const [name, loss] of Object.entries(losses)) {
  test(`${name} has PyTorch's mean and its gradients`, async () => {
    const wanted = recorded.losses[name]!;
    const found = await runLoss(wanted, loss);
    section.compare(name, "mean", Math.abs(found.mean - wanted.mean) / Math.max(1, Math.abs(wanted.mean)), 1e-6);
    for (const [path, gradient] of Object.entries(wanted.inputGradients)) {
      section.compare(name, "gradients", relativeError(found.gradient(path), gradient), 2e-6);
    }
  });
}

test("docs/parity.md lists what was compared here", () => section.expectListed());
