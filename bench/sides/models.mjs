// The models of bench/steps.mjs as runs of ours; sides/torch_steps.py has the same ones.

const rows = 4096;

/** Numbers without a pattern that a cache or a branch predictor could learn. */
function noise(count, below, Values) {
  let state = 1;
  return Values.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return below === 1 ? state / 2 ** 32 : Math.floor((state / 2 ** 32) * below);
  });
}

function perceptron({ data, nn, optim }) {
  const model = nn.sequential({
    fc1: nn.linear(784, 512),
    act1: nn.relu(),
    fc2: nn.linear(512, 512),
    act2: nn.relu(),
    fc3: nn.linear(512, 10),
  });
  return {
    model,
    train: data.arrays({
      x: { dtype: "uint8", shape: [784], values: noise(rows * 784, 256, Uint8Array) },
      y: noise(rows, 10, Uint8Array),
    }),
    step: ({ x, y }) => ({ loss: nn.crossEntropy(model(x.cast("float32").div(255)), y) }),
    optimizer: optim.rmsprop({ lr: 1e-3 }),
  };
}

function linear({ data, nn, optim }) {
  const model = nn.linear(10, 1);
  return {
    model,
    train: data.arrays({
      x: { dtype: "float32", shape: [10], values: noise(rows * 10, 1, Float32Array) },
      y: { dtype: "float32", shape: [1], values: noise(rows, 1, Float32Array) },
    }),
    step: ({ x, y }) => ({ loss: nn.mse(model(x), y) }),
    optimizer: optim.sgd({ lr: 1e-3 }),
  };
}

function convolutional({ data, nn, optim }) {
  const model = nn.sequential({
    conv1: nn.conv2d(1, 32, 3),
    act1: nn.relu(),
    conv2: nn.conv2d(32, 64, 3),
    act2: nn.relu(),
    pool: nn.maxPool2d(2),
    flat: nn.flatten(),
    fc1: nn.linear(9216, 128),
    act3: nn.relu(),
    fc2: nn.linear(128, 10),
  });
  return {
    model,
    train: data.arrays({
      x: { dtype: "uint8", shape: [1, 28, 28], values: noise(rows * 784, 256, Uint8Array) },
      y: noise(rows, 10, Uint8Array),
    }),
    step: ({ x, y }) => ({ loss: nn.crossEntropy(model(x.cast("float32").div(255)), y) }),
    optimizer: optim.rmsprop({ lr: 1e-3 }),
  };
}

/** A causal transformer of 4 layers and 4 heads on 64 positions of 65 symbols. */
function transformer({ data, nn, optim }, width) {
  const [context, symbols] = [64, 65];
  const layer = () =>
    nn.transformerEncoderLayer(width, 4, {
      feedForward: 4 * width,
      activation: "gelu",
      normFirst: true,
      causal: true,
      dropout: 0,
    });
  const model = nn.sequential({
    embedding: nn.embedding(symbols, width),
    positions: nn.learnedPositions(context, width),
    layer1: layer(),
    layer2: layer(),
    layer3: layer(),
    layer4: layer(),
    norm: nn.layerNorm(width),
    head: nn.linear(width, symbols),
  });
  const column = () => ({
    dtype: "uint8",
    shape: [context],
    values: noise(rows * context, symbols, Uint8Array),
  });
  return {
    model,
    train: data.arrays({ x: column(), y: column() }),
    step: ({ x, y }) => ({ loss: nn.crossEntropy(model(x).reshape([-1, symbols]), y.reshape([-1])) }),
    optimizer: optim.adamW({ lr: 1e-3 }),
  };
}

/** The run of a model, for `defineRun`, less batch size, shards and length. */
export function modelNamed(name, tutti) {
  switch (name) {
    case "linear":
      return linear(tutti);
    case "mlp":
      return perceptron(tutti);
    case "cnn":
      return convolutional(tutti);
    case "gpt128":
      return transformer(tutti, 128);
    case "gpt256":
      return transformer(tutti, 256);
    default:
      throw new Error(`no model is called ${name}`);
  }
}
