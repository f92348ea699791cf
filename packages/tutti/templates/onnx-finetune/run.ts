// Teaches a model that knows digits to tell circles, squares and triangles apart. `npx tutti train run.ts`
import { data, defineRun, metrics, nn, onnx, optim } from "tutti";

const classes = ["circle", "square", "triangle"];

// One folder a class below "shapes", made what the model takes: grey and 28 pixels square.
const images = data.images("shapes", { classes, size: [28, 28], channels: 1 });

// "features" is a tensor of the file: what goes into the layer that gives its logits.
const model = onnx
  .load("digits-0-to-4.onnx", { freeze: ["body.conv*"] })
  .replaceHead("features", nn.linear(64, classes.length));

export default defineRun({
  data: data.split(images, { fraction: 0.2, seed: 1 }),
  model,
  step({ image, label }) {
    const logits = model(image.squeeze(1)); // it has no axis for channels
    return {
      loss: nn.crossEntropy(logits, label),
      outputs: { probabilities: logits.softmax() },
      metrics: { accuracy: metrics.accuracy(logits, label) },
    };
  },
  optimizer: optim.adam({ lr: 2e-3 }),
  batchSize: 32,
  epochs: 24,
  seed: 1,
  validation: { everyEpochs: 4 },
  checkpoint: { best: { metric: "accuracy", mode: "max" } },
});
