// The textbook: linear regression by stochastic gradient descent, on data made from known weights and a little noise.
// Reached: validation mse 0.0101, which is the noise's own variance of 0.01: nothing more can be learned from this data.
import { data, defineRun, metrics, nn, optim } from "tutti";

const features = 10;
const trueBias = 0.5;
const noise = 0.1;

/** Numbers in [-1, 1) that are the same everywhere: Lehmer's generator with Park and Miller's constants (1988). */
function* randomNumbers(seed: number): Generator<number, never> {
  let state = seed;
  for (;;) {
    state = (state * 48_271) % 2_147_483_647;
    yield state / 1_073_741_824 - 1;
  }
}

function regression(samples: number, seed: number) {
  const random = randomNumbers(seed);
  const x = new Float32Array(samples * features);
  const y = new Float32Array(samples);
  for (let sample = 0; sample < samples; sample++) {
    let target = trueBias;
    for (let feature = 0; feature < features; feature++) {
      const value = random.next().value;
      x[sample * features + feature] = value;
      target += trueWeight(feature) * value;
    }
    // The sum of three uniform numbers has a variance of 1.
    target += noise * (random.next().value + random.next().value + random.next().value);
    y[sample] = target;
  }
  return data.arrays({
    x: { dtype: "float32", shape: [features], values: x },
    y: { dtype: "float32", shape: [1], values: y },
  });
}

/** 1, -0.5, 0.333…, -0.25, … */
function trueWeight(feature: number): number {
  return (feature % 2 === 0 ? 1 : -1) / (feature + 1);
}

const model = nn.linear(features, 1);

export default defineRun({
  data: { train: regression(8_192, 1), validation: regression(2_048, 2) },
  model,
  step({ x, y }) {
    const prediction = model(x);
    return {
      loss: nn.mse(prediction, y),
      outputs: { prediction },
      metrics: { mse: metrics.mse(prediction, y) },
    };
  },
  optimizer: optim.sgd({ lr: 0.1 }),
  batchSize: 32,
  steps: 1_000,
  seed: 1,
});
