// Teaches a model that knows digits to tell circles, squares and triangles apart. `npx tutti train run.ts`
import { defineRun, metrics, nn, onnx, optim } from "tutti";
import { images } from "./images.ts";

const classes = ["circle", "square", "triangle"];

// "features" is a tensor of the file: what goes into the layer that gives its logits.
const model = onnx
  .load("digits-0-to-4.onnx", { freeze: ["body.conv*"] })
  .replaceHead("features", nn.linear(64, classes.length));

export default defineRun({
  data: { train: images("shapes", classes, "train"), validation: images("shapes", classes, "validation") },
  model,
  step({ image, label }) {
    const logits = model(image);
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
