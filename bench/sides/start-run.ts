// The MLP of bench/steps.mjs as a user's run file, for bench/start.mjs.
import { data, defineRun, nn, optim } from "tutti";

const rows = 4096;
const pixels = new Uint8Array(rows * 784);
for (let i = 0; i < pixels.length; i++) pixels[i] = (i * 31) % 251;

const model = nn.sequential({
  fc1: nn.linear(784, 512),
  act1: nn.relu(),
  fc2: nn.linear(512, 512),
  act2: nn.relu(),
  fc3: nn.linear(512, 10),
});

export default defineRun({
  data: {
    train: data.arrays({
      x: { dtype: "uint8", shape: [784], values: pixels },
      y: Uint8Array.from({ length: rows }, (_, i) => i % 10),
    }),
  },
  model,
  step: ({ x, y }) => ({ loss: nn.crossEntropy(model(x.cast("float32").div(255)), y) }),
  optimizer: optim.rmsprop({ lr: 1e-3 }),
  batchSize: 128,
  shards: 2,
  steps: 100_000,
});
