// Learns to write English, a byte at a time. `npx tutti train run.ts`, then `node write.js`
import { data, defineRun, metrics, nn, optim } from "tutti";

/** Bytes of text that the model sees at once. */
const context = 32;

const text = (range: readonly [number, number]) =>
  data.text("moby-dick.txt", { tokens: "bytes", length: context, range });
const train = text([0, 0.9]);
const symbols = train.vocabulary;

const model = nn.sequential({
  embedding: nn.embedding(symbols, 64),
  positions: nn.learnedPositions(context, 64),
  layer: nn.transformerEncoderLayer(64, 4, {
    feedForward: 128,
    activation: "gelu",
    normFirst: true,
    causal: true,
    dropout: 0,
  }),
  norm: nn.layerNorm(64),
  head: nn.linear(64, symbols),
});

export default defineRun({
  data: { train, validation: text([0.9, 1]) },
  model,
  step({ text, next }) {
    const logits = model(text);
    const loss = nn.crossEntropy(logits.reshape([-1, symbols]), next.reshape([-1]));
    return { loss, outputs: { logits }, metrics: { perplexity: metrics.perplexity(loss) } };
  },
  optimizer: optim.adamW({ lr: 3e-3, clipNorm: 1 }),
  batchSize: 64,
  epochs: 6,
  seed: 1,
});
