// Learns to write English, a character at a time. `npx tutti train run.ts`, then `node write.js`
import { readFileSync } from "node:fs";
import { data, defineRun, metrics, nn, optim } from "tutti";

/** Characters that the model sees at once. */
const context = 32;
/** 0 … 94: the printable characters of ASCII from the space on; 95: everything else, such as a line's end. */
const symbols = 96;

const text = readFileSync(new URL("moby-dick.txt", import.meta.url), "latin1");
const codes = Uint8Array.from(text, (character) => {
  const code = character.charCodeAt(0) - 32;
  return code >= 0 && code < symbols - 1 ? code : symbols - 1;
});

/** Pieces of the text that begin every `context` characters, each with the same piece one character on. */
function pieces(from: number, to: number) {
  const starts: number[] = [];
  for (let at = from; at + context < to; at += context) starts.push(at);
  return data.from(
    () =>
      starts.map((at) => ({ text: codes.subarray(at, at + context), next: codes.subarray(at + 1, at + context + 1) })),
    { columns: { text: { dtype: "uint8", shape: [context] }, next: { dtype: "uint8", shape: [context] } } },
  );
}

// The last tenth is for validation.
const end = Math.floor(codes.length * 0.9);

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
  data: { train: pieces(0, end), validation: pieces(end, codes.length) },
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
