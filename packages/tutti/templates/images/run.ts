// Tells circles, squares and triangles apart. `npx tutti train run.ts`
import { data, defineRun, metrics, nn, optim } from "tutti";

const classes = ["circle", "square", "triangle"];

// One folder a class below "shapes"; files of any size and format, here made grey and 28 pixels square.
const images = data.images("shapes", { classes, size: [28, 28], channels: 1 });

const model = nn.sequential({
  conv1: nn.conv2d(1, 8, 5),
  act1: nn.relu(),
  pool1: nn.maxPool2d(2),
  conv2: nn.conv2d(8, 16, 5),
  act2: nn.relu(),
  pool2: nn.maxPool2d(2),
  flat: nn.flatten(),
  fc1: nn.linear(256, 32),
  act3: nn.relu(),
  fc2: nn.linear(32, classes.length),
});

export default defineRun({
  data: data.split(images, { fraction: 0.2, seed: 1 }),
  model,
  step({ image, label }) {
    const logits = model(image.cast("float32").div(255));
    return {
      loss: nn.crossEntropy(logits, label),
      outputs: { probabilities: logits.softmax() },
      metrics: { accuracy: metrics.accuracy(logits, label) },
    };
  },
  optimizer: optim.adam({ lr: 3e-3 }),
  batchSize: 32,
  epochs: 24,
  seed: 1,
  validation: { everyEpochs: 4 },
  checkpoint: { best: { metric: "accuracy", mode: "max" } },
});
